"""AFEW-VA (Kossaifi et al. 2017): clips of films, valence and arousal a frame.

  .../<clip>/<clip>.json
  .../<clip>/00000.png

A clip's file holds `frames`: the number of each frame -> `valence`, `arousal`
(whole numbers from -10 to 10; here a tenth of them) and `landmarks`, 68 points
x, y. The image of a row is a square about its face: the eyes level, its side
twice the larger of the distance of the eyes and that of their middle from the
mouth, as Deng et al. (2020) cut it.
"""

import json
import os

import numpy as np

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import frames as frames_lib
from aubal_jax.datasets import readers
from aubal_jax.datasets import targets
from aubal_jax.media import pieces
from aubal_jax.runs import errors
from aubal_jax.runs import text

_LARGEST = 10.0
_NUM_POINTS = 68
# Of the 68 points: the eye on the left of the image, the other one, the mouth.
_PARTS = (slice(36, 42), slice(42, 48), slice(48, 68))


def read(folder: str) -> annotations.Annotations:
  """Reads the clips and looks which frames have an image.

  Args:
    folder: what holds the folders of clips, at any depth.

  Returns:
    A row for each frame of the files, with the target `valence_arousal` and no
    labels; groups are the clips, and there is no official split.

  Raises:
    FileNotFoundError: there is no clip; says what is there.
    UserError: a file breaks a rule; names it, the frame and the content.
  """
  clips = _find_clips(folder)
  files, ids, groups, numbers, values, points = [], [], [], [], [], []
  for clip, path in clips.items():
    images = _numbered(os.path.dirname(path))
    for name, entry in _read_clip(path).items():
      files.append(images.get(int(name), ''))
      ids.append(f'{clip}/{name}')
      groups.append(clip)
      numbers.append(int(name))
      values.append(_values(path, name, entry))
      points.append(_points(entry.get('landmarks')))
  eyes = np.array(points)[:, :2]
  corners = pieces.of_faces(eyes, np.array(points)[:, 2])
  reasons = annotations.reasons(np.array(files), np.ones(len(files), bool))
  lacks = np.isnan(corners).any(axis=(1, 2))
  return annotations.Annotations(
    files=np.array(files),
    labels=np.zeros((len(files), 0), np.uint8),
    known=np.zeros((len(files), 0), bool),
    label_names=(),
    ids=np.array(ids),
    groups=np.array(groups),
    frames=frames_lib.on_one_line(groups, numbers),
    reasons=np.where((reasons == '') & lacks, 'no landmarks', reasons),
    place=lambda row: f'{clips[groups[row]]}, frame {numbers[row]}',
    targets={
      'valence_arousal': targets.of_numbers(
        np.array(values), aff_wild2_rows.VALENCE_AROUSAL, -1.0, 1.0
      )
    },
    corners=corners,
  )


def _find_clips(folder) -> dict[str, str]:
  """Returns clip -> its file, in order; those are called like their folder."""
  found = {}
  for name, path in sorted(folders.list_files(folder, ('.json',)).items()):
    *above, stem = os.path.join(os.path.basename(folder), name).split('/')
    if above and above[-1] == stem:
      if stem in found:
        raise folders.ambiguous(folder, found[stem], path)
      found[stem] = path
  if not found:
    raise folders.missing(folder, 'file such as 01/001/001.json of a clip')
  return found


def _numbered(folder) -> dict[int, str]:
  """Returns number of frame -> image."""
  return {
    int(name): path
    for name, path in folders.list_images(folder).items()
    if name.isascii() and name.isdigit()
  }


def _read_clip(path) -> dict:
  """Returns name of frame -> what is said of it, by their numbers."""
  try:
    with open(path, encoding='utf-8-sig') as file:
      held = json.load(file)
    frames = dict(held['frames'])
  except (ValueError, KeyError, TypeError, RecursionError) as error:
    raise errors.UserError(
      f"{path}: the file of a clip is JSON with 'frames' ({error!r}). It may "
      'not have been copied whole: copy it again.'
    ) from None
  bad = [
    name
    for name, entry in frames.items()
    if not (name.isascii() and name.isdigit() and isinstance(entry, dict))
  ]
  if bad or not frames:
    raise errors.UserError(
      f"{path}: 'frames' must map numbers such as 00000 to what is said of "
      f'them; {text.listing(map(repr, bad)) or "there is none"}. Correct it.'
    )
  return dict(sorted(frames.items(), key=lambda item: int(item[0])))


def _values(path, name, entry):
  """Returns valence and arousal of a frame in [-1, 1]."""
  values = [entry.get(key) for key in aff_wild2_rows.VALENCE_AROUSAL]
  if not all(
    type(value) in (int, float) and -_LARGEST <= value <= _LARGEST
    for value in values
  ):
    raise errors.UserError(
      f'{path}: frame {name} has valence and arousal {values}; both are '
      f'numbers from {-_LARGEST:g} to {_LARGEST:g}. Correct it.'
    )
  return [value / _LARGEST for value in values]


def _points(landmarks):
  """Returns float[3, 2], the middle of both eyes and of the mouth, or NaN."""
  try:
    points = np.array(landmarks, np.float64)
  except (ValueError, TypeError):
    points = np.empty(0)
  if points.shape != (_NUM_POINTS, 2) or not np.isfinite(points).all():
    return np.full((3, 2), np.nan)
  # Of the centre of the first pixel is 0, 0; of `pieces` its corner.
  return np.stack([points[part].mean(axis=0) for part in _PARTS]) + 0.5


CARD = readers.Card(
  title='AFEW-VA: frames of clips of films, with valence and arousal.',
  description=(
    'Frames of 600 clips of films, each with valence and arousal, and 68 '
    'landmarks.'
  ),
  homepage='https://ibug.doc.ic.ac.uk/resources/afew-va-database/',
  layout="""
Get the set from the homepage. In manual_dir there must be, at any depth,

  <clip>/<clip>.json
  <clip>/00000.png
""",
  citation="""
@article{kossaifi2017afew,
  author = {Kossaifi, Jean and Tzimiropoulos, Georgios and Todorovic, Sinisa
            and Pantic, Maja},
  title = {{AFEW-VA} Database for Valence and Arousal Estimation In-the-Wild},
  journal = {Image and Vision Computing},
  volume = {65},
  pages = {23--36},
  year = {2017},
}
""",
  variants=(
    readers.Variant(
      *('', '', ()),
      targets={
        'valence_arousal': targets.of_numbers(
          np.empty((0, 2)), aff_wild2_rows.VALENCE_AROUSAL, -1.0, 1.0
        )
      },
    ),
  ),
)
