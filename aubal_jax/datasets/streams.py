"""What a network sees of a row: streams, such as an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from aubal_jax.runs import errors

IMAGE = 'image'  # The stream that is augmented.
FEATURES = 'features'  # The numbers of a table, and the network that sees them.
CLIP = 'clip'  # Pictures of the frames that lead to a row.
SOUND = 'sound'  # What is heard about it.


@dataclasses.dataclass(frozen=True)
class Stream:
  """One kind of input, of every row of a table.

  Attributes:
    name: of the field of a batch, and of the network's parameter.
    dtype: of a row, uint8 (which networks see scaled to [0, 1]) or floating.
    shape: of a row.
    read: maps int[R] row numbers to dtype[R, *shape]; used from many threads.
    mean: float64[F], of a row float[F], of which networks subtract it; or None.
    std: likewise, by which they divide then; 0: they see 0.
    parts: name of head -> (start, stop), the numbers of a row that it sees;
      None: every head sees all.
    made: settings, in plain JSON types, by which a row is made of files, for
      who makes rows of other files for a trained network; or None.
    over: of what is read of pictures: maps a way to them, int[R] rows ->
      uint8[R, H, W, C], to the stream that takes it; else None.
    pictures: int[R], ascending, the rows whose pictures it then asks for; some
      may be of no use but for that.
  """

  name: str
  dtype: np.dtype
  shape: tuple[int, ...]
  read: Callable[[np.ndarray], np.ndarray]
  mean: np.ndarray | None = None
  std: np.ndarray | None = None
  parts: Mapping[str, tuple[int, int]] | None = None
  made: Mapping | None = None
  over: Callable[[Callable], Stream] | None = None
  pictures: np.ndarray | None = None

  def take(self, rows: np.ndarray) -> np.ndarray:
    """Returns dtype[R, *shape]; raises UserError where that is not read."""
    values = self.read(rows)
    if values.dtype != self.dtype or values.shape[1:] != self.shape:
      wanted = ', '.join(map(str, ('R', *self.shape)))
      raise errors.UserError(
        f'The stream {self.name!r} must give {np.dtype(self.dtype)}[{wanted}]; '
        f'got {values.dtype}{list(values.shape)}.'
      )
    return values


def of_images(
  read: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int, int]
) -> Stream:
  """Returns the stream of images uint8[H, W, C].

  Args:
    read: maps int[R] row numbers to uint8[R, H, W, C].
    shape: (H, W, C).
  """
  return Stream(IMAGE, np.dtype(np.uint8), tuple(shape), read)
