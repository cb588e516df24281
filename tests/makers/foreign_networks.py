"""Networks as PyTorch has them, by hand, with torchvision's or timm's names.

They are functions of an image [B, C, H, W], or of a clip [B, C, T, H, W], and a
`Weights`, which draws each
array when it is first asked for: so a network is also its state. What computes
is NumPy in float64, or torch.nn.functional where that is there: two oracles.
"""

import io
import pickle
import sys
import types
import zipfile

import numpy as np
from scipy import special


class Weights:
  """name -> array, drawn as asked for: kernels by He, variances .5 to 2."""

  def __init__(self, seed=0):
    self.rng, self.held = np.random.default_rng(seed), {}

  def __call__(self, name, shape):
    if name not in self.held:
      self.held[name] = self._draw(name, shape)
    assert self.held[name].shape == tuple(shape), name
    return self.held[name]

  def _draw(self, name, shape):
    if name.endswith('running_var'):
      return self.rng.uniform(0.5, 2, shape)
    if len(shape) == 1:
      about = 1 if name.endswith('weight') else 0
      return about + 0.2 * self.rng.standard_normal(shape)
    fan_in = np.prod(shape[1:])
    return self.rng.standard_normal(shape) * np.sqrt(2 / fan_in)


class Numpy:
  """What networks are made of, on float64[B, C, H, W]."""

  def conv(self, x, kernel, stride, padding, groups=1):
    size = kernel.shape[-1]
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    if groups > 1:
      return np.einsum('bchwij,cij->bchw', windows, kernel[:, 0])
    return np.einsum('bchwij,fcij->bfhw', windows, kernel, optimize=True)

  def conv_of_clips(self, x, kernel, stride, padding):
    size = kernel.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), *[(n, n) for n in padding]))
    windows = np.lib.stride_tricks.sliding_window_view(x, size, (2, 3, 4))
    t, h, w = stride
    windows = windows[:, :, ::t, ::h, ::w]
    return np.einsum('bcthwijk,fcijk->bfthw', windows, kernel, optimize=True)

  def norm(self, x, weight, bias, mean, var, eps=1e-5):
    weight, bias, mean, var = (
      v.reshape(1, -1, *[1] * (x.ndim - 2)) for v in (weight, bias, mean, var)
    )
    return (x - mean) / np.sqrt(var + eps) * weight + bias

  def max_pool(self, x):
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return windows[:, :, ::2, ::2].max((4, 5))

  def relu(self, x):
    return np.maximum(x, 0)

  def relu6(self, x):
    return np.clip(x, 0, 6)

  def mean(self, x):
    return x.mean(tuple(range(2, x.ndim)))

  def sigmoid(self, x):
    return special.expit(x)

  def silu(self, x):
    return x * special.expit(x)

  def gelu(self, x):
    return x * special.ndtr(x)

  def linear(self, x, weight, bias):
    return x @ weight.T + bias

  def layer_norm(self, x, weight, bias):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * weight + bias

  def attention(self, q, k, v):
    logits = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    return special.softmax(logits, axis=-1) @ v

  def as_tensor(self, x):
    return x

  def join(self, parts):
    return np.concatenate(parts, axis=1)


class Torch:
  """The same by torch.nn.functional, on NumPy arrays."""

  def __init__(self, dtype):
    import torch

    self.torch, self.dtype = torch, dtype
    self.f = torch.nn.functional
    self.relu, self.relu6 = self.f.relu, self.f.relu6
    self.silu, self.gelu = self.f.silu, self.f.gelu
    self.sigmoid, self.attention = (
      torch.sigmoid,
      self.f.scaled_dot_product_attention,
    )

  def as_tensor(self, x):
    return self.torch.as_tensor(np.asarray(x)).to(
      getattr(self.torch, self.dtype)
    )

  def conv(self, x, kernel, stride, padding, groups=1):
    x, kernel = self.as_tensor(x), self.as_tensor(kernel)
    return self.f.conv2d(x, kernel, None, stride, padding, 1, groups)

  def norm(self, x, weight, bias, mean, var, eps=1e-5):
    weight, bias, mean, var = map(self.as_tensor, (weight, bias, mean, var))
    return self.f.batch_norm(x, mean, var, weight, bias, False, 0.1, eps)

  def linear(self, x, weight, bias):
    return self.f.linear(x, self.as_tensor(weight), self.as_tensor(bias))

  def layer_norm(self, x, weight, bias):
    arrays = map(self.as_tensor, (weight, bias))
    return self.f.layer_norm(x, x.shape[-1:], *arrays, eps=1e-6)

  def join(self, parts):
    return self.torch.cat(parts, dim=1)

  def max_pool(self, x):
    return self.f.max_pool2d(x, 3, 2, 1)

  def mean(self, x):
    return x.mean((2, 3))


class Net:
  """Layers by name: a backend and weights."""

  def __init__(self, backend, weights, **changes):
    self.f, self.weights, self.changes = backend, weights, changes

  def conv(self, name, x, filters, size, stride=1, groups=1):
    shape = (filters, x.shape[1] // groups, size, size)
    kernel = self.weights(f'{name}.weight', shape)
    return self.f.conv(x, kernel, stride, size // 2, groups)

  def conv_of_clips(self, name, x, filters, size, stride):
    kernel = self.weights(f'{name}.weight', (filters, x.shape[1], *size))
    padding = [side // 2 for side in size]
    return self.f.conv_of_clips(x, kernel, stride, padding)

  def norm(self, name, x):
    arrays = (
      self.weights(f'{name}.{kind}', (x.shape[1],))
      for kind in ('weight', 'bias', 'running_mean', 'running_var')
    )
    return self.f.norm(x, *arrays, **self.changes)


def resnet(net, x, stages, width, bottleneck=False):
  """Features of torchvision's ResNet: [B, F]."""
  f = net.f
  x = f.relu(net.norm('bn1', net.conv('conv1', x, width, 7, 2)))
  x = f.max_pool(x)
  for s, count in enumerate(stages):
    filters = width * 2**s
    last = filters * (4 if bottleneck else 1)
    for b in range(count):
      name, stride = f'layer{s + 1}.{b}', 2 if s and not b else 1
      if bottleneck:
        y = f.relu(
          net.norm(f'{name}.bn1', net.conv(f'{name}.conv1', x, filters, 1))
        )
        y = net.conv(f'{name}.conv2', y, filters, 3, stride)
        y = f.relu(net.norm(f'{name}.bn2', y))
        y = net.norm(f'{name}.bn3', net.conv(f'{name}.conv3', y, last, 1))
      else:
        y = net.conv(f'{name}.conv1', x, filters, 3, stride)
        y = f.relu(net.norm(f'{name}.bn1', y))
        y = net.norm(f'{name}.bn2', net.conv(f'{name}.conv2', y, filters, 3))
      if x.shape[1] != last:
        x = net.conv(f'{name}.downsample.0', x, last, 1, stride)
        x = net.norm(f'{name}.downsample.1', x)
      x = f.relu(x + y)
  return f.mean(x)


def r2plus1d(net, x, stages, width, stem):
  """Features of torchvision's R(2+1)D, of clips: [B, F]."""
  f = net.f

  def both(name, x, between, filters, stride):
    y = net.conv_of_clips(
      f'{name}.0.0', x, between, (1, 3, 3), (1, stride, stride)
    )
    y = f.relu(net.norm(f'{name}.0.1', y))
    y = net.conv_of_clips(f'{name}.0.3', y, filters, (3, 1, 1), (stride, 1, 1))
    return net.norm(f'{name}.1', y)

  x = net.conv_of_clips('stem.0', x, stem, (1, 7, 7), (1, 2, 2))
  x = f.relu(net.norm('stem.1', x))
  x = net.conv_of_clips('stem.3', x, width, (3, 1, 1), (1, 1, 1))
  x = f.relu(net.norm('stem.4', x))
  for s, count in enumerate(stages):
    filters = width * 2**s
    for b in range(count):
      name, stride = f'layer{s + 1}.{b}', 2 if s and not b else 1
      inputs = x.shape[1]
      between = (inputs * filters * 27) // (inputs * 9 + 3 * filters)
      y = f.relu(both(f'{name}.conv1', x, between, filters, stride))
      y = both(f'{name}.conv2', y, between, filters, 1)
      if stride > 1 or inputs != filters:
        strides = (stride,) * 3
        x = net.conv_of_clips(
          f'{name}.downsample.0', x, filters, (1, 1, 1), strides
        )
        x = net.norm(f'{name}.downsample.1', x)
      x = f.relu(x + y)
  return f.mean(x)


STAGES = (
  *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
  *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def mobilenet(net, x, rounded, timm=False):
  """Features of MobileNetV2, by torchvision's names or timm's."""
  f = net.f

  def layer(names, x, filters, size, stride=1, groups=1):
    x = net.conv(names[0], x, filters, size, stride, groups)
    return net.norm(names[1], x)

  def pair(number, inner, of_timm):
    if timm:
      return of_timm
    return f'features.{number}.{inner}0', f'features.{number}.{inner}1'

  x = f.relu6(layer(pair(0, '', ('conv_stem', 'bn1')), x, rounded(32), 3, 2))
  number = 0
  for s, (t, c, n, stride) in enumerate(STAGES):
    for b in range(n):
      number += 1
      first, block = x, f'blocks.{s}.{b}.'
      own, at = f'features.{number}.conv', 0
      bn = 1
      if t > 1:
        names = (f'{own}.0.0', f'{own}.0.1')
        names = (f'{block}conv_pw', f'{block}bn1') if timm else names
        x = f.relu6(layer(names, x, t * x.shape[1], 1))
        at, bn = 1, 2
      names = (f'{own}.{at}.0', f'{own}.{at}.1')
      names = (f'{block}conv_dw', f'{block}bn{bn}') if timm else names
      wide = x.shape[1]
      x = f.relu6(layer(names, x, wide, 3, 1 if b else stride, wide))
      names = (f'{own}.{at + 1}', f'{own}.{at + 2}')
      last = 'conv_pwl' if t > 1 else 'conv_pw'
      names = (f'{block}{last}', f'{block}bn{bn + 1}') if timm else names
      x = layer(names, x, rounded(c), 1)
      if x.shape == first.shape:
        x = x + first
  names = pair(18, '', ('conv_head', 'bn2'))
  return f.mean(f.relu6(layer(names, x, 1280, 1)))


EFFICIENT = (
  *((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2)),
  *((6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)),
)


def efficientnet(net, x, timm=False):
  """Features of EfficientNet-B0, by torchvision's names or timm's."""
  f = net.f

  def layer(names, x, filters, size, stride=1, groups=1):
    x = net.conv(names[0], x, filters, size, stride, groups)
    return net.norm(names[1], x)

  def point(name, x, filters):
    weight = net.weights(f'{name}.weight', (filters, x.shape[1], 1, 1))
    bias = net.weights(f'{name}.bias', (filters,))
    return f.linear(x, weight[:, :, 0, 0], bias)

  names = ('conv_stem', 'bn1') if timm else ('features.0.0', 'features.0.1')
  x = f.silu(layer(names, x, 32, 3, 2))
  for s, (t, size, filters, count, stride) in enumerate(EFFICIENT):
    for b in range(count):
      first, wide = x, t * x.shape[1]
      own = f'blocks.{s}.{b}.' if timm else f'features.{s + 1}.{b}.block.'
      at = 0
      if t > 1:
        names = ('conv_pw', 'bn1') if timm else ('0.0', '0.1')
        x = f.silu(layer([own + n for n in names], x, wide, 1))
        at = 1
      names = ('conv_dw', f'bn{at + 1}') if timm else (f'{at}.0', f'{at}.1')
      names = [own + n for n in names]
      x = f.silu(layer(names, x, wide, size, 1 if b else stride, wide))
      squeezed = max(1, first.shape[1] // 4)
      names = (f'{at + 1}.fc1', f'{at + 1}.fc2')
      names = ('se.conv_reduce', 'se.conv_expand') if timm else names
      y = f.silu(point(own + names[0], f.mean(x), squeezed))
      y = f.sigmoid(point(own + names[1], y, wide))
      x = x * y[:, :, None, None]
      names = (f'{at + 2}.0', f'{at + 2}.1')
      last = ('conv_pwl' if t > 1 else 'conv_pw', f'bn{at + 2}')
      x = layer([own + n for n in (last if timm else names)], x, filters, 1)
      if x.shape == first.shape:
        x = x + first
  names = ('conv_head', 'bn2') if timm else ('features.8.0', 'features.8.1')
  return f.mean(f.silu(layer(names, x, 1280, 1)))


def vit(net, x, patch=16, width=768, depth=12, heads=12, timm=False, scale=0):
  """The class token of a ViT, by torchvision's names, or timm's and DINOv2's.

  Args:
    scale: of LayerScale, about; 0: there is none.
  """
  f, w = net.f, net.weights

  def linear(name, x, filters, dot='.'):
    weight = w(f'{name}{dot}weight', (filters, x.shape[-1]))
    return f.linear(x, weight, w(f'{name}{dot}bias', (filters,)))

  def norm(name, x):
    size = (x.shape[-1],)
    return f.layer_norm(x, w(f'{name}.weight', size), w(f'{name}.bias', size))

  def name(of_torchvision, of_timm):
    return of_timm if timm else of_torchvision

  batch, channels, rows, columns = x.shape
  rows, columns = rows // patch, columns // patch
  x = f.as_tensor(x).reshape(batch, channels, rows, patch, columns, patch)
  x = x.swapaxes(2, 1).swapaxes(3, 4).swapaxes(2, 3)  # B r c C p q.
  x = x.reshape(batch, rows * columns, channels * patch * patch)
  proj = name('conv_proj', 'patch_embed.proj')
  kernel = w(f'{proj}.weight', (width, channels, patch, patch))
  x = f.linear(x, kernel.reshape(width, -1), w(f'{proj}.bias', (width,)))
  token = f.as_tensor(w(name('class_token', 'cls_token'), (1, 1, width)))
  x = f.join([token + 0 * x[:, :1], x])
  places = name('encoder.pos_embedding', 'pos_embed')
  x = x + f.as_tensor(w(places, (1, rows * columns + 1, width)))
  for b in range(depth):
    at = name(f'encoder.layers.encoder_layer_{b}.', f'blocks.{b}.')
    y = norm(at + name('ln_1', 'norm1'), x)
    inner, dot = name(('self_attention.in_proj', '_'), ('attn.qkv', '.'))
    y = linear(at + inner, y, 3 * width, dot)
    parts = [
      y[:, :, i * width : (i + 1) * width]
      .reshape(batch, -1, heads, width // heads)
      .swapaxes(1, 2)
      for i in range(3)
    ]
    y = f.attention(*parts).swapaxes(1, 2).reshape(x.shape)
    y = linear(at + name('self_attention.out_proj', 'attn.proj'), y, width)
    if scale:
      y = y * f.as_tensor(w(f'{at}ls1.gamma', (width,)))
    x = x + y
    y = norm(at + name('ln_2', 'norm2'), x)
    y = f.gelu(linear(at + name('mlp.0', 'mlp.fc1'), y, 4 * width))
    y = linear(at + name('mlp.3', 'mlp.fc2'), y, width)
    if scale:
      y = y * f.as_tensor(w(f'{at}ls2.gamma', (width,)))
    x = x + y
  return norm(name('encoder.ln', 'norm'), x)[:, 0]


def save_like_torch(path, state, storages=None):
  """Writes what torch.save writes of a state, without PyTorch.

  Args:
    path: of the file.
    state: name -> array, nested at will, with what else pickle can hold.
    storages: dtype -> name of its storage; None: of the usual ones.
  """
  storages = storages or {
    'float64': 'DoubleStorage',
    'float32': 'FloatStorage',
    'float16': 'HalfStorage',
    'bfloat16': 'BFloat16Storage',
    'int64': 'LongStorage',
    'uint8': 'ByteStorage',
    'bool': 'BoolStorage',
  }
  torch, utils = types.ModuleType('torch'), types.ModuleType('torch._utils')
  for name in {*storages.values()}:
    kind = type(name, (), {'__module__': 'torch'})
    setattr(torch, name, kind)

  def _rebuild_tensor_v2(*_):
    pass

  _rebuild_tensor_v2.__module__ = 'torch._utils'
  _rebuild_tensor_v2.__qualname__ = '_rebuild_tensor_v2'
  utils._rebuild_tensor_v2 = _rebuild_tensor_v2
  blobs = []

  class Storage:
    def __init__(self, array):
      self.array = array

  class Pickler(pickle.Pickler):
    def reducer_override(self, value):
      if not isinstance(value, np.ndarray):
        return NotImplemented
      if not (value.flags.c_contiguous or value.flags.f_contiguous):
        value = np.ascontiguousarray(value)
      width = value.dtype.itemsize
      strides = tuple(s // width for s in value.strides)
      rest = (0, value.shape, strides, False, {})
      return _rebuild_tensor_v2, (Storage(value), *rest)

    def persistent_id(self, value):
      if not isinstance(value, Storage):
        return None
      array = value.array
      flat = array.ravel(order='K')
      blobs.append(flat.tobytes())
      kind = getattr(torch, storages[array.dtype.name])
      return 'storage', kind, str(len(blobs) - 1), 'cpu', array.size

  kept = {n: sys.modules.get(n) for n in ('torch', 'torch._utils')}
  sys.modules.update({'torch': torch, 'torch._utils': utils})
  try:
    file = io.BytesIO()
    Pickler(file, protocol=2).dump(state)
  finally:
    for name, module in kept.items():
      sys.modules.pop(name)
      if module is not None:
        sys.modules[name] = module
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data.pkl', file.getvalue())
    archive.writestr('archive/byteorder', 'little')
    for number, blob in enumerate(blobs):
      archive.writestr(f'archive/data/{number}', blob)
    archive.writestr('archive/version', '3\n')
