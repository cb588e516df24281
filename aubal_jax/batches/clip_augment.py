"""What is done to a clip in training: one flip and one shift of its colours.

As in Kuhnke et al. 2020 (arXiv 2002.03399), the same for all of its frames and
drawn from (seed, epoch, row) alone. Black frames, where there is no face, stay
black: so they are in evaluation. Shifts grow with the strength of a row.
"""

import dataclasses

import cv2
import numpy as np

from aubal_jax.batches import draws
from aubal_jax.runs import errors

_STREAM = 2  # Of draws.hash_rows; 0 is of images, 1 of partners.
_HUES = 180  # In OpenCV's bytes, of two degrees.
# The largest shift of hue, saturation and value, in OpenCV's bytes, at
# strength 1; at the largest one a hue goes less than half round.
SHIFTS = (10, 25, 20)
# Greys of lines of a mask that are of the left or of the right: brows, eyes.
SIDES = ((223, 191), (159, 127))


def _swapped() -> np.ndarray:
  """Returns uint8[256]: the grey of a mask -> that of the mirrored mask."""
  table = np.arange(256, dtype=np.uint8)
  for left, right in SIDES:
    table[[left, right]] = right, left
  return table


_SWAPPED = _swapped()


def flip(clip: np.ndarray) -> np.ndarray:
  """Returns a clip mirrored left and right; a mask has its sides swapped.

  Args:
    clip: uint8[T, H, W, C], with 2 or 4 channels the last is a mask.
  """
  flipped = clip[:, :, ::-1].copy()
  if flipped.shape[3] % 2 == 0:
    flipped[..., -1] = _SWAPPED[flipped[..., -1]]
  return flipped


def shift(clip: np.ndarray, hue: int, saturation: int, value: int):
  """Returns a clip of other colours, or of another grey; a mask stays.

  In OpenCV's 8-bit HSV, where the hue wraps and the others are clipped. Of grey
  clips the value alone is shifted.

  Args:
    clip: uint8[T, H, W, C], with 2 or 4 channels the last is a mask.
    hue: added to the hue, in units of two degrees.
    saturation: added to the saturation.
    value: added to the value.
  """
  shifted = clip.copy()
  there = clip.any(axis=(1, 2, 3))
  if clip.shape[3] < 3:
    shifted[there, ..., 0] = _table(value)[clip[there, ..., 0]]
    return shifted
  frames = np.ascontiguousarray(clip[there, ..., :3])
  if not len(frames):
    return shifted
  tall = frames.reshape(-1, *frames.shape[2:])
  tables = (np.arange(256) + hue) % _HUES, _table(saturation), _table(value)
  tables = np.stack(tables, axis=-1).astype(np.uint8)[np.newaxis]
  tall = cv2.LUT(cv2.cvtColor(tall, cv2.COLOR_RGB2HSV), tables)
  tall = cv2.cvtColor(tall, cv2.COLOR_HSV2RGB)
  shifted[there, ..., :3] = tall.reshape(frames.shape)
  return shifted


def _table(amount) -> np.ndarray:
  return np.clip(np.arange(256) + amount, 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Drawn:
  """Both, as they are drawn for rows.

  Attributes:
    settings: of it the probability of a flip, and how strong shifts are.
    seed: of everything drawn.
    growth: float64[M] of all rows, see `plan_rows.growth_of`; None: all 1.
  """

  settings: draws.Settings
  seed: int
  growth: np.ndarray | None = None

  def parameters(self, epochs, rows) -> tuple[np.ndarray, np.ndarray]:
    """Returns bool[B], whether to flip, and int[B, 3], what is shifted.

    Shifts are even in (-S, S), cut to a whole number; S are `SHIFTS` times the
    strength, see `draws.Settings.strength_of`.
    """
    growth = 1.0 if self.growth is None else self.growth[rows]
    strength = np.reshape(self.settings.strength_of(growth), (-1, 1))
    bits = draws.hash_rows(self.seed, epochs, rows, count=4, stream=_STREAM)
    unit = draws.to_unit(bits)
    shifts = np.trunc((2 * unit[:, 1:] - 1) * SHIFTS * strength)
    return unit[:, 0] < self.settings.flip, shifts.astype(np.int64)

  def __call__(self, clips: np.ndarray, epochs, rows) -> np.ndarray:
    """Returns uint8[B, T, H, W, C] after both; epochs int[B] or int, rows [B].

    Raises:
      UserError: clips of another dtype or shape.
    """
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[4] > 4:
      raise errors.UserError(
        'clips must be uint8[B, T, H, W, C], C 1 to 4; got '
        f'{clips.dtype}{list(clips.shape)}.'
      )
    flips, shifts = self.parameters(epochs, rows)
    result = np.empty_like(clips)
    for k, clip in enumerate(clips):
      flipped = flip(clip) if flips[k] else clip
      result[k] = shift(flipped, *shifts[k])
    return result
