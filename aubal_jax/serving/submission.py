"""Writes predictions as the ABAW competitions want them handed in."""

import os
import pathlib
import re
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.runs import errors
from aubal_jax.runs import text

KINDS = ('aff_wild2', 'aff_wild2_images')
IMAGES_FILE = 'predictions.txt'  # Of the kind aff_wild2_images.
MULTI_TASK = 'multi_task'  # The folder of the file of three tasks.
MOST_FRAMES = 10_000_000  # Of one video; 4 days at 30 a second.
# A video is the name of a file, and stands in a row of cells.
_ID = re.compile(r'([^./\\,"\s][^/\\,"\r\n]*)/(\d{1,9})\.\w+', re.ASCII)


def write(
  folder: os.PathLike | str,
  ids: Sequence[str],
  decisions: np.ndarray,
  label_names: Sequence[str],
  *,
  kind: str = 'aff_wild2',
  num_frames: Mapping[str, int] | None = None,
  others: Sequence[tuple] = (),
) -> list[pathlib.Path]:
  """Writes the files of a submission; the folder is whole or as it was.

  'aff_wild2': a file `<video>.txt` for each video (each person: `<video>_left`)
  with the line `AU1,AU2,...` and then a line for each frame of the video; that
  of frame k, counted from 0, is line k + 2. A frame without a row (no face was
  found in it) repeats the row before it; before the first, all is 0.

  'aff_wild2_images': one file, IMAGES_FILE, with the line
  `image_location,AU1,...` and then a line for each row, in their order.

  Those of classes and numbers are the same, in a folder TARGET each, with their
  names in the first line: of a frame the number of the likeliest class, counted
  from 0, or the numbers with four decimals; a frame before the first row takes
  that. Of an image the form is as of a frame, and is from memory. Where an
  expression, valence and arousal are among them, 'aff_wild2_images' has the
  file of all in MULTI_TASK, too: `image,valence,arousal,expression,aus`.

  Args:
    folder: an older submission in it is replaced.
    ids: R images, 'video/00001.jpg', counted from 1.
    decisions: uint8[R, L] or bool[R, L], 0 or 1.
    label_names: L AUs, such as 'AU01'.
    kind: one of KINDS.
    num_frames: video -> how many frames it has, also of a video without any
      row; where it does not say, the highest that is known.
    others: pairs of a head, which has a name, kind and names, and float[R, L],
      what it predicts.

  Returns:
    The files, sorted.

  Raises:
    UserError: an argument breaks one of these rules, or there is something
      else in the folder.
  """
  if kind not in KINDS:
    raise errors.UserError(f'kind must be one of {[*KINDS]}, not {kind!r}.')
  decisions = np.asarray(decisions)
  if decisions.shape != (len(ids), len(label_names)):
    raise errors.UserError(
      f'decisions must have shape [{len(ids)}, {len(label_names)}], a row for '
      f'each id and a column for each label, not {list(decisions.shape)}.'
    )
  if not np.isin(decisions, (0, 1)).all():
    raise errors.UserError(
      'decisions must be 0 or 1; compare with a threshold.'
    )
  header, lines = ','.join(_header(label_names)), _lines(decisions)
  none = ','.join('0' * len(label_names))
  contents = _contents(ids, header, lines, none, kind, num_frames)
  for head, predicted in others:
    if head.kind in ('class', 'real'):
      contents |= _of_target(head, predicted, ids, kind, num_frames)
  if kind == 'aff_wild2_images':
    contents |= _multi_task(ids, lines, label_names, others)
  return _replace(pathlib.Path(folder), contents)


def _of_target(head, predicted, ids, kind, num_frames) -> dict[str, list[str]]:
  """Returns name of file -> lines, of classes or numbers; see `write`."""
  if head.kind == 'class':
    lines = [str(k) for k in predicted.argmax(axis=1).tolist()]
    none = '0'
  else:
    lines = [','.join(f'{x:.4f}' for x in row) for row in predicted.tolist()]
    none = ','.join(['0.0000'] * len(head.names))
  contents = _contents(
    *(ids, ','.join(head.names), lines, none, kind, num_frames),
    repeats_first=True,
  )
  folder = re.sub(r'[^\w-]', '_', head.name)
  return {f'{folder}/{name}': lines for name, lines in contents.items()}


def _multi_task(ids, lines, label_names, others) -> dict[str, list[str]]:
  """Returns the file of all three tasks; {} where one of them is not there."""
  found = {head.names: predicted for head, predicted in others}
  affect = found.get(aff_wild2_rows.VALENCE_AROUSAL)
  (expression, *_) = [
    *(p for head, p in others if head.name == 'expression'), None
  ]  # fmt: skip
  if affect is None or expression is None:
    return {}
  aus = ','.join(_header(label_names))
  if tuple(label_names) == tuple(aff_wild2_rows.LABELS['2022']):
    aus = 'aus'  # As the challenge calls its twelve.
  rows = zip(ids, affect, expression.argmax(axis=1), lines, strict=True)
  return {
    f'{MULTI_TASK}/{IMAGES_FILE}': [
      f'image,valence,arousal,expression,{aus}',
      *(f'{name},{v:.4f},{a:.4f},{k},{line}' for name, (v, a), k, line in rows),
    ]
  }


def _contents(
  ids, header, lines, none, kind, num_frames, *, repeats_first=False
) -> dict[str, list[str]]:
  """Returns name of file -> its lines.

  Args:
    ids, kind, num_frames: of `write`.
    header: the first line.
    lines: R, of the rows.
    none: the line of a frame before the first row of its video.
    repeats_first: that is the line of the first row, where there is one.
  """
  videos, frames = _parse(ids)
  if kind == 'aff_wild2_images':
    rows = [f'{name},{line}' for name, line in zip(ids, lines, strict=True)]
    return {IMAGES_FILE: [f'image_location,{header}', *rows]}
  by_video = _by_video(videos, frames, dict(num_frames or {}))
  if repeats_first:
    for shown in by_video.values():
      shown[shown < 0] = next((row for row in shown if row >= 0), -1)
  lines = np.array([*lines, none], object)  # Row -1 is of no frame.
  return {
    f'{video}.txt': [header, *lines[rows]] for video, rows in by_video.items()
  }


def check(ids: Sequence[str], label_names: Sequence[str]) -> dict[str, int]:
  """Returns video -> its highest frame, of images that `write` would take.

  Raises:
    UserError: it would not take them, or the labels.
  """
  _header(label_names)
  highest = {}
  for video, frame in zip(*_parse(ids), strict=True):
    highest[video] = max(frame, highest.get(video, 0))
  return highest


def _header(label_names):
  """Returns 'AU1' for 'AU01'."""
  found = [re.fullmatch(r'AU(\d+)', name, re.ASCII) for name in label_names]
  if not found or None in found:
    raise errors.UserError(
      'A submission is of AUs, labels such as AU01, not of '
      f'{text.listing(map(text.quote, label_names)) or "none"}.'
    )
  return [f'AU{int(match[1])}' for match in found]


def _parse(ids):
  """Returns the videos and the frames, counted from 1, of the rows."""
  found = [_ID.fullmatch(name) for name in ids]
  keys = [match and (match[1], int(match[2])) for match in found]
  first = {}
  bad = [
    row
    for row, key in enumerate(keys)
    if key is None
    or not 1 <= key[1] <= MOST_FRAMES
    or first.setdefault(key, row) != row
  ]
  if bad:
    named = text.listing((text.quote(ids[row]) for row in bad), text.SHOWN)
    raise errors.UserError(
      f'A submission needs images called video/00001.jpg, counted from 1, each '
      f'once; not {named}. Predict a split of Aff-Wild2, or a folder with a '
      'folder for each video.'
    )
  return [video for video, _ in keys], [frame for _, frame in keys]


def _lines(decisions):
  """Returns '0,1,...' for each row."""
  distinct, which = np.unique(
    decisions.astype(np.uint8), axis=0, return_inverse=True
  )
  texts = [','.join(map(str, row)) for row in distinct.tolist()]
  return [texts[k] for k in which.reshape(-1)]


def _by_video(videos, frames, num_frames):
  """Returns video -> int[F], the row that each frame shows, or -1."""
  rows_of = {video: [] for video in (*num_frames, *videos)}
  for row, video in enumerate(videos):
    rows_of[video].append(row)
  numbers = np.array(frames, np.int64)
  by_video = {}
  for video, rows in sorted(rows_of.items()):
    rows = np.array(rows, np.int64)
    rows = rows[np.argsort(numbers[rows])]
    highest = int(numbers[rows].max(initial=0))
    total = num_frames.get(video, highest)
    if not highest <= total <= MOST_FRAMES:
      raise errors.UserError(
        f'num_frames says that {video!r} has {total} frames, but there is a '
        f'row of frame {highest} (at most {MOST_FRAMES:,} are written).'
      )
    last = np.searchsorted(numbers[rows], np.arange(1, total + 1), side='right')
    by_video[video] = np.concatenate([[-1], rows])[last]
  return by_video


def _replace(folder, contents):
  """Writes the files into a new folder, and puts that in place of the old."""
  if folder.exists():
    other = _no_submission(folder)
    if other:
      raise errors.UserError(
        f'{folder}: a submission would replace what is there, and that is '
        f'none: {text.listing(sorted(other), text.SHOWN)}. Name another '
        'folder.'
      )
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(
    dir=folder.parent, prefix=f'.{folder.name}.', suffix='.tmp'
  ) as aside:
    new = pathlib.Path(aside) / 'new'
    new.mkdir()
    for name, lines in contents.items():
      (new / name).parent.mkdir(exist_ok=True)
      (new / name).write_text(
        '\n'.join(lines) + '\n', encoding='utf-8', newline='\n'
      )
    if folder.exists():
      folder.rename(pathlib.Path(aside) / 'old')
    new.rename(folder)
  return sorted(folder / name for name in contents)


def _no_submission(folder) -> list[str]:
  """Returns what is in a folder, or in those in it, and of no submission."""
  if not folder.is_dir():
    return ['a file of this name']
  other = []
  for entry in folder.iterdir():
    if entry.is_dir():
      held = [*entry.iterdir()]
      good = held and all(e.suffix == '.txt' and e.is_file() for e in held)
    else:
      good = entry.suffix == '.txt'
    other += [] if good else [entry.name]
  return other
