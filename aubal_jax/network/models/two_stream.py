"""The two-stream aural-visual network (Kuhnke et al. 2020).

Two-Stream Aural-Visual Affect Analysis in the Wild, arXiv 2002.03399: R(2+1)D
of a clip of faces, a ResNet of a spectrogram, and dense heads on the features
of both, side by side.
"""

import types
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import layers
from aubal_jax.network.models import r2plus1d
from aubal_jax.network.models import resnet
from aubal_jax.runs import errors

# modalities -> names of the streams that such a network sees.
MODALITIES = types.MappingProxyType(
  {'both': ('clip', 'sound'), 'video': ('clip',), 'audio': ('sound',)}
)


class TwoStream(nn.Module):
  """Features of a clip, of a spectrogram, or of both: the sound's first.

  Attributes:
    modalities: a name of `MODALITIES`.
    stage_sizes: blocks in each stage, of both.
    width: filters of both stems and first stages.
    dropout: share of the features that is zeroed in training.
    momentum: decay of the running batch norm statistics.
    axis_name: mapped axis whose devices share one batch, or None.
    dtype: of the arithmetic.
    param_dtype: of parameters and running statistics.
    remat: compute what is inside the blocks once more for the gradient.
    first: a name of `first_weights.INITS`; see also `r2plus1d.INITS`.
  """

  modalities: str = 'both'
  stage_sizes: tuple[int, ...] = (2, 2, 2, 2)
  width: int = 64
  dropout: float = 0.0
  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  remat: bool = False
  first: str = 'he_normal'

  @property
  def streams(self) -> tuple[str, ...]:
    """Names of what it sees."""
    return MODALITIES[self.modalities]

  @nn.compact
  def __call__(self, clip=None, sound=None, *, train: bool = False):
    """Returns features float[B, F], float32 or wider.

    Args:
      clip: float[B, T, H, W, C], normalised, where it is seen.
      sound: float[B, 64, W], a standardised mel spectrogram, likewise.
      train: as in `resnet.ResNet`.

    Raises:
      UserError: they are no batches of clips or of spectrograms.
    """
    of_all = {
      name: getattr(self, name)
      for name in (
        *('stage_sizes', 'width', 'momentum', 'axis_name', 'dtype'),
        *('param_dtype', 'remat', 'first'),
      )
    }
    features = []
    if 'sound' in self.streams:
      _check_sound(sound)
      audio = resnet.ResNet(**of_all, name='audio')
      features.append(audio(sound[..., jnp.newaxis], train=train))
    if 'clip' in self.streams:
      video = r2plus1d.R2Plus1D(**of_all, name='video')
      features.append(video(clip, train))
    drop = layers.Dropout(self.dropout, self.axis_name)
    return drop(jnp.concatenate(features, axis=-1), train)


def _check_sound(sound) -> None:
  """Raises UserError unless these are spectrograms [B, F, W]."""
  if sound.ndim != 3 or not jnp.issubdtype(sound.dtype, jnp.floating):
    raise errors.UserError(
      'sounds must be floating point [B, 64, W], got '
      f'{sound.dtype}{list(sound.shape)}.'
    )
