"""What people name to be predicted: images, clips, folders and tables."""

from __future__ import annotations

import collections
import hashlib
import os
import re
import typing
from collections.abc import Sequence

from aubal_jax.media import frame_folder
from aubal_jax.media import video
from aubal_jax.runs import errors
from aubal_jax.serving import sources
from aubal_jax.tables.files import any_table

IMAGE, CLIP = 'image', 'clip'
_SECONDS = re.compile(r'(\d+\.?\d*|\.\d+) ?s', re.ASCII)


class Item(typing.NamedTuple):
  """An image, or a clip: a file, or a folder of its frames.

  Attributes:
    kind: IMAGE or CLIP.
    name: what it is called in tables.
    path: the file or folder.
  """

  kind: str
  name: str
  path: str


class Pace(typing.NamedTuple):
  """Which frames of a clip are predicted, see `video.frames`.

  Attributes:
    every: those whose number is a multiple.
    every_seconds: one in so many seconds; None: all of those.
  """

  every: int = 1
  every_seconds: float | None = None


def pace(text: str) -> Pace:
  """Returns what `predict.every` says.

  Raises:
    UserError: it is neither frames nor seconds.

  Examples:
    >>> pace('5'), pace('0.2s')
    (Pace(every=5, every_seconds=None), Pace(every=1, every_seconds=0.2))
  """
  text = text.strip()
  if re.fullmatch(r'[1-9]\d{0,8}', text, re.ASCII):
    return Pace(int(text))
  found = _SECONDS.fullmatch(text)
  if found and float(found[1]) > 0:
    return Pace(every_seconds=float(found[1]))
  raise errors.UserError(
    'predict.every must be a number of frames from 1 on, or seconds above 0 '
    f'with an s behind, such as 5 or 0.2s; it is {text!r}.'
  )


def has_clips(path: str, fps: float) -> bool:
  """Returns whether an input is, or a folder holds, a clip or a lone image."""
  if not os.path.isdir(path):
    suffix = _suffix(path)
    return suffix in video.SUFFIXES or suffix in sources.IMAGES
  for where, held in sources.walk(path):
    if any(_suffix(name) in video.SUFFIXES for name in held):
      return True
    if _is_clip(where, held, fps):
      return True
  return False


def find(
  given: Sequence[str],
  *,
  fps: float = 0.0,
  path_column: str = 'path',
  image_dir: str = '',
) -> tuple[list[Item], collections.Counter]:
  """Returns what there is to predict, in order.

  Files stand in the order in which they are given, those of a folder in that
  of their paths. A file that is called neither image nor table is taken for a
  clip; what is wrong with it is found when it is read.

  Args:
    given: files and folders; a table stands for the images it names.
    fps: above 0: a folder with images is a clip of so many frames a second;
      else one with timestamps.csv alone is.
    path_column: of tables.
    image_dir: likewise.

  Returns:
    The items; and suffix -> how many files of folders are neither.

  Raises:
    FileNotFoundError: there is nothing in any of them.
    UserError: a table names no images; a name is given twice.
  """
  items, others = [], collections.Counter()
  for path in given:
    if os.path.isdir(path):
      items += _of_folder(path, fps, others)
    elif _suffix(path) in any_table.SUFFIXES:
      names, files = sources.list_table(
        path, path_column=path_column, image_dir=image_dir
      )
      items += [
        Item(IMAGE, name, file) for name, file in zip(names, files, strict=True)
      ]
    else:
      kind = IMAGE if _suffix(path) in sources.IMAGES else CLIP
      items.append(Item(kind, path, path))
  if not items:
    raise FileNotFoundError(
      f'{", ".join(given)}: there is neither an image nor a clip; clips are '
      f'files called *{", *".join(video.SUFFIXES)}.'
    )
  _check_names(items)
  return items, others


def _of_folder(folder, fps, others) -> list[Item]:
  """Returns what is in a folder or below it, sorted by path."""
  items, root = [], folder.rstrip('/') or '/'
  for where, held in sources.walk(folder):
    inside = os.path.relpath(where, folder)
    home = root if inside == '.' else f'{root}/{inside.replace(os.sep, "/")}'
    is_clip = _is_clip(where, held, fps)
    if is_clip:
      items.append(Item(CLIP, home, where))
    for name in held:
      suffix = _suffix(name)
      path = os.path.join(where, name)
      if suffix in video.SUFFIXES:
        items.append(Item(CLIP, f'{home}/{name}', path))
      elif suffix not in sources.IMAGES:
        others[suffix] += not is_clip
      elif not is_clip:
        items.append(Item(IMAGE, f'{home}/{name}', path))
  return sorted(items, key=lambda item: item.name)


def _is_clip(where, held, fps) -> bool:
  """Whether the images of a folder are frames."""
  if not fps and frame_folder.TIMES not in held:
    return False
  return any(_suffix(name) in sources.IMAGES for name in held)


def _check_names(items):
  """Raises UserError where two rows would be called alike."""
  counts = collections.Counter(item.name for item in items)
  (name, count), *_ = counts.most_common(1)
  if count > 1:
    raise errors.UserError(
      f'{name} is named {count} times; each input is predicted once. Leave it '
      'out where it is not needed.'
    )


def fingerprint(items: Sequence[Item]) -> str:
  """Returns hex digits that change when any of the files does."""
  digest = hashlib.sha256()
  for item in items:
    digest.update(os.fsencode(f'{item.kind}\0{item.name}\0'))
    digest.update(os.fsencode(f'{os.path.abspath(item.path)}\0'))
    digest.update(sources.state(item.path))
    if os.path.isdir(item.path):
      for entry in sorted(os.scandir(item.path), key=lambda e: e.name):
        digest.update(os.fsencode(f'{entry.name}\0'))
        digest.update(sources.state(entry.path))
  return digest.hexdigest()[:16]


def _suffix(path) -> str:
  return os.path.splitext(path)[1].lower()
