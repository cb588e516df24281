"""Looks at every image of a data set once: damage, doubles, sizes, greys."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Sequence
from concurrent import futures

import cv2
import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.media import decode
from aubal_jax.media import images
from aubal_jax.media import pieces
from aubal_jax.runs import progress

_NATIVE = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
_CHUNK = images.CHUNK_IMAGES

# What is kept of an image. `mean` and `deviation` are of its grey levels, as
# 8 bits and each pixel counted alike; `brightest` is in the file's own units.
FACTS = np.dtype(
  [
    ('hash', np.uint64, 2),
    ('width', np.int32),
    ('height', np.int32),
    ('channels', np.uint8),
    ('bits', np.uint8),
    ('brightest', np.float64),
    ('mean', np.float32),
    ('deviation', np.float32),
  ]
)


@dataclasses.dataclass(frozen=True)
class Survey:
  """What was seen of the images of a data set.

  Attributes:
    rows: int64[R], the rows with an image that could be read.
    facts: FACTS[R], what each of those is.
    failures: row -> reason, of those that could not.
    remarks: row -> what is odd about an image that could.
  """

  rows: np.ndarray
  facts: np.ndarray
  failures: dict[int, str]
  remarks: dict[int, str] = dataclasses.field(default_factory=dict)

  @property
  def num_images(self) -> int:
    """How many images there should be."""
    return len(self.rows) + len(self.failures)

  @functools.cached_property
  def contents(self) -> np.ndarray:
    """int64[R], numbers that are equal where the hashes are."""
    _, numbers = np.unique(self.facts['hash'], axis=0, return_inverse=True)
    return numbers.reshape(-1)


def look(
  data: dataset_lib.Dataset, *, num_threads: int | None = None
) -> Survey:
  """Reads each image of the rows in use, once; a bad one is a failure.

  Files are taken as they are, neither resized nor cut out, and their bytes are
  hashed; of images that are no files, the pixels. Nothing decoded is kept.

  Args:
    data: any data set; one without images gives an empty survey.
    num_threads: threads that decode files; None: one for each CPU.
  """
  rows = np.flatnonzero(data.split != dataset_lib.DROPPED)
  if data.load_images is None:
    rows = rows[:0]
  facts = np.zeros(len(rows), FACTS)
  failures, remarks = {}, {}
  look_at = functools.partial(_look_at_files, on_remark=remarks.__setitem__)
  if data.files is None:  # What makes them may not bear several threads.
    look_at, num_threads = _look_at_made, 1
  report = progress.Progress(len(rows), 'Looking at images')

  def look_at_chunk(start):
    chunk = rows[start : start + _CHUNK]
    return len(chunk), look_at(data, chunk, facts[start : start + _CHUNK])

  pool = futures.ThreadPoolExecutor(num_threads or os.cpu_count())
  try:
    for seen, failed in pool.map(look_at_chunk, range(0, len(rows), _CHUNK)):
      failures |= failed
      report.update(seen)
  finally:  # Ctrl-C ends after the chunks at hand, not after all of them.
    pool.shutdown(cancel_futures=True)
  good = ~np.isin(rows, list(failures))
  return Survey(rows[good], facts[good], failures, remarks)


def _look_at_files(data, rows, facts, on_remark):
  """Fills in the facts of image files; returns row -> reason of the others."""
  failures = {}
  for position, row in enumerate(rows.tolist()):
    try:
      contents = decode.read_contents(str(data.files[row]))
      remark = functools.partial(on_remark, row)
      corners = None if data.corners is None else data.corners[row]
      facts[position] = _facts_of_file(contents, remark, corners)
    except ValueError as error:
      failures[row] = str(error)
  return failures


def _facts_of_file(contents, on_remark, corners=None):
  native = decode.image_as(contents, _NATIVE, on_remark=on_remark)
  brightest, bits, picture = 255, 8, native
  if native.dtype != np.uint8:  # Seen as training sees it.
    brightest, bits = native.max(), 8 * native.itemsize
    picture = decode.image(contents, 1)
  elif native.ndim == 3:
    picture = cv2.cvtColor(native, cv2.COLOR_BGR2GRAY)
  if corners is not None and not np.isnan(corners).any():
    native, picture = (pieces.cut(x, corners) for x in (native, picture))
    contents += corners.tobytes()  # Another piece is another image.
  return _facts(contents, native, picture, bits, brightest)


def _look_at_made(data, rows, facts):
  """As `_look_at_files`, for images that are made and not read."""
  try:
    made = data.load_images(rows)
  except Exception as error:  # Of anyone's function: one is told apart below.
    if len(rows) == 1:
      return {int(rows[0]): str(error) or type(error).__name__}
    return {
      row: reason
      for k in range(len(rows))
      for row, reason in _look_at_made(
        data, rows[k : k + 1], facts[k : k + 1]
      ).items()
    }
  for position, image in enumerate(made):
    grey = image[:, :, 0]
    if image.shape[2] == 3:
      grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    facts[position] = _facts(image.tobytes(), image, grey, 8, 255)
  return {}


def _facts(contents, image, grey, bits, brightest):
  mean, deviation = cv2.meanStdDev(np.ascontiguousarray(grey))
  digest = hashlib.blake2b(contents, digest_size=16).digest()
  return (
    np.frombuffer(digest, np.uint64),
    image.shape[1],
    image.shape[0],
    1 if image.ndim == 2 else image.shape[2],
    bits,
    brightest,
    mean[0, 0],
    deviation[0, 0],
  )


def thumbnails(
  data: dataset_lib.Dataset, rows: Sequence[int], side: int
) -> dict[int, np.ndarray]:
  """Returns row -> uint8[h, w, 3] or [h, w, 1], its longer side `side` at most.

  Rows whose image can no longer be read are left out.

  Args:
    data: the data set.
    rows: few rows with an image.
    side: pixels.
  """
  pictures = {}
  for row in sorted(map(int, rows)):
    if data.files is None:
      image = data.load_images(np.array([row]))[0]
    else:
      try:
        contents = decode.read_contents(str(data.files[row]))
        image = decode.image(contents, 3)
        if data.corners is not None:
          image = pieces.cut(image, data.corners[row])
      except ValueError:
        continue
    scale = side / max(image.shape[:2])
    if scale < 1:
      size = [max(1, round(scale * x)) for x in image.shape[1::-1]]
      image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pictures[row] = image if image.ndim == 3 else image[:, :, None]
  return pictures


def num_strips(data: dataset_lib.Dataset) -> int:
  """Returns how many entries `examples` has."""
  return len(data.label_names) + 1 + len(_classes(data))


def _classes(data) -> list[tuple[str, np.ndarray]]:
  """Returns (name, bool[N]) of each class of each target."""
  return [
    (f'{name}: {of_class}', target.known & (target.values == k))
    for name, target in data.targets.items()
    if target.kind == 'class'
    for k, of_class in enumerate(target.names)
  ]


def examples(
  data: dataset_lib.Dataset, seen: Survey, *, count: int, seed: int
) -> list[dict]:
  """Draws images of each label, of none, and of each class of other targets.

  Those of different groups come first.

  Args:
    data: the data set.
    seen: rows are of its readable ones.
    count: rows of a label, at most.
    seed: of the draw.

  Returns:
    dicts of `label` (None for no label at all), `rows` and their `ids`.
  """
  groups = seen.rows if data.groups is None else data.groups[seen.rows]
  labels = data.labels[seen.rows]
  none = data.known[seen.rows].all(1) & ~labels.any(1)
  entries = []
  wanted = [(name, labels[:, k]) for k, name in enumerate(data.label_names)]
  wanted += [(None, none)]
  wanted += [(name, where[seen.rows]) for name, where in _classes(data)]
  for k, (name, where) in enumerate(wanted):
    shows = np.flatnonzero(where)
    shows = np.random.default_rng([seed, k]).permutation(shows)
    shows = shows[_is_first(seen.contents[shows])]
    shows = shows[np.argsort(~_is_first(groups[shows]), kind='stable')]
    rows = seen.rows[shows[:count]].tolist()
    ids = [str(data.ids[row]) for row in rows]
    entries.append({'label': name, 'rows': rows, 'ids': ids})
  return entries


def _is_first(values):
  """Returns bool[R], False where an earlier value is the same."""
  first = np.zeros(len(values), bool)
  first[np.unique(values, return_index=True)[1]] = True
  return first
