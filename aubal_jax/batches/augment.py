"""The paper's six augmentations, on the host.

Meaning and order are imgaug's, which the paper used: left-right flip, Gaussian
blur, linear contrast, additive Gaussian noise, multiply, perspective. The
pixels are made by albumentations, through each transform's stateless `apply`
with parameters from `draws`.

Where albumentations 2.0.8 means something else, it is put right here:
`GaussNoise` truncates noise towards 0, so it is handed whole grey levels;
`Perspective(keep_size=True)` scales twice and its contrast turns around other
greys, so both have a small transform below.
"""

import dataclasses
import os
import types

# Else the import asks the network for a newer version.
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

import albumentations as A
import cv2
import numpy as np

from aubal_jax.batches import draws
from aubal_jax.runs import errors

# Images are spread over threads; none within one image, which would only get
# in the way.
cv2.setNumThreads(0)

# Corners in the order top left, top right, bottom right, bottom left; x, y.
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
_INWARD = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], np.float32)
_GREYS = np.arange(256, dtype=np.float32)


class LinearContrast(A.ImageOnlyTransform):
  """trunc(clip(127 + alpha (v - 127), 0, 255)), by a table, as in imgaug."""

  def apply(self, img, alpha, **params):
    """Returns the image, uint8[H, W, C], with its contrast times alpha."""
    table = 127 + np.float32(alpha) * (_GREYS - 127)
    table = np.clip(table, 0, 255).astype(np.uint8)
    return cv2.LUT(img, table).reshape(img.shape)


class InsetPerspective(A.ImageOnlyTransform):
  """Stretches the quadrilateral of four inset corners over the whole image.

  One bilinear warp, at the image's own size. A corner of the image is the
  outer corner of its outermost pixel, so equal insets are a centred crop,
  resized.
  """

  def apply(self, img, insets, **params):
    """Returns the warped image; insets float[4, 2] >= 0, of the side, x, y."""
    height, width = img.shape[:2]
    side = np.array([width, height], np.float32)
    corners = _CORNERS * side - 0.5
    source = corners + _INWARD * np.asarray(insets, np.float32) * side
    warped = cv2.warpPerspective(
      img,
      cv2.getPerspectiveTransform(corners, source),
      (width, height),
      flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
      borderMode=cv2.BORDER_REPLICATE,
    )
    return warped.reshape(img.shape)


_FLIP = A.HorizontalFlip(p=1)
_BLUR = A.GaussianBlur(p=1)
_CONTRAST = LinearContrast(p=1)
_NOISE = A.GaussNoise(p=1)
_MULTIPLY = A.MultiplicativeNoise(p=1)
_PERSPECTIVE = InsetPerspective(p=1)


def flip_lr(image, flip, key=0):
  """Mirrors left and right where flip is True."""
  return _FLIP.apply(image) if flip else image


def gaussian_blur(image, sigma, key=0):
  """Blurs by a Gaussian of sigma pixels; borders mirrored without the edge."""
  size = 2 * draws.blur_radius(sigma) + 1
  if size == 1:
    return image
  return _BLUR.apply(image, kernel=cv2.getGaussianKernel(size, sigma).ravel())


def linear_contrast(image, alpha, key=0):
  """trunc(clip(127 + alpha (v - 127), 0, 255))."""
  return _CONTRAST.apply(image, alpha=alpha) if alpha != 1 else image


def additive_gaussian_noise(image, sigma, key):
  """clip(v + round(N(0, sigma))); one field for all channels.

  The field comes from the 64-bit key. A normal is one of 65,536 equally
  likely quantiles (largest 4.2 sigma, variance short by 2e-5), four times as
  fast as an exact one and the same once rounded to grey levels.
  """
  if sigma == 0:
    return image
  height, width = image.shape[:2]
  index = draws.noise_bits(key, height * width)
  noise = draws.normal_quantiles().take(index, mode='clip')
  noise *= np.float32(sigma)
  np.rint(noise, out=noise)
  return _NOISE.apply(image, noise_map=noise.reshape(height, width, 1))


def multiply(image, factor, key=0):
  """trunc(clip(factor v, 0, 255))."""
  if factor == 1:
    return image
  return _MULTIPLY.apply(image, multiplier=float(factor))


def perspective(image, insets, key=0):
  """Stretches four corners, inset by float[4, 2] of the side, to the image."""
  if not np.any(insets):
    return image
  return _PERSPECTIVE.apply(image, insets=insets)


# Field of `draws.Parameters` -> function(image uint8[H, W, C], its value, key),
# in the order of application. None changes its input; an identity value (False,
# 0 or a factor of 1) gives the image itself.
AUGMENTATIONS = types.MappingProxyType(
  {
    'flip': flip_lr,
    'blur_sigma': gaussian_blur,
    'contrast': linear_contrast,
    'noise_sigma': additive_gaussian_noise,
    'multiply': multiply,
    'perspective': perspective,
  }
)


def augment(images: np.ndarray, parameters: draws.Parameters) -> np.ndarray:
  """Returns the images, each after all AUGMENTATIONS with its parameters.

  Args:
    images: uint8[B, H, W, C], C 1 or 3; not changed.
    parameters: of B images, see `draws.draw`.

  Raises:
    UserError: images of another dtype or shape.
  """
  if images.dtype != np.uint8 or images.ndim != 4:
    raise errors.UserError(
      'images must be uint8[B, H, W, C]; got '
      f'{images.dtype}{list(images.shape)}.'
    )
  if len(images) != len(parameters.key):
    raise errors.UserError(
      'parameters must be of as many rows as there are images, '
      f'{len(images)}; got {len(parameters.key)}.'
    )
  steps = [(f, getattr(parameters, name)) for name, f in AUGMENTATIONS.items()]
  result = np.empty_like(images)
  for i, image in enumerate(images):
    for function, values in steps:
      image = function(image, values[i], parameters.key[i])
    result[i] = image
  return result


@dataclasses.dataclass(frozen=True)
class Drawn:
  """All AUGMENTATIONS, with parameters that are drawn for rows.

  Attributes:
    settings: ranges of the parameters.
    seed: of everything drawn.
    growth: float64[M] of all rows, see `plan_rows.growth_of`; None: all 1.
  """

  settings: draws.Settings
  seed: int
  growth: np.ndarray | None = None

  def parameters(self, epochs, rows) -> draws.Parameters:
    """Returns what is drawn, see `draws.draw`."""
    return draws.draw(
      self.settings,
      seed=self.seed,
      epochs=epochs,
      rows=rows,
      growth=1.0 if self.growth is None else self.growth[rows],
    )

  def __call__(self, images: np.ndarray, epochs, rows) -> np.ndarray:
    """Returns uint8[B, H, W, C] after them; epochs int[B] or int, rows int[B].

    Raises:
      UserError: as `augment`.
    """
    return augment(images, self.parameters(epochs, rows))
