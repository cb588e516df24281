r"""The six augmentations as one batched function, for the accelerator.

For hosts that cannot keep up: the host draws the parameters and sends 64
bytes a row; pixels, noise included, are made on the device, with the images
that `augment.augment` makes, up to rounding:

  flip, noise, multiply    the same bits
  blur, contrast, warp     at most 1 grey level off, 1e-3 on average
  all six                  at most 3 grey levels off, 2e-3 on average

on 112 x 112 images of noise, the hardest to warp. Each step ends in whole
greys, as the host's does; what is off are sums that fall within float32's
rounding of the next grey, more of them the longer the side (at 1024 twice as
many). cv2 from 5 on warps in floating point, too; before, in 1/32 pixel.

Sources:
  P. S. Heckbert, Fundamentals of texture mapping and image warping, 1989, 2.2
  (the map of a square to a quadrilateral in closed form).
"""

import jax
import jax.numpy as jnp
import numpy as np

from aubal_jax.batches import draws
from aubal_jax.runs import errors

# One row of packed parameters: 16 words, 64 bytes.
_LAYOUT = np.dtype(
  [
    ('flip', np.uint32),
    ('blur_radius', np.int32),
    ('blur_sigma', np.float32),
    ('contrast', np.float32),
    ('noise_sigma', np.float32),
    ('multiply', np.float32),
    ('perspective', np.float32, (4, 2)),
    ('key', np.uint32, (2,)),  # Low half, high half.
  ]
)
NUM_WORDS = _LAYOUT.itemsize // 4


def pack(
  parameters: draws.Parameters, batch_size: int, chosen: np.ndarray
) -> np.ndarray:
  """Returns the drawn parameters as uint32[batch_size, NUM_WORDS].

  One array, as one transfer costs less than seven; rows not chosen are 0.

  Args:
    parameters: of the R chosen rows, in their order, see `draws.draw`.
    batch_size: rows of the batch.
    chosen: bool[batch_size], R of them True.

  Raises:
    UserError: chosen is not of this shape, or not R of it are True.
  """
  num_rows = len(parameters.key)
  if chosen.shape != (batch_size,) or np.count_nonzero(chosen) != num_rows:
    raise errors.UserError(
      f'chosen must be bool[{batch_size}] with one True for each of the '
      f'{num_rows} rows of parameters; got shape {list(chosen.shape)} with '
      f'{np.count_nonzero(chosen)}.'
    )
  rows = np.zeros(num_rows, _LAYOUT)
  for name in draws.NAMES:
    rows[name] = getattr(parameters, name)
  rows['blur_radius'] = [
    draws.blur_radius(sigma) for sigma in parameters.blur_sigma.tolist()
  ]
  rows['key'][:, 0] = parameters.key & np.uint64(0xFFFFFFFF)
  rows['key'][:, 1] = parameters.key >> np.uint64(32)
  packed = np.zeros((batch_size, NUM_WORDS), np.uint32)
  packed[chosen] = rows.view(np.uint32).reshape(num_rows, NUM_WORDS)
  return packed


def _unpack(packed):
  """Returns the fields of _LAYOUT by name, each [B, 1, 1, 1] or [B, ...]."""
  fields = {}
  for name, (dtype, offset) in _LAYOUT.fields.items():
    start, size = offset // 4, dtype.itemsize // 4
    words = packed[:, start : start + size]
    value = jax.lax.bitcast_convert_type(words, dtype.base)
    fields[name] = value.reshape(-1, *(dtype.shape or (1, 1, 1)))
  return fields


def _flip(image, flip):
  return jnp.where(flip != 0, image[:, :, ::-1], image)


def _blur(image, radius, sigma, *, widest):
  """Blurs by kernels of 2 radius + 1 taps, all of them made 2 widest + 1."""
  batch, height, width, channels = image.shape
  radius, sigma = (x.reshape(-1, 1, 1) for x in (radius, sigma))
  sigma = jnp.maximum(sigma, 1e-6)  # At radius 0 any will do.
  weights = [
    jnp.where(k <= radius, jnp.exp(-0.5 * jnp.square(k / sigma)), 0)
    for k in range(widest + 1)
  ]
  total = 2 * sum(weights) - weights[0]
  weights = [w / total for w in weights]

  def convolve(padded, *, axis, stride, size):
    def tap(k):
      start = (widest + k) * stride
      return jax.lax.slice_in_dim(padded, start, start + size, axis=axis)

    middle, *sides = weights
    pairs = enumerate(sides, start=1)
    return middle * tap(0) + sum(w * (tap(k) + tap(-k)) for k, w in pairs)

  # Columns and channels as one long axis, which vector units like better.
  beside = (widest, widest)
  none = (0, 0)
  padded = jnp.pad(image, (none, none, beside, none), mode='reflect')
  padded = padded.reshape(batch, height, -1)
  rows = convolve(padded, axis=2, stride=channels, size=width * channels)
  padded = jnp.pad(rows, (none, beside, none), mode='reflect')
  padded = jax.lax.optimization_barrier(padded)
  return jnp.rint(convolve(padded, axis=1, stride=1, size=height)).reshape(
    image.shape
  )


def _contrast(image, alpha):
  return jnp.trunc(jnp.clip(127 + alpha * (image - 127), 0, 255))


def _noise_bits(key, count):
  """Returns int32[B, count], those of `draws.noise_bits`."""
  pixel = jnp.arange(count, dtype=jnp.uint32)[None]
  x = key[:, :1] + (pixel >> 1) * (key[:, 1:] | 1)
  x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
  x = x ^ (x >> 16)
  return ((x >> (pixel & 1) * 16) & 0xFFFF).astype(jnp.int32)


def _noise(image, sigma, key):
  batch, height, width, _ = image.shape
  index = _noise_bits(key, height * width)
  table = jnp.asarray(draws.normal_quantiles())
  normal = table.at[index].get(mode='clip').reshape(batch, height, width, 1)
  return jnp.clip(image + jnp.rint(sigma * normal), 0, 255)


def _multiply(image, factor):
  return jnp.trunc(jnp.clip(factor * image, 0, 255))


def _source_of(insets, height, width):
  """Returns where each pixel is found, x and y float32[B, H, W], in pixels."""
  u = ((jnp.arange(width, dtype=jnp.float32) + 0.5) / width)[None, None]
  v = ((jnp.arange(height, dtype=jnp.float32) + 0.5) / height)[None, :, None]
  # The corners as in augment: top left and right, bottom right and left.
  inward = insets[..., None, None]
  (ax, ay), (bx, by), (cx, cy), (dx, dy) = (
    (inward[:, i, 0], inward[:, i, 1]) for i in range(4)
  )
  # Heckbert's sums of the corners (ax, ay), (1 - bx, by), (1 - cx, 1 - cy) and
  # (dx, 1 - dy), written so that equal insets cancel exactly.
  sum_x, sum_y = ax + bx - cx - dx, ay - by - cy + dy
  right_x, right_y = cx - bx, by + cy - 1
  low_x, low_y = dx + cx - 1, cy - dy
  area = right_x * low_y - low_x * right_y
  g = (sum_x * low_y - low_x * sum_y) / area
  h = (right_x * sum_y - sum_x * right_y) / area
  scale = g * u + h * v + 1
  x = (1 - bx - ax + g * (1 - bx)) * u + (dx - ax + h * dx) * v + ax
  y = (by - ay + g * by) * u + (1 - dy - ay + h * (1 - dy)) * v + ay
  return x / scale * width - 0.5, y / scale * height - 0.5


def _perspective(image, insets):
  """Bilinear warp; one gather a pixel, of its four neighbours in one word."""
  batch, height, width, channels = image.shape
  x, y = _source_of(insets, height, width)
  x = jnp.clip(x, 0, width - 1)[..., None]
  y = jnp.clip(y, 0, height - 1)[..., None]
  left, top = jnp.floor(x), jnp.floor(y)
  words = image.astype(jnp.uint32)
  # What rolls over an edge has weight 0: x and y end at the last pixels.
  words |= jnp.roll(words, -1, axis=2) << 8
  words |= jnp.roll(words, -1, axis=1) << 16
  index = top.astype(jnp.int32) * width + left.astype(jnp.int32)
  words = jax.vmap(lambda w, i: w.at[i].get(mode='clip'))(
    words.reshape(batch, height * width, channels),
    index.reshape(batch, height * width),
  ).reshape(image.shape)
  a, b, c, d = (
    (words >> shift & 0xFF).astype(jnp.float32) for shift in (0, 8, 16, 24)
  )
  x, y = x - left, y - top
  upper, lower = a + x * (b - a), c + x * (d - c)
  return jnp.rint(upper + y * (lower - upper))


def _finish(image, mask):
  """Returns image; it is made here once, not anew for each pixel's neighbours.

  XLA for CPUs drops barriers, but fuses nothing across a conditional.
  """
  return jax.lax.platform_dependent(
    image,
    mask,
    cpu=lambda x, m: jax.lax.cond(m.any(), lambda: x, lambda: 0 * x),
    default=lambda x, m: jax.lax.optimization_barrier(x),
  )


def augment_images(image, packed, mask, *, settings: draws.Settings):
  """Augments the rows in mask; plain, to be jitted or mapped.

  A row's result depends on its image and its parameters alone, so it is the
  same however a batch is spread over devices.

  Args:
    image: uint8[B, H, W, C].
    packed: uint32[B, NUM_WORDS], from `pack`.
    mask: bool[B]; other rows come back as they are.
    settings: those the parameters were drawn from; its largest blur sets the
      width of all kernels. Not an array: bind it before compiling.

  Returns:
    uint8[B, H, W, C].

  Raises:
    UserError: an argument of another dtype or shape.
  """
  if image.dtype != jnp.uint8 or image.ndim != 4:
    raise errors.UserError(
      f'image must be uint8[B, H, W, C]; got {image.dtype}{list(image.shape)}.'
    )
  batch = len(image)
  for name, value, dtype, shape in (
    ('packed', packed, 'uint32', (batch, NUM_WORDS)),
    ('mask', mask, 'bool', (batch,)),
  ):
    if value.dtype != dtype or value.shape != shape:
      raise errors.UserError(
        f'{name} must be {dtype}{list(shape)}; got '
        f'{value.dtype}{list(value.shape)}.'
      )
  p = _unpack(packed)
  # No sigma has more taps than the factor for small ones would give it.
  widest = int(max(3.3 * settings.largest_blur, 5)) // 2
  result = _flip(image, p['flip']).astype(jnp.float32)
  result = _blur(result, p['blur_radius'], p['blur_sigma'], widest=widest)
  result = _contrast(result, p['contrast'])
  result = _noise(result, p['noise_sigma'], p['key'])
  result = _multiply(result, p['multiply'])
  result = _finish(result.astype(jnp.uint8), mask)
  result = _perspective(result, p['perspective'])
  return jnp.where(mask[:, None, None, None], result.astype(jnp.uint8), image)
