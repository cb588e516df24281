"""The graph of a network in ONNX, written by hand: a function a family.

One Transpose at the door, and all is NCHW as ONNX has it; every convolution and
pool has its padding spelt out. Batch norm stays a node of its own, which every
runtime folds. Of the operators and their versions all that is used is in opsets
13 to 21 (https://onnx.ai/onnx/operators), and in OpenCV.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.network import heads as heads_lib
from aubal_jax.network.models import mobilenet
from aubal_jax.network.models import resnet
from aubal_jax.network.models import tabular
from aubal_jax.network.models import two_stream
from aubal_jax.runs import errors
from aubal_jax.serving import networks as networks_lib

OPSET = 13
OUTPUTS = '_logits'  # Behind the name of a head: what the network puts out.
_FLOAT = 1  # float32, as TensorProto counts types.
_IR_VERSION = 8  # Which ONNX Runtime has read since 1.10, of 2021.
_STEM = 'stem_{}_conv'
_EPSILON = 1e-5  # Of flax's batch norm, beside the variance.


class Graph:
  """Nodes and arrays of a graph that grows.

  Attributes:
    nodes: of `onnx.helper.make_node`.
    arrays: of `onnx.numpy_helper.from_array`.
  """

  def __init__(self):
    self.nodes, self.arrays = [], []

  def add(self, operator: str, *inputs: str, output: str = '', **attributes):
    """Adds a node; returns the name of its output."""
    from onnx import helper

    output = output or f'{operator.lower()}_{len(self.nodes)}'
    node = helper.make_node(operator, inputs, [output], **attributes)
    self.nodes.append(node)
    return output

  def array(self, values) -> str:
    """Adds numbers, as float32; returns their name."""
    from onnx import numpy_helper

    name = f'array_{len(self.arrays)}'
    values = np.asarray(values, np.float32)
    self.arrays.append(numpy_helper.from_array(values, name))
    return name

  def whole(self, values) -> str:
    """Adds whole numbers, as int64; returns their name."""
    from onnx import numpy_helper

    name = f'array_{len(self.arrays)}'
    values = np.asarray(values, np.int64)
    self.arrays.append(numpy_helper.from_array(values, name))
    return name

  def convolve(
    self,
    x: str,
    weights: Mapping,
    stride: int | Sequence[int] = 1,
    *,
    groups: int = 1,
  ) -> str:
    """Adds a convolution that keeps side / stride, rounded up.

    Args:
      x: [B, C, H, W], or of clips [B, C, T, H, W].
      weights: flax's of it: `kernel` float[h, w, C / groups, F], or of clips
        float[t, h, w, C, F]; t, h and w odd.
      stride: in each direction, or one for all.
      groups: of channels, each with F / groups kernels of its own.
    """
    kernel = np.asarray(weights['kernel'])
    *sizes, _, _ = kernel.shape
    return self.add(
      'Conv',
      x,
      self.array(np.moveaxis(kernel, (-1, -2), (0, 1))),
      group=groups,
      kernel_shape=sizes,
      pads=[size // 2 for size in sizes] * 2,
      strides=np.broadcast_to(stride, len(sizes)).tolist(),
    )

  def normalise(self, x: str, params: Mapping, statistics: Mapping) -> str:
    """Adds batch norm by the running statistics, all float[C]."""
    arrays = (
      *(params['scale'], params['bias']),
      *(statistics['mean'], statistics['var']),
    )
    names = map(self.array, arrays)
    return self.add('BatchNormalization', x, *names, epsilon=_EPSILON)


class _Layers(typing.NamedTuple):
  """A graph, and the weights of a part of the network that is added to it."""

  graph: Graph
  params: Mapping
  statistics: Mapping

  def of(self, name: str) -> _Layers:
    """Returns those of a part of the part."""
    return _Layers(self.graph, self.params[name], self.statistics[name])

  def conv_norm(
    self,
    x: str,
    conv: str,
    stride: int | Sequence[int] = 1,
    groups: int = 1,
  ):
    """Adds a convolution and the batch norm that is called like it."""
    norm = conv.replace('conv', 'norm')
    x = self.graph.convolve(x, self.params[conv], stride, groups=groups)
    return self.graph.normalise(x, self.params[norm], self.statistics[norm])


def _resnet(layers, seen, trunk, side) -> str:
  """Adds the trunk of a `resnet.ResNet`; returns its features, [B, F]."""
  graph = layers.graph
  x = seen[networks_lib.IMAGE]
  x = graph.add('Relu', layers.conv_norm(x, 'stem_conv', 2))
  pads = [1, 1]
  if trunk.published == 'caffe':  # All of it is at the end.
    pads = [0, 1 + -(-side // 2) % 2]
  x = graph.add(
    *('MaxPool', x),
    kernel_shape=[3, 3],
    pads=np.repeat(pads, 2).tolist(),
    strides=[2, 2],
  )
  for stage, num_blocks in enumerate(trunk.stage_sizes):
    for block in range(num_blocks):
      part = layers.of(f'stage{stage + 1}_block{block + 1}')
      stride = 2 if stage > 0 and block == 0 else 1
      x = _residual(part, x, stride, trunk)
  return graph.add('Flatten', graph.add('GlobalAveragePool', x), axis=1)


def _residual(layers, x, stride, trunk) -> str:
  """Adds a `resnet.BasicBlock` or a `resnet.Bottleneck`."""
  convs = ('conv1', 'conv2', 'conv3')[: 3 if trunk.bottleneck else 2]
  torchvision = trunk.bottleneck and trunk.published == 'torchvision'
  strided, graph, y = convs[torchvision], layers.graph, x
  for conv in convs:
    y = layers.conv_norm(y, conv, stride if conv == strided else 1)
    if conv != convs[-1]:
      y = graph.add('Relu', y)
  if 'conv_shortcut' in layers.params:
    x = layers.conv_norm(x, 'conv_shortcut', stride)
  return graph.add('Relu', graph.add('Add', x, y))


def _mobilenet(layers, seen, trunk, side) -> str:
  """Adds the trunk of a `mobilenet.MobileNetV2`; returns [B, F]."""
  del trunk, side  # The widths are in the weights.
  x = seen[networks_lib.IMAGE]
  graph, number = layers.graph, 0

  def relu6(x):
    return graph.add('Clip', x, graph.array(0), graph.array(6))

  x = relu6(layers.conv_norm(x, 'stem_conv', 2))
  for _, _, num_blocks, first_stride in mobilenet.STAGES:
    for block in range(num_blocks):
      number += 1
      part = layers.of(f'block{number}')
      stride, y = 1 if block else first_stride, x
      if 'expand_conv' in part.params:
        y = relu6(part.conv_norm(y, 'expand_conv'))
      channels = part.params['depth_norm']['scale'].shape[0]
      y = relu6(part.conv_norm(y, 'depth_conv', stride, channels))
      y = part.conv_norm(y, 'project_conv')
      x = graph.add('Add', x, y) if block else y
  x = relu6(layers.conv_norm(x, 'last_conv'))
  return graph.add('Flatten', graph.add('GlobalAveragePool', x), axis=1)


def _perceptron(layers, seen, trunk, side) -> str:
  """Adds the trunk of a `tabular.Perceptron`; returns [B, H]."""
  del side  # It sees numbers.
  x = seen[networks_lib.FEATURES]
  graph = layers.graph
  for k in range(len(trunk.hidden)):
    x = graph.add('Relu', _dense(graph, x, layers.params[f'Dense_{k}']))
  return x


def _two_stream(layers, seen, trunk, side) -> str:
  """Adds the trunk of a `two_stream.TwoStream`; returns [B, F]."""
  graph, features = layers.graph, []
  if 'sound' in seen:
    axis = graph.whole([1])
    image = graph.add('Unsqueeze', seen['sound'], axis)
    part = resnet.ResNet(stage_sizes=trunk.stage_sizes, width=trunk.width)
    image = {networks_lib.IMAGE: image}
    features.append(_resnet(layers.of('audio'), image, part, side))
  if 'clip' in seen:
    features.append(_r2plus1d(layers.of('video'), seen['clip'], trunk))
  if len(features) == 1:
    return features[0]
  return graph.add('Concat', *features, axis=1)


def _r2plus1d(layers, x, trunk) -> str:
  """Adds a `r2plus1d.R2Plus1D`, from [B, C, T, H, W]; returns [B, F]."""
  graph = layers.graph

  def both(part, x, name, stride):
    space, time = (name.format(kind) for kind in ('space', 'time'))
    x = graph.add('Relu', part.conv_norm(x, space, (1, stride, stride)))
    return part.conv_norm(x, time, (stride if name != _STEM else 1, 1, 1))

  x = graph.add('Relu', both(layers, x, _STEM, 2))
  for stage, num_blocks in enumerate(trunk.stage_sizes):
    for block in range(num_blocks):
      part = layers.of(f'stage{stage + 1}_block{block + 1}')
      stride = 2 if stage > 0 and block == 0 else 1
      y = graph.add('Relu', both(part, x, '{}1_conv', stride))
      y = both(part, y, '{}2_conv', 1)
      if 'conv_shortcut' in part.params:
        x = part.conv_norm(x, 'conv_shortcut', (stride,) * 3)
      x = graph.add('Relu', graph.add('Add', x, y))
  # As an image of one column: not every runtime pools what has time as well.
  x = graph.add(
    'Reshape',
    x,
    graph.whole([0, trunk.width * 2 ** (len(trunk.stage_sizes) - 1), -1, 1]),
  )
  return graph.add('Flatten', graph.add('GlobalAveragePool', x), axis=1)


# class of trunk -> function(layers, seen, trunk, side) that adds it to a graph,
# from what it sees, channels first: name -> [B, C, side, side], [B, F] of
# features, ..., and returns what the heads see, [B, H].
FAMILIES = types.MappingProxyType(
  {
    resnet.ResNet: _resnet,
    mobilenet.MobileNetV2: _mobilenet,
    tabular.Perceptron: _perceptron,
    two_stream.TwoStream: _two_stream,
  }
)


def check(trunk, name: str) -> None:
  """Raises UserError where no function writes the graph of such a trunk."""
  if type(trunk) not in FAMILIES:
    raise errors.UserError(
      f'export.format=onnx: no graph in ONNX is written of the network {name}. '
      'Take export.format=stablehlo, which holds every network.'
    )


def make(
  networks: Sequence[tuple],
  heads: Sequence,
  inputs: Sequence[networks_lib.Input],
  *,
  mean: str = 'logits',
  metadata: Mapping[str, object] = types.MappingProxyType({}),
) -> bytes:
  """Returns an ONNX file, of bytes [B, H, W, C] to what is predicted.

  Or of float32 [B, F], where features are seen, or of clips and sound. Its
  outputs are, for each head, what is predicted under the head's name, and under
  NAME_logits the outputs of the network; these are left out of a mean of
  probabilities, which has none.

  Args:
    networks: (`models.Network`, params, batch_stats) of one network or of
      several, whose mean is predicted; every trunk is of a family in
      `FAMILIES`.
    heads: of all of them.
    inputs: what they are given, such as one of (H, W, C) or (F,) a row.
    mean: of what, 'logits' or 'probabilities'.
    metadata: name -> what JSON can hold, for the properties of the file.
  """
  graph = Graph()
  seen = {one.name: _channels_first(graph, one) for one in inputs}
  found = {head.name: [] for head in heads}
  for model, params, statistics in networks:
    layers, trunk = _Layers(graph, params, statistics), model.trunk
    prepared = _normalised(graph, seen, model)
    side = inputs[-1].shape[0]  # Of an image, or of a spectrogram.
    features = FAMILIES[type(trunk)](layers, prepared, trunk, side)
    for head in heads:
      found[head.name].append(_outputs_of(layers, features, head))
  outputs = {}
  for head in heads:
    for name in _predict(graph, head, found[head.name], mean):
      outputs[name] = len(head.names) if name == head.name else head.size
  return _file(graph, inputs, outputs, metadata)


def _channels_first(graph, one) -> str:
  """Adds what makes numbers in [0, 1] of bytes; returns [B, C, ...]."""
  if one.dtype != np.uint8:
    return one.name
  x = graph.add('Cast', one.name, to=_FLOAT)
  x = graph.add('Div', x, graph.array(255))
  places = range(1, len(one.shape))
  return graph.add('Transpose', x, perm=[0, len(one.shape), *places])


def _normalised(graph, seen, model) -> dict:
  """Adds what a network does to pixels in [0, 1], [B, C, ...], or to numbers.

  It is no part of the first convolution: its border is of zeros after it.
  """
  seen = dict(seen)
  for name, mean, std in model.standardised:  # See `inputs.standardise`.
    std = np.asarray(std)
    scale = np.divide(1, std, out=np.zeros(std.shape), where=std > 0)
    shape = (1, -1, 1, 1, 1) if name == 'clip' else (1, -1)
    x = graph.add('Sub', seen[name], graph.array(np.reshape(mean, shape)))
    seen[name] = graph.add('Mul', x, graph.array(scale.reshape(shape)))
  if not model.mean:
    return seen
  x = seen[networks_lib.IMAGE]
  for operator, values in (('Sub', model.mean), ('Div', model.std)):
    of_channels = np.reshape(values, (1, -1, 1, 1))
    x = graph.add(operator, x, graph.array(of_channels))
  return {**seen, networks_lib.IMAGE: x}


def _outputs_of(layers, features, head) -> str:
  """Adds the layers of a head; returns its outputs, [B, size]."""
  graph, params = layers.graph, layers.params[_layers_of(head)]
  if 'hidden' not in params:
    return _dense(graph, features, params)
  statistics = layers.statistics[_layers_of(head)]
  x = _scaled(graph, features, params['norm1'], statistics['norm1'])
  x = graph.add('Relu', _dense(graph, x, params['hidden']))
  x = _scaled(graph, x, params['norm2'], statistics['norm2'])
  return _dense(graph, x, params['outputs'])


def _dense(graph, x, params) -> str:
  names = map(graph.array, (params['kernel'], params['bias']))
  return graph.add('Gemm', x, *names)


def _scaled(graph, x, params, statistics) -> str:
  """Adds batch norm of [B, F], which not every runtime takes as such."""
  deviation = np.sqrt(np.asarray(statistics['var'], np.float64) + _EPSILON)
  scale = np.asarray(params['scale'], np.float64) / deviation
  shift = np.asarray(params['bias'], np.float64) - scale * statistics['mean']
  x = graph.add('Mul', x, graph.array(scale[None]))
  return graph.add('Add', x, graph.array(shift[None]))


def _layers_of(head) -> str:
  """Returns what the layers of a head are called in `models.Network`."""
  return 'logits' if head.name == 'labels' else f'{head.name}_outputs'


def _predict(graph, head, outputs, mean) -> list[str]:
  """Adds what is predicted of each network's outputs; returns its names."""
  predict = PREDICTIONS[head.kind]
  if len(outputs) > 1 and mean == 'probabilities':
    found = [predict(graph, head, x, '') for x in outputs]
    _mean(graph, found, head.name)
    return [head.name]
  logits = f'{head.name}{OUTPUTS}'
  _mean(graph, outputs, logits)
  return [predict(graph, head, logits, head.name), logits]


def _number(graph, head, x, output) -> str:
  """Adds the numbers of outputs [B, D], or [B, D * bins]; see `heads`."""
  half = (head.high - head.low) / 2
  if not head.bins:
    if head.raw:
      x = graph.add('Clip', x, graph.array(-1), graph.array(1))
    else:
      x = graph.add('Tanh', x)
    share = graph.add('Mul', x, graph.array(half))
    middle = graph.array(head.low + half)
    return graph.add('Add', share, middle, output=output)
  values = head.low + half * (np.asarray(heads_lib.levels(head)) + 1)
  size, count = len(head.names), head.bins
  expectations = []
  for k in range(size):
    # Operators on [B, F] alone: a slice of it is a product, too.
    part = np.eye(size * count, dtype=np.float32)[
      :, k * count : k * count + count
    ]
    bins = graph.add('MatMul', x, graph.array(part))
    place = np.zeros((count, size), np.float32)
    place[:, k] = values
    share = graph.add('Softmax', bins, axis=1)
    expectations.append(graph.add('MatMul', share, graph.array(place)))
  first, *others = expectations
  for one in others:
    first = graph.add('Add', first, one)
  return graph.add('Identity', first, output=output)


# kind of head -> f(graph, head, outputs, name) that adds what is predicted.
PREDICTIONS = types.MappingProxyType(
  {
    'binary': lambda graph, head, x, output: graph.add(
      'Sigmoid', x, output=output
    ),
    'class': lambda graph, head, x, output: graph.add(
      'Softmax', x, output=output, axis=1
    ),
    'real': _number,
  }
)


def _mean(graph, inputs, output) -> None:
  if len(inputs) == 1:
    graph.add('Identity', *inputs, output=output)
    return
  total = inputs[0]
  for one in inputs[1:]:
    total = graph.add('Add', total, one)
  graph.add('Div', total, graph.array(len(inputs)), output=output)


def _file(graph, inputs, outputs, metadata) -> bytes:
  """Returns the file of a graph, checked by ONNX's own rules."""
  import onnx
  from onnx import helper

  float32 = onnx.TensorProto.FLOAT

  def kind_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

  def info(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, ['batch', *shape])

  model = helper.make_model(
    helper.make_graph(
      graph.nodes,
      'aubal_jax',
      [info(one.name, kind_of(one.dtype), *one.shape) for one in inputs],
      [info(name, float32, size) for name, size in outputs.items()],
      graph.arrays,
    ),
    opset_imports=[helper.make_opsetid('', OPSET)],
    ir_version=_IR_VERSION,
    producer_name='aubal_jax',
  )
  texts = {name: json.dumps(value) for name, value in metadata.items()}
  helper.set_model_props(model, texts)
  onnx.checker.check_model(model, full_check=True)
  return model.SerializeToString(deterministic=True)
