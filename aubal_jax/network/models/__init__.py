"""The networks, by name: a trunk from streams to features, and its heads."""

import functools
import importlib
import inspect
import pathlib
import sys
import types
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aubal_jax.network.models import efficientnet
from aubal_jax.network.models import first_weights
from aubal_jax.network.models import head_layers
from aubal_jax.network.models import inputs
from aubal_jax.network.models import mobilenet
from aubal_jax.network.models import recurrent
from aubal_jax.network.models import resnet
from aubal_jax.network.models import tabular
from aubal_jax.network.models import two_stream
from aubal_jax.network.models import vit
from aubal_jax.runs import errors

_IMAGE = 'image'
_RESNET18 = functools.partial(resnet.ResNet, stage_sizes=(2, 2, 2, 2), width=64)
_RESNET34 = functools.partial(resnet.ResNet, stage_sizes=(3, 4, 6, 3), width=64)
_RESNET50 = functools.partial(_RESNET34, bottleneck=True)

# name -> factory(**options) of a trunk, a module (**streams, train) -> features
# float[B, F], float32 or wider. It is given what it takes of the options of
# `make_model`. Parameters are counted with one channel, eight outputs, 7x7.
MODELS = types.MappingProxyType(
  {
    # 11,174,344 parameters; with three channels torchvision's resnet18.
    'resnet18_112': _RESNET18,
    'resnet18': _RESNET18,
    # 21,282,504 parameters; with three channels torchvision's resnet34.
    'resnet34_112': _RESNET34,
    'resnet34': _RESNET34,
    # 23,518,152 parameters; with three channels torchvision's resnet50.
    'resnet50': _RESNET50,
    # As many. Of Deng et al. 2020 (arXiv 2002.03557).
    'resnet50_112': functools.partial(
      _RESNET50, published='caffe', dropout=0.5
    ),
    # 2,233,544 parameters.
    'mobilenet_v2': mobilenet.MobileNetV2,
    # 4,017,220 parameters.
    'efficientnet_b0': efficientnet.EfficientNet,
    # 85,298,696 parameters for 112 pixels: there are positions of patches.
    'vit_b_16': vit.VisionTransformer,
    # Of DINOv2: a scale of each channel of each sum beside.
    'vit_b_14': functools.partial(vit.VisionTransformer, patch=14, scaled=True),
    # 4,254,664 parameters: the last stage is dropped.
    'resnet18_64': functools.partial(
      resnet.ResNet, stage_sizes=(2, 3, 3), width=64
    ),
    # 78,264 parameters. Of nobody's paper: for tests and for tiny runs.
    'resnet8_16': functools.partial(
      resnet.ResNet, stage_sizes=(1, 1, 1), width=16
    ),
    # 8 for each number of a row, and 8: of a table, such as of embeddings.
    'features': tabular.Perceptron,
    # 42,489,995 parameters of a clip with a mask, sound, and 17 outputs.
    'two_stream': two_stream.TwoStream,
    # 276,391 of these: for tests and for tiny runs.
    'two_stream_small': functools.partial(
      two_stream.TwoStream, stage_sizes=(1, 1, 1, 1), width=8
    ),
  }
)


class Network(nn.Module):
  """A trunk and the layers of each head; their parameters lie together.

  Attributes:
    trunk: module, (**streams, train) -> features float[B, F].
    outputs: (name, L) of each head.
    streams: names of what the trunk sees, those of its parameters.
    axis_name: the mapped axis whose devices share batch norm, or None.
    dtype: of the arithmetic of the trunk.
    param_dtype: of the parameters.
    first: a name of `first_weights.INITS`, of what the heads begin with.
    mean: of each channel of the image, subtracted first; (): nothing is.
    std: of each channel, by which it is divided then.
    frozen: the trunk is as in evaluation, and has no gradient.
    standardised: (name, mean, deviation) of streams [B, ..., F] that are
      standardised first, see `inputs.standardise`; bytes are scaled before.
    layers: of each head: 'dense', one layer; 'deng', see `head_layers.Deng`,
      whose batch norm has this `momentum`; or 'gru', see `recurrent`.
    window: rows that 'gru' sees together.
    parts: (name of head, start, stop), the features that it sees; a head that
      is not there sees all.
  """

  trunk: nn.Module
  outputs: tuple[tuple[str, int], ...]
  streams: tuple[str, ...] = ('image',)
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  first: str = 'he_normal'
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  frozen: bool = False
  standardised: tuple[tuple[str, tuple, tuple], ...] = ()
  layers: str = 'dense'
  momentum: float = 0.9
  window: int = 0
  parts: tuple[tuple[str, int, int], ...] = ()

  @property
  def draws(self) -> bool:
    """Whether it takes a key in training; a module of the user's may."""
    return bool(getattr(self.trunk, 'dropout', True))

  @property
  def head_names(self) -> tuple[str, ...]:
    """Names, among the parameters, of the layers of the heads."""
    return tuple(map(_head_name, dict(self.outputs)))

  def prepare(self, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the streams as the trunk sees them: scaled and normalised."""
    wide = jnp.promote_types(self.dtype, jnp.float32)
    numbers = {
      name: inputs.standardise(scale(batch[name], wide), mean, std)
      for name, mean, std in self.standardised
    }
    batch = {**batch, **numbers}
    if not self.mean:
      return {name: scale(batch[name], self.dtype) for name in self.streams}
    streams = {
      name: scale(batch[name], wide)
      if name == _IMAGE
      else scale(batch[name], self.dtype)
      for name in self.streams
    }
    held = {'mean': self.mean, 'std': self.std}
    streams[_IMAGE] = inputs.normalise(streams[_IMAGE], held, self.dtype)
    return streams

  @nn.compact
  def __call__(
    self,
    batch: Mapping[str, Any],
    *,
    train: bool = False,
    heads: Sequence[str] = (),
  ):
    """Returns name of head -> outputs float[B, L], float32 or wider.

    Args:
      batch: has the streams [B, ...]; bytes are scaled to [0, 1].
      heads: names of those that are wanted; (): all. Nothing of the others is
        computed or updated.
      train: True: normalise by the statistics of the batch and update the
        running ones ('batch_stats' must be mutable). False: use those.
    """
    nn.share_scope(self, self.trunk)
    streams = self.prepare(batch)
    features = self.trunk(**streams, train=train and not self.frozen)
    check_features(features, self.trunk)
    if self.frozen:
      features = jax.lax.stop_gradient(features)
    return {
      name: self._head(name, size, features, train)
      for name, size in self.outputs
      if not heads or name in heads
    }

  def _head(self, name, size, features, train):
    """Returns the outputs of a head: float[B, size]."""
    of_all = {'dtype': features.dtype, 'param_dtype': self.param_dtype}
    for part, start, stop in self.parts:
      if part == name:
        features = features[:, start:stop]
    if self.layers == 'deng':
      return head_layers.Deng(
        size,
        momentum=self.momentum,
        axis_name=self.axis_name,
        first=self.first,
        **of_all,
        name=_head_name(name),
      )(features, train)
    if self.layers == 'gru':
      return recurrent.RecurrentHead(
        size, self.window, first=self.first, **of_all, name=_head_name(name)
      )(features)
    return nn.Dense(
      size,
      kernel_init=first_weights.INITS[self.first],
      **of_all,
      name=_head_name(name),
    )(features)


def _head_name(name: str) -> str:
  return 'logits' if name == 'labels' else f'{name}_outputs'


def check_features(features, trunk: nn.Module) -> None:
  """Raises UserError unless a trunk gives floating-point features [B, F]."""
  if features.ndim != 2 or not jnp.issubdtype(features.dtype, jnp.floating):
    raise errors.UserError(
      f'{type(trunk).__name__} must return features float[B, F], such as means '
      f'over rows and columns; got {features.dtype}{list(features.shape)}.'
    )


def features_of(model: Network, variables: Mapping, batch: Mapping[str, Any]):
  """Returns what the heads see of a batch in evaluation: float[B, F].

  Args:
    model: from `make_model`.
    variables: of the model: 'params', and 'batch_stats' if it has such.
    batch: has the streams of the model, as in `Network.__call__`.
  """
  return model.trunk.apply(variables, **model.prepare(batch), train=False)


def last_features_of(
  model: Network, variables: Mapping, batch: Mapping[str, Any]
):
  """Returns what the last layer of each head sees, side by side: float[B, F].

  With layers 'deng' that is 128 numbers for each head, in their order;
  otherwise `features_of`, which all of them see.
  """
  if model.layers != 'deng':
    return features_of(model, variables, batch)

  def is_last(module, method):
    del method
    of_head = isinstance(module.parent, head_layers.Deng)
    return of_head and module.name == 'norm2'

  _, kept = model.apply(
    variables,
    batch,
    train=False,
    capture_intermediates=is_last,
    mutable=['intermediates'],
  )
  return jnp.concatenate(
    [
      kept['intermediates'][name]['norm2']['__call__'][0]
      for name in model.head_names
    ],
    axis=1,
  )


def find(name: str) -> Callable[..., nn.Module]:
  """Returns the factory of the trunk called `name`.

  Args:
    name: a name of `MODELS`, or 'package.module:Class' of a flax module of the
      user's, with the `__call__` and options of those. It is imported from
      where Python looks, or from the working directory.

  Raises:
    UserError: there is none, or it is no flax module.
  """
  if name in MODELS:
    return MODELS[name]
  module, colon, attribute = name.partition(':')
  if not colon:
    raise errors.UserError(
      f'Unknown model {name!r}; choose one of {sorted(MODELS)}, or name a flax '
      "module of yours as 'package.module:Class'."
    )
  before = [*sys.path]
  sys.path.append(str(pathlib.Path.cwd()))
  try:
    found = getattr(importlib.import_module(module), attribute)
  except Exception as error:
    raise errors.UserError(
      f'model {name!r} cannot be imported ({type(error).__name__}: {error}); '
      'the module must be installed, or lie in the folder this runs in.'
    ) from error
  finally:
    sys.path[:] = before  # As it was: what is found first is found first.
  if not (isinstance(found, type) and issubclass(found, nn.Module)):
    raise errors.UserError(
      f'model {name!r} must be a class below flax.linen.Module, it is '
      f'{found!r}.'
    )
  if 'train' not in inspect.signature(found.__call__).parameters:
    raise errors.UserError(
      f'model {name!r} must have __call__(self, image, *, train): streams by '
      'name, and whether it is in training; train is not there.'
    )
  return found


def streams_of(name: str, modalities: str = 'both') -> tuple[str, ...]:
  """Returns what the network called `name` sees; raises as `find`."""
  return make_model(name, {'labels': 1}, modalities=modalities).streams


def takes(name: str, option: str) -> bool:
  """Whether the trunk called `name` has an option; raises as `find`."""
  return option in inspect.signature(find(name)).parameters


def make_model(
  name: str,
  outputs: Mapping[str, int],
  *,
  stem: str = '7x7',
  momentum: float = 0.9,
  axis_name: str | None = None,
  dtype=jnp.float32,
  param_dtype=jnp.float32,
  remat: bool = False,
  init: str = 'he_normal',
  mean: Sequence[float] = (),
  std: Sequence[float] = (),
  frozen: bool = False,
  hidden: Sequence[int] = (),
  standardised: Sequence[tuple] = (),
  layers: str = 'dense',
  window: int = 0,
  parts: Mapping[str, tuple[int, int]] = types.MappingProxyType({}),
  modalities: str = 'both',
) -> Network:
  """Returns the network called `name`.

  Args:
    name: see `find`.
    outputs: name of head -> how many outputs it has, such as one logit for each
      label.
    stem: first convolution, '7x7' or '3x3'; both halve height and width.
    momentum: decay of the running batch norm statistics, in [0, 1):
      running = momentum * running + (1 - momentum) * batch.
    axis_name: the mapped axis whose devices share one batch, or None. It
      matters in training alone; `apply(..., train=False)` never looks at it.
    dtype: of the arithmetic. Statistics are at least float32 in any case.
    param_dtype: of the parameters and of the running statistics.
    remat: keep of each block its input alone, and compute the rest once more
      for the gradient: less memory, a quarter to a third more time.
    mean: see `Network`; likewise `std`, `frozen`, `standardised`, `layers`,
      `window` and `parts`, here name of head -> (start, stop).
    hidden: units of each hidden layer of 'features'.
    init: what `module.init` draws, a name of `first_weights.INITS`. With
      'he_normal' the kernels of convolutions and heads are normal, of variance
      2 / fan_in; with 'torch_uniform' they are uniform in
      (-1 / sqrt(fan_in), 1 / sqrt(fan_in)), which is a sixth of it, the small
      head included. Biases are 0.

  Returns:
    A flax module. `module.init(key, streams)` makes its variables of a dict of
    streams, `module.apply(variables, streams, train=False)` the outputs.

  Raises:
    UserError: a name or the stem is not known, or a number is out of range.
  """
  factory = find(name)
  for head, size in outputs.items():
    if size < 1:
      raise errors.UserError(f'{head} must have at least 1 output, got {size}.')
  if stem not in resnet.STEM_SIZES:
    raise errors.UserError(
      f'Unknown stem {stem!r}; choose one of {sorted(resnet.STEM_SIZES)}.'
    )
  if not 0 <= momentum < 1:
    raise errors.UserError(
      f'momentum must be in [0, 1), got {momentum}; 0.9 is usual.'
    )
  if init not in first_weights.INITS:
    raise errors.UserError(
      f'Unknown init {init!r}; choose one of {sorted(first_weights.INITS)}.'
    )
  if modalities not in two_stream.MODALITIES:
    raise errors.UserError(
      f'Unknown modalities {modalities!r}; choose one of '
      f'{sorted(two_stream.MODALITIES)}.'
    )
  of_all = {'axis_name': axis_name, 'dtype': dtype, 'param_dtype': param_dtype}
  of_all['first'] = init
  options = {**of_all, 'stem': stem, 'momentum': momentum, 'remat': remat}
  options['modalities'] = modalities
  taken = inspect.signature(factory).parameters
  if hidden:  # Else what a module of the user's has by itself.
    options['hidden'] = tuple(hidden)
    if 'hidden' not in taken:
      raise errors.UserError(
        f'model.hidden must be () for model.name={name}, which has no such '
        f"layers; it is {tuple(hidden)}. It is for 'features'."
      )
  trunk = factory(**{k: v for k, v in options.items() if k in taken})
  streams = [*inspect.signature(trunk.__call__).parameters]
  streams.remove('train')
  if 'modalities' in taken:
    streams = two_stream.MODALITIES[modalities]
  return Network(
    trunk,
    tuple(outputs.items()),
    tuple(streams),
    mean=tuple(mean),
    std=tuple(std),
    frozen=frozen,
    standardised=tuple(standardised),
    layers=layers,
    momentum=momentum,
    window=window,
    parts=tuple((name, *part) for name, part in parts.items()),
    **of_all,
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


def scale(values, dtype=jnp.float32):
  """Returns a stream as networks see it: bytes 0..255 as numbers in [0, 1].

  Training, evaluation and prediction all scale here, on the device: a batch
  crosses to it as bytes.

  Args:
    values: uint8[...], or floating-point, which stays as it is.
    dtype: of what was bytes.

  Raises:
    UserError: the values are of another dtype.
  """
  if jnp.issubdtype(values.dtype, jnp.floating):
    return values
  if values.dtype != jnp.uint8:
    raise errors.UserError(
      'A stream must be uint8, in 0..255, or floating-point, got '
      f'{values.dtype}{list(values.shape)}.'
    )
  return values.astype(dtype) / 255
