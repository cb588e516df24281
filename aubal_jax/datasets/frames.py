"""Frames of videos: tables with a row for each, images called by a number."""

import dataclasses
import os
import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

UNKNOWN = (-1, 9, 999)  # What a code says that is none.
_NUMBER = re.compile(r'\s*[+-]?\d{1,9}(\.0*)?\s*', re.ASCII)
_LIMIT = 10**9  # Whole numbers as long as those of _NUMBER are below it.


@dataclasses.dataclass(frozen=True)
class Rows:
  """A table of whole numbers, a row for each frame.

  Attributes:
    path: the file.
    names: C, the cells of the header; () where there is none.
    values: int64[R, C], the frame first.
    lines: int64[R], the line of each row, counted from 1.
  """

  path: str
  names: tuple[str, ...]
  values: np.ndarray
  lines: np.ndarray

  def __len__(self):
    return len(self.lines)

  @property
  def frames(self) -> np.ndarray:
    """int64[R], the frame of each row; all differ."""
    return self.values[:, 0]

  def error(
    self, bad: Sequence[int], tell: Callable[[int], str], rule: str
  ) -> ValueError:
    """Returns the error that tells what is wrong with the rows `bad`."""
    return table.finding_error(
      self.path, bad, self.lines.__getitem__, tell, rule
    )


def read_rows(path: str, *, width: int | None = None) -> Rows:
  """Reads whole numbers with commas between, in lines of any end.

  Args:
    path: the file.
    width: how many numbers a line has; None: as many as the header, which is
      then the first line that is not blank.

  Raises:
    UserError: there is no row, a row is no such numbers, or a frame is below
      0 or listed twice.
  """
  with open(path, encoding='utf-8-sig', errors='replace') as file:
    lines = [line.rstrip('\n') for line in file]
  numbers = [n for n, line in enumerate(lines, 1) if line.strip()]
  names = ()
  if width is None and numbers:
    names = lines[numbers.pop(0) - 1].split(',')
    names = tuple(name.strip().strip('\'"') for name in names)
    width = len(names)
  if not numbers:
    raise errors.UserError(
      f'{path}:{len(lines) or 1}: the file ends without a row. It may not have '
      'been copied whole: copy it again.'
    )
  values = _parse(path, [lines[n - 1] for n in numbers], numbers, width)
  rows = Rows(path, names, values, np.array(numbers))
  _check_frames(rows)
  return rows


def _check_frames(rows):
  """Raises UserError if a frame is below 0 or stands in two rows."""
  _, first, number = np.unique(
    rows.frames, return_index=True, return_inverse=True
  )
  again = first[number] != np.arange(len(number))

  def tell(row):
    same = f', as line {rows.lines[first[number[row]]]}' if again[row] else ''
    return f'frame {rows.frames[row]}{same}'

  bad = np.flatnonzero(again | (rows.frames < 0))
  if len(bad):
    raise rows.error(
      bad,
      tell,
      'The first number is the frame: it is 0 or more, and stands in one line '
      'only. Correct it.',
    )


def _parse(path, lines, numbers, width):
  """Returns int64[R, width] of the lines; raises UserError on a bad one."""
  try:
    values = np.loadtxt(lines, delimiter=',', comments=None, ndmin=2)
  except ValueError:
    values = np.full((1, width), np.nan)
  if (
    values.shape[1] == width
    and (abs(values) < _LIMIT).all()
    and (values == np.floor(values)).all()
  ):
    return values.astype(np.int64)
  cells = [line.split(',') for line in lines]
  raise table.finding_error(
    path,
    [
      row
      for row, row_cells in enumerate(cells)
      if len(row_cells) != width or not all(map(_NUMBER.fullmatch, row_cells))
    ],
    numbers.__getitem__,
    lambda row: text.quote(lines[row]),
    f'A row is {width} whole numbers with commas between. Correct it.',
  )


def find_images(
  folder: str, pattern: str
) -> dict[str, dict[str, dict[int, str]]]:
  """Finds images whose name ends in the number of a frame, '7' or '00007'.

  Args:
    folder: searched with all that is below.
    pattern: a regular expression, in any case, for the path below `folder`
      without the number and the suffix: ('.../frame_'); its group is the video.

  Returns:
    video, as `clip_name` spells it -> path without number -> frame -> file.

  Raises:
    UserError: two images in one place have the same number.
  """
  expression = re.compile(f'({pattern})' + r'(\d+)', re.I | re.A | re.S)
  found = {}
  for name, file in folders.list_images(folder).items():
    match = expression.fullmatch(name)
    if not match:
      continue
    place, video, number = match.groups()
    frames = found.setdefault(clip_name(video), {}).setdefault(place, {})
    other = frames.setdefault(int(number), file)
    if other != file:
      raise errors.UserError(
        f'{other} and {file} are two images of frame {int(number)}. Remove one.'
      )
  return found


def on_one_line(clips: Sequence[str], numbers: Sequence[int]) -> np.ndarray:
  """Returns float64[N], when rows are: clips one after the other, far apart.

  Args:
    clips: N names, such as a video, or a task of a subject.
    numbers: N, of the frame in its clip.
  """
  _, clip = np.unique(clips, return_inverse=True)
  numbers = np.asarray(numbers, np.float64)
  length = np.ptp(numbers) if len(numbers) else 0.0
  return clip * 2.0 * (length + 1) + numbers


def clip_name(name: str) -> str:
  """Returns 'F001/T1' for 'f001_t1': how names of videos are compared."""
  return name.upper().replace('_', '/').replace(os.sep, '/')


def only_place(
  places: Mapping[str, Mapping[int, str]], prefer: str = '(?!)'
) -> Mapping[int, str]:
  """Returns frame -> file of the one place that holds images of a video.

  Args:
    places: where its images are, and which.
    prefer: a regular expression; where there are several places, only those
      count whose path it is found in, in any case.

  Raises:
    UserError: there is more than one.
  """
  chosen = [p for p in places if re.search(prefer, p, re.I)] or [*places]
  if len(chosen) > 1:
    first, second = (next(iter(places[p].values())) for p in chosen[:2])
    raise errors.UserError(
      f'{first} and {second} are of one video, in two places. Move one of the '
      'places out of the folder of the data set.'
    )
  return places[chosen[0]] if chosen else {}
