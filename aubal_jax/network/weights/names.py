"""What other libraries call the arrays of our networks.

A layout is f(route) -> their name of an array: 'stage1_block1', 'conv1',
'kernel' is 'layer1.0.conv1.weight'. Most are f(module) -> their name of it, for
the arrays of a module are called alike in all of PyTorch.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from aubal_jax.network.models import efficientnet
from aubal_jax.network.models import mobilenet
from aubal_jax.network.models import resnet
from aubal_jax.network.models import two_stream
from aubal_jax.network.models import vit

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


_TIMM = ('conv_pw', 'bn1', 'conv_dw', 'bn2', 'conv_pwl', 'bn3')
_TIMM_FIRST = ('', '', 'conv_dw', 'bn1', 'conv_pw', 'bn2')
_STEPS = tuple(
  f'{step}_{kind}'
  for step in ('expand', 'depth', 'project')
  for kind in ('conv', 'norm')
)


def _mobilenet_timm(module: str) -> str:
  """'block2/depth_norm' is 'blocks.1.0.bn2'."""
  return _mobilenet_timm_of(module, mobilenet.STAGES, 2)


def _mobilenet_timm_of(module, stages, count_at: int) -> str:
  """Returns timm's name, of stages with their number of blocks at a place."""
  outer = {
    **{'stem_conv': 'conv_stem', 'stem_norm': 'bn1'},
    **{'last_conv': 'conv_head', 'last_norm': 'bn2'},
  }
  if module in outer:
    return outer[module]
  block, inner = module.split('/')
  stage, left = _stage(block, [one[count_at] for one in stages])
  inner_names = _TIMM if stage else _TIMM_FIRST
  return f'blocks.{stage}.{left}.{inner_names[_STEPS.index(inner)]}'


def _stage(block: str, counts: Sequence[int]) -> tuple[int, int]:
  """Returns stage and place there, from 0, of 'block1', 'block2', ..."""
  left, stage = int(block.removeprefix('block')) - 1, 0
  while left >= counts[stage]:
    left, stage = left - counts[stage], stage + 1
  return stage, left


_EXCITING = {
  'torchvision': {'squeeze_conv': 'fc1', 'excite_conv': 'fc2'},
  'timm': {'squeeze_conv': 'se.conv_reduce', 'excite_conv': 'se.conv_expand'},
}


def _efficientnet_torchvision(module: str) -> str:
  """'block2/depth_norm' is 'features.2.0.block.1.1'."""
  if '/' not in module:
    place = {'stem': 0, 'last': 8}[module.partition('_')[0]]
    return f'features.{place}.{int(module.endswith("norm"))}'
  block, inner = module.split('/')
  stage, left = _stage(block, [stage[3] for stage in efficientnet.STAGES])
  block = f'features.{stage + 1}.{left}.block'
  # Without expansion in the first block all comes one sooner.
  sooner = int(stage == 0)
  if inner in _EXCITING['torchvision']:
    return f'{block}.{2 - sooner}.{_EXCITING["torchvision"][inner]}'
  step, kind = inner.split('_')
  place = {'expand': 0, 'depth': 1, 'project': 3}[step] - sooner
  return f'{block}.{place}.{int(kind == "norm")}'


def _efficientnet_timm(module: str) -> str:
  """'block2/depth_norm' is 'blocks.1.0.bn2'."""
  outer, _, inner = module.partition('/')
  if inner not in _EXCITING['timm']:
    return _mobilenet_timm_of(module, efficientnet.STAGES, 3)
  stage, left = _stage(outer, [stage[3] for stage in efficientnet.STAGES])
  return f'blocks.{stage}.{left}.{_EXCITING["timm"][inner]}'


_VIT = {
  'torchvision': {
    **{'patch_conv': 'conv_proj', 'last_norm': 'encoder.ln'},
    **{'class_token': 'class_token', 'position': 'encoder.pos_embedding'},
    **{'norm1': 'ln_1', 'norm2': 'ln_2', 'out': 'self_attention.out_proj'},
    **{'hidden': 'mlp.0', 'shrink': 'mlp.3'},
    'block': 'encoder.layers.encoder_layer_',
  },
  # And of MAE and DINOv2.
  'timm': {
    **{'patch_conv': 'patch_embed.proj', 'last_norm': 'norm'},
    **{'class_token': 'cls_token', 'position': 'pos_embed'},
    **{'norm1': 'norm1', 'norm2': 'norm2', 'qkv': 'attn.qkv'},
    **{'out': 'attn.proj', 'hidden': 'mlp.fc1', 'shrink': 'mlp.fc2'},
    **{'scale1': 'ls1.gamma', 'scale2': 'ls2.gamma', 'block': 'blocks.'},
  },
}


def _vit(route: Route, names: Mapping[str, str]) -> str:
  """('block2', 'out', 'bias') is 'blocks.1.attn.proj.bias' of timm."""
  outer, *inner = route
  if not inner:
    return names[outer]
  if len(inner) == 1 and outer in names:
    return f'{names[outer]}.{_ARRAYS[inner[0]]}'
  block = f'{names["block"]}{int(outer.removeprefix("block")) - 1}'
  if inner[0] == 'qkv' and 'qkv' not in names:
    return f'{block}.self_attention.in_proj_{_ARRAYS[inner[1]]}'
  if len(inner) == 1:
    return f'{block}.{names[inner[0]]}'
  return f'{block}.{names[inner[0]]}.{_ARRAYS[inner[1]]}'


# Within a (2+1)D convolution: space, norm, rectifier, time; then the norm.
_R2PLUS1D = {
  **{'space_conv': '0', 'space_norm': '1', 'time_conv': '3', 'time_norm': '4'},
}
_IN_BLOCK = {
  **{'space_conv': '0.0', 'space_norm': '0.1', 'time_conv': '0.3'},
  'time_norm': '1',
}


def _r2plus1d(route: Route) -> str:
  """('video', 'stage2_block1', 'time1_conv', 'kernel') is torchvision's
  'layer2.0.conv1.0.3.weight'; '' of what is not of the clip.
  """
  stream, module, *inner, kind = route
  if stream != 'video':
    return ''
  if not inner:
    place = _R2PLUS1D[module.removeprefix('stem_')]
    return f'stem.{place}.{_ARRAYS[kind]}'
  stage, block = map(int, re.findall(r'\d+', module))
  (inner,) = inner
  place = _RESNET.get(inner)
  if place is None:
    (number,) = re.findall(r'\d', inner)
    place = f'conv{number}.{_IN_BLOCK[inner.replace(number, "")]}'
  return f'layer{stage}.{block - 1}.{place}.{_ARRAYS[kind]}'


# What libraries call the last layer.
_HEADS = {
  resnet.ResNet: {'torchvision': 'fc', 'timm': 'fc'},
  mobilenet.MobileNetV2: {'torchvision': 'classifier.1', 'timm': 'classifier'},
  efficientnet.EfficientNet: {
    **{'torchvision': 'classifier.1', 'timm': 'classifier'},
  },
  vit.VisionTransformer: {'torchvision': 'heads.head', 'timm': 'head'},
}


def heads(trunk) -> dict[str, str]:
  """Returns library -> its name of the last layer, of those of `layouts`.

  A ResNet is called alike by torchvision and timm.
  """
  there = layouts(trunk)
  if isinstance(trunk, two_stream.TwoStream):  # The one of clips alone.
    return {'torchvision': 'fc'} if trunk.modalities == 'video' else {}
  if isinstance(trunk, resnet.ResNet) and there:
    there = _HEADS[resnet.ResNet]
  return {library: _HEADS[type(trunk)][library] for library in there}


def _by_module(rename: Callable[[str], str]) -> Callable[[Route], str]:
  return lambda route: f'{rename("/".join(route[:-1]))}.{_ARRAYS[route[-1]]}'


def layouts(trunk) -> dict[str, Callable[[Route], str]]:
  """Returns library -> layout, of the libraries that have such a network.

  A layout tells '' of what the library has no array for, as of sound.

  Args:
    trunk: of a network; {} where no library has it.
  """
  if isinstance(trunk, two_stream.TwoStream):
    return {'torchvision': _r2plus1d} if 'clip' in trunk.streams else {}
  if isinstance(trunk, resnet.ResNet) and trunk.published == 'torchvision':
    found = {'torchvision': _resnet}  # And of timm.
  elif isinstance(trunk, mobilenet.MobileNetV2):
    found = {'torchvision': _mobilenet_torchvision, 'timm': _mobilenet_timm}
  elif isinstance(trunk, efficientnet.EfficientNet):
    found = {
      'torchvision': _efficientnet_torchvision,
      'timm': _efficientnet_timm,
    }
  elif isinstance(trunk, vit.VisionTransformer):
    libraries = ('timm',) if trunk.scaled else _VIT
    return {
      name: functools.partial(_vit, names=_VIT[name]) for name in libraries
    }
  else:
    found = {}
  return {library: _by_module(rename) for library, rename in found.items()}
