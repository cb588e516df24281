"""How the pixels that a network sees are normalised."""

from __future__ import annotations

import types
from collections.abc import Mapping
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from aubal_jax.runs import errors

# name -> mean and standard deviation of each channel, of pixels in [0, 1].
PRESETS = types.MappingProxyType(
  {
    'none': ((), ()),
    # Of torchvision, timm, MAE and DINOv2.
    'imagenet': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # To [-1, 1]: of Keras's MobileNetV2, and of ViTs of Google.
    'half': ((0.5,), (0.5,)),
  }
)

# Of frames, as networks that begin with Kinetics-400 want them, in torchvision.
_CLIP = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
_MASK = (0.5, 0.225)  # Of a channel with the lines of landmarks.


def find(
  preset: str, mean: Sequence[float], std: Sequence[float], channels: int
) -> dict[str, list[float]]:
  """Returns 'mean' and 'std' of the channels, {} where nothing is done.

  Args:
    preset: a name of `PRESETS`.
    mean: of each channel, or one for all; in place of the preset's.
    std: likewise.
    channels: of the images. Grey ones with three means become three channels.

  Raises:
    UserError: they are not of as many channels, or both are given.
  """
  if mean or std:
    if preset != 'none':
      raise errors.UserError(
        f'data.normalise must be none where data.mean and data.std are given; '
        f'it is {preset!r}.'
      )
  else:
    mean, std = PRESETS[preset]
  if len(mean) != len(std) or len(mean) not in {0, 1, 3, channels}:
    raise errors.UserError(
      'data.mean and data.std must have as many values, one, or one for each '
      f'of the {channels} channels (three also of grey images); they have '
      f'{len(mean)} and {len(std)}.'
    )
  if not mean:
    return {}
  return {'mean': [*map(float, mean)], 'std': [*map(float, std)]}


def of_clip(held: Mapping[str, Sequence[float]], channels: int) -> dict:
  """Returns 'mean' and 'std' of the channels of frames, of pixels in [0, 1].

  Args:
    held: from `find`, of the colours or of grey; {}: those of Kinetics-400.
      Grey is normalised by the mean of three.
    channels: of the frames; with 2 or 4 the last is that of landmarks, of mean
      .5 and deviation .225.
  """
  colours = channels - 1 + channels % 2
  found = dict(zip(('mean', 'std'), _CLIP, strict=True)) | {**held}
  moments = {}
  for (name, values), of_mask in zip(found.items(), _MASK, strict=True):
    if len(values) != colours:
      values = [sum(values) / len(values)] * colours
    moments[name] = (*values, *[of_mask] * (channels - colours))
  return moments


def normalise(image, held: Mapping[str, Sequence[float]], dtype):
  """Returns (image - mean) / std, computed in float32 at least.

  Args:
    image: float[B, H, W, C] in [0, 1].
    held: from `find`.
    dtype: of the result.

  Returns:
    [B, H, W, C]; of grey images with three means C is 3.
  """
  wide = jnp.promote_types(image.dtype, jnp.float32)
  mean, std = (
    jnp.asarray(held[name], wide).reshape(1, 1, 1, -1)
    for name in ('mean', 'std')
  )
  return ((image.astype(wide) - mean) / std).astype(dtype)


def standardise(values, mean: Sequence[float], std: Sequence[float]):
  """Returns (values - mean) / std, float[B, ..., F]; 0 where std is 0.

  Args:
    values: float[B, ..., F].
    mean: of each of the F numbers.
    std: likewise; 0 of one that was the same in all of training.
  """
  shape = (1,) * (values.ndim - 1) + (-1,)
  std = np.reshape(std, shape)
  scale = np.where(std > 0, std, np.inf).astype(values.dtype)
  return (values - np.asarray(mean, values.dtype).reshape(shape)) / scale
