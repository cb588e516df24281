"""What other libraries call the arrays of our networks.

A layout is f(route) -> their name of an array: 'stage1_block1', 'conv1',
'kernel' is 'layer1.0.conv1.weight'. Most are f(module) -> their name of it, for
the arrays of a module are called alike in all of PyTorch.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable

from aubal_jax.network.models import mobilenet
from aubal_jax.network.models import resnet

Route = tuple[str, ...]

# Ours -> PyTorch's name of an array of a module.
_ARRAYS = types.MappingProxyType(
  {
    'kernel': 'weight',
    'scale': 'weight',
    'bias': 'bias',
    'mean': 'running_mean',
    'var': 'running_var',
  }
)

_RESNET = {'conv_shortcut': 'downsample.0', 'norm_shortcut': 'downsample.1'}


def _resnet(module: str) -> str:
  """'stage2_block1/norm2' is 'layer2.0.bn2' of torchvision and of timm."""
  if '/' not in module:
    return {'stem_conv': 'conv1', 'stem_norm': 'bn1'}[module]
  block, inner = module.split('/')
  stage, number = map(int, re.findall(r'\d+', block))
  inner = _RESNET.get(inner, inner.replace('norm', 'bn'))
  return f'layer{stage}.{number - 1}.{inner}'


def _mobilenet_torchvision(module: str) -> str:
  """'block2/depth_norm' is 'features.2.conv.1.1'."""
  if '/' not in module:
    place = {'stem': 0, 'last': 18}[module.partition('_')[0]]
    return f'features.{place}.{int(module.endswith("norm"))}'
  block, inner = module.split('/')
  number = int(block.removeprefix('block'))
  # Without expansion in the first block all comes one sooner.
  sooner = int(number == 1)
  step, kind = inner.split('_')
  is_norm = int(kind == 'norm')
  place = {'expand': 0, 'depth': 1, 'project': 2}[step] - sooner
  last = place + is_norm if step == 'project' else f'{place}.{is_norm}'
  return f'features.{number}.conv.{last}'


# Blocks in each stage: timm counts by stage.
_STAGES = (1, 2, 3, 4, 3, 3, 1)
_TIMM = ('conv_pw', 'bn1', 'conv_dw', 'bn2', 'conv_pwl', 'bn3')
_TIMM_FIRST = ('', '', 'conv_dw', 'bn1', 'conv_pw', 'bn2')
_STEPS = tuple(
  f'{step}_{kind}'
  for step in ('expand', 'depth', 'project')
  for kind in ('conv', 'norm')
)


def _mobilenet_timm(module: str) -> str:
  """'block2/depth_norm' is 'blocks.1.0.bn2'."""
  outer = {
    **{'stem_conv': 'conv_stem', 'stem_norm': 'bn1'},
    **{'last_conv': 'conv_head', 'last_norm': 'bn2'},
  }
  if module in outer:
    return outer[module]
  block, inner = module.split('/')
  left, stage = int(block.removeprefix('block')) - 1, 0
  while left >= _STAGES[stage]:
    left, stage = left - _STAGES[stage], stage + 1
  inner_names = _TIMM if stage else _TIMM_FIRST
  return f'blocks.{stage}.{left}.{inner_names[_STEPS.index(inner)]}'


def _by_module(rename: Callable[[str], str]) -> Callable[[Route], str]:
  return lambda route: f'{rename("/".join(route[:-1]))}.{_ARRAYS[route[-1]]}'


def layouts(trunk) -> dict[str, Callable[[Route], str]]:
  """Returns library -> layout, of the libraries that have such a network.

  Args:
    trunk: of a network; {} where no library has it.
  """
  if isinstance(trunk, resnet.ResNet) and trunk.published == 'torchvision':
    found = {'torchvision': _resnet}  # And of timm.
  elif isinstance(trunk, mobilenet.MobileNetV2):
    found = {'torchvision': _mobilenet_torchvision, 'timm': _mobilenet_timm}
  else:
    found = {}
  return {library: _by_module(rename) for library, rename in found.items()}
