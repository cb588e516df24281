"""The networks, by name: images in [0, 1] go in, one logit per label out."""

import functools
import types

import jax
import jax.numpy as jnp

from aubal_jax.network.models import resnet
from aubal_jax.runs import errors

# name -> factory(num_outputs, **options). Parameter counts are those of one
# input channel, eight outputs and the 7x7 stem.
MODELS = types.MappingProxyType(
  {
    # 11,174,344 parameters.
    'resnet18_112': functools.partial(
      resnet.ResNet, stage_sizes=(2, 2, 2, 2), width=64
    ),
    # 21,282,504 parameters.
    'resnet34_112': functools.partial(
      resnet.ResNet, stage_sizes=(3, 4, 6, 3), width=64
    ),
    # 4,254,664 parameters: the last stage is dropped.
    'resnet18_64': functools.partial(
      resnet.ResNet, stage_sizes=(2, 3, 3), width=64
    ),
    # 78,264 parameters. Of nobody's paper: for tests and for tiny runs.
    'resnet8_16': functools.partial(
      resnet.ResNet, stage_sizes=(1, 1, 1), width=16
    ),
  }
)


def make_model(
  name: str,
  num_outputs: int,
  *,
  stem: str = '7x7',
  momentum: float = 0.9,
  axis_name: str | None = None,
  dtype=jnp.float32,
  param_dtype=jnp.float32,
  remat: bool = False,
) -> resnet.ResNet:
  """Returns the network called `name`.

  Args:
    name: a name of `MODELS`.
    num_outputs: number of labels L, one logit each.
    stem: first convolution, '7x7' or '3x3'; both halve height and width.
    momentum: decay of the running batch norm statistics, in [0, 1):
      running = momentum * running + (1 - momentum) * batch.
    axis_name: the mapped axis whose devices share one batch, or None. It
      matters in training alone; `apply(..., train=False)` never looks at it.
    dtype: of the arithmetic. Statistics are at least float32 in any case.
    param_dtype: of the parameters and of the running statistics.
    remat: keep of each block its input alone, and compute the rest once more
      for the gradient: less memory, a quarter to a third more time.

  Returns:
    A flax module. `module.init(key, float[B, H, W, C])` makes its variables,
    `module.apply(variables, float[B, H, W, C], train=False)` the logits
    [B, L], float32 or wider.

  Raises:
    UserError: the name or the stem is not known, or a number is out of range.
  """
  if name not in MODELS:
    raise errors.UserError(
      f'Unknown model {name!r}; choose one of {sorted(MODELS)}.'
    )
  if num_outputs < 1:
    raise errors.UserError(
      f'num_outputs must be at least 1, got {num_outputs}: give the number'
      ' of labels.'
    )
  if stem not in resnet.STEM_SIZES:
    raise errors.UserError(
      f'Unknown stem {stem!r}; choose one of {sorted(resnet.STEM_SIZES)}.'
    )
  if not 0 <= momentum < 1:
    raise errors.UserError(
      f'momentum must be in [0, 1), got {momentum}; 0.9 is usual.'
    )
  return MODELS[name](
    num_outputs=num_outputs,
    stem=stem,
    momentum=momentum,
    axis_name=axis_name,
    dtype=dtype,
    param_dtype=param_dtype,
    remat=remat,
  )


def compute_dtype(name: str):
  """Returns the dtype of the arithmetic that is called `name`.

  Args:
    name: 'float32', 'bfloat16', or 'auto': bfloat16 on GPUs and TPUs, float32
      on CPUs, where it is faster.

  Raises:
    UserError: the name is not known.
  """
  dtypes = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}
  dtypes['auto'] = dtypes[
    'float32' if jax.default_backend() == 'cpu' else 'bfloat16'
  ]
  if name not in dtypes:
    raise errors.UserError(
      f'Unknown dtype {name!r}; choose one of {sorted(dtypes)}.'
    )
  return dtypes[name]


def scale_images(images, dtype=jnp.float32):
  """Returns uint8 images 0..255 as numbers in [0, 1], the networks' input.

  Training, evaluation and prediction all scale here, on the device: a batch
  crosses to it as bytes.

  Args:
    images: uint8[..., H, W, C].
    dtype: of the result.

  Returns:
    dtype[..., H, W, C], images / 255.

  Raises:
    UserError: the images are not uint8.
  """
  if images.dtype != jnp.uint8:
    raise errors.UserError(
      f'images must be uint8 in 0..255, got {images.dtype}; floating-point'
      ' images in [0, 1] go to the model as they are.'
    )
  return images.astype(dtype) / 255
