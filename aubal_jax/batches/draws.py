"""What is done to an image in training, drawn from (seed, epoch, row) alone.

NumPy alone: who makes the pixels, the host by albumentations or the device,
is another matter. So threads share no random state, nothing is reseeded, and a
row looks the same whoever makes it, and when.

Sources:
  A. Jung et al., imgaug, https://github.com/aleju/imgaug
  G. Steele et al., Fast splittable pseudorandom number generators, OOPSLA
  2014 (SplitMix64, the hash from which everything is drawn; the noise is from
  its 32-bit kin, which accelerators compute as well).
"""

import dataclasses
import functools
import math
import statistics

import numpy as np

from aubal_jax.runs import errors

# Below this a Gaussian of so many pixels is a copy, as in imgaug.
_LEAST_SIGMA = 1e-3
# Of the side. Below 1/3 the four jittered corners are always convex.
_LARGEST_INSET = 0.3
# From here on a face is lost, however often its image is shown.
LARGEST_STRENGTH = 5.0


@dataclasses.dataclass(frozen=True)
class Settings:
  """From what the parameters are drawn; pairs are ranges, drawn evenly.

  Raises:
    UserError: flip or growth_exponent outside [0, 1], strength outside [0, 5],
      or a range that is not two finite numbers 0 <= low <= high (perspective:
      <= 0.3).
  """

  flip: float = 0.5  # Probability of a left-right flip.
  blur_sigma: tuple[float, float] = (0.0, 1.0)  # Gaussian, pixels.
  contrast: tuple[float, float] = (0.8, 1.25)  # Factor about grey 127.
  noise_sigma: tuple[float, float] = (0.0, 8.0)  # Gaussian, grey levels.
  multiply: tuple[float, float] = (0.8, 1.2)  # Brightness factor.
  perspective: tuple[float, float] = (0.0, 0.06)  # Corner jitter, of the side.
  strength: float = 1.0  # How far all but the flip go, times these ranges;
  growth_exponent: float = 0.0  # times the growth of a row to this power.

  def __post_init__(self):
    for name, most in (
      ('flip', 1),
      ('strength', LARGEST_STRENGTH),
      ('growth_exponent', 1),
    ):
      if not 0 <= getattr(self, name) <= most:
        raise errors.UserError(
          f'{name} must be in [0, {most:g}]; got {getattr(self, name)!r}.'
        )
    for name in NAMES[1:]:
      largest = _LARGEST_INSET if name == 'perspective' else math.inf
      _check_range(name, getattr(self, name), largest)

  def strength_of(self, growth):
    """Returns how strong rows are augmented: strength g^exponent, at most 5.

    Args:
      growth: float64[B] or float, g >= 1, see `plan_rows.growth_of`.
    """
    strength = self.strength * growth**self.growth_exponent
    return np.minimum(strength, LARGEST_STRENGTH)

  @property
  def largest_blur(self) -> float:
    """The largest sigma of a blur that any row can have, in pixels."""
    most = LARGEST_STRENGTH if self.growth_exponent else self.strength
    return self.blur_sigma[1] * most


@dataclasses.dataclass(frozen=True)
class Parameters:
  """What is done to each of B images, in this order; `key` is of the noise."""

  flip: np.ndarray  # bool[B]
  blur_sigma: np.ndarray  # float64[B], pixels
  contrast: np.ndarray  # float64[B]
  noise_sigma: np.ndarray  # float64[B], grey levels
  multiply: np.ndarray  # float64[B]
  perspective: np.ndarray  # float64[B, 4, 2], inset of each corner in x, y
  key: np.ndarray  # uint64[B], of each image's noise


# The augmentations, in the order of their application.
NAMES = tuple(field.name for field in dataclasses.fields(Parameters))[:-1]
# What is in `Settings`.
OPTIONS = tuple(field.name for field in dataclasses.fields(Settings))


def _check_range(name, value, largest):
  """Raises UserError unless value is a pair 0 <= low <= high <= largest."""
  try:
    low, high = (float(v) for v in value)
    good = 0 <= low <= high <= largest and math.isfinite(high)
  except (TypeError, ValueError):
    good = False
  if not good:
    bound = f' <= {largest}' if math.isfinite(largest) else ', both finite'
    raise errors.UserError(
      f'{name} must be two numbers (low, high) with 0 <= low <= high{bound}; '
      f'got {value!r}.'
    )


def _mix(x):
  """SplitMix64's finalizer, a bijection of uint64; x is an array."""
  x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return x ^ (x >> np.uint64(31))


def hash_rows(seed: int, epochs, rows, *, count: int, stream: int = 0):
  """Returns uint64[B, count] random bits for each (seed, epoch, row).

  SplitMix64 started at a hash of (seed, stream, epoch, row): for one seed,
  stream and epoch no two rows start alike.

  Args:
    seed: int >= 0.
    epochs: int[B] or int, >= 0.
    rows: int[B], >= 0.
    count: how many numbers a row.
    stream: separates uses that share seed, epoch and row.
  """
  gamma = np.uint64(0x9E3779B97F4A7C15)
  rows = np.asarray(rows).astype(np.uint64)
  state = np.full(rows.shape, seed % 2**64, np.uint64)
  for part in (np.full_like(state, stream), epochs, rows):
    state = _mix(state + gamma) + np.asarray(part).astype(np.uint64)
  counter = np.arange(1, count + 1, dtype=np.uint64) * gamma
  return _mix(_mix(state)[:, None] + counter)


def to_unit(bits):
  """Returns float64 in [0, 1) from uint64 bits, evenly, 53 bits of them."""
  return (bits >> np.uint64(11)) * 2.0**-53


def draw(
  settings: Settings, *, seed: int, epochs, rows, growth=1.0
) -> Parameters:
  """Draws the parameters of B images, each from (seed, epoch, row) alone.

  Corner insets are |N(0, scale)| of the side, scale drawn evenly, at most
  0.3. (imgaug folds them at 1 instead, which a scale below 0.06 never meets.)

  At strength s (`Settings.strength_of`) sigmas and insets are s times, and
  factors to the power s of, what they are at 1. A flip is one at any strength.

  Args:
    settings: the ranges.
    seed: int >= 0.
    epochs: int[B] or int, >= 0.
    rows: int[B], >= 0: plan rows.
    growth: float64[B] or float, >= 1, of these rows, see `plan_rows.growth_of`.
  """
  strength = settings.strength_of(growth)
  bits = hash_rows(seed, epochs, rows, count=15)
  unit = to_unit(bits[:, :14])

  def between(low_high, u):
    low, high = low_high
    return low + (high - low) * u

  # Box and Muller: four pairs make the eight normals of a row.
  radius = np.sqrt(-2 * np.log1p(-unit[:, 6:10]))
  angle = 2 * np.pi * unit[:, 10:14]
  normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
  scale = strength * between(settings.perspective, unit[:, 5])
  return Parameters(
    flip=unit[:, 0] < settings.flip,
    blur_sigma=strength * between(settings.blur_sigma, unit[:, 1]),
    contrast=between(settings.contrast, unit[:, 2]) ** strength,
    noise_sigma=strength * between(settings.noise_sigma, unit[:, 3]),
    multiply=between(settings.multiply, unit[:, 4]) ** strength,
    perspective=np.minimum(
      np.abs(normal) * scale[:, None, None], _LARGEST_INSET
    ),
    key=bits[:, 14],
  )


@functools.cache
def normal_quantiles():
  """Returns float32[65536]: equally likely values of N(0, 1), rising."""
  inverse = statistics.NormalDist().inv_cdf
  upper = [inverse(0.5 + (k + 0.5) / 65536) for k in range(32768)]
  upper = np.array(upper, np.float32)
  return np.concatenate([-upper[::-1], upper])


def blur_radius(sigma):
  """Returns the taps beside the middle one: imgaug's size, 0 for a copy.

  The kernel has max(3.3 sigma, 5) taps (2.9 from sigma 3, 2.6 from 5 on), cut
  to a whole number and made odd.
  """
  if sigma < _LEAST_SIGMA:
    return 0
  factor = 3.3 if sigma < 3 else 2.9 if sigma < 5 else 2.6
  return int(max(factor * sigma, 5)) // 2


@functools.lru_cache(maxsize=4)
def _counter(count):
  return np.arange(count, dtype=np.uint32)


def noise_bits(key, count):
  """Returns uint16[count] random bits, two of each word of the key's stream.

  Word n is MurmurHash3's finalizer of low + n (high | 1), low and high the
  halves of the 64-bit key: SplitMix in 32 bits, with its own stride a key.
  """
  key = int(key)
  x = _counter(-(-count // 2)) * np.uint32(key >> 32 | 1)
  x += np.uint32(key & 0xFFFFFFFF)
  x ^= x >> np.uint32(16)
  x *= np.uint32(0x85EBCA6B)
  x ^= x >> np.uint32(13)
  x *= np.uint32(0xC2B2AE35)
  x ^= x >> np.uint32(16)
  return x.view(np.uint16)[:count]  # The low half first.
