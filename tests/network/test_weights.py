"""Weights of other libraries: the same outputs, and one message for bad ones.

The oracle is the network in NumPy, by the names and the layout of PyTorch; the
long tests ask PyTorch itself.
"""

import collections
import functools
import io
import os
import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network import weights as weights_lib
from aubal_jax.network.models import efficientnet
from aubal_jax.network.models import layers
from aubal_jax.network.models import mobilenet
from aubal_jax.network.models import resnet
from aubal_jax.network.models import vit
from aubal_jax.network.weights import files
from aubal_jax.network.weights import names
from aubal_jax.network.weights import pth
from aubal_jax.network.weights import writing
from aubal_jax.runs import errors
from tests.makers import foreign_networks as foreign

WIDE = {'dtype': jnp.float64, 'param_dtype': jnp.float64}
SMALL = {'stage_sizes': (1, 2), 'width': 4}


def image(side=20, channels=3, batch=1, seed=0):
  return np.random.default_rng(seed).random((batch, side, side, channels))


def network(trunk):
  return models.Network(trunk, (('labels', 2), ('valence', 1)))


@functools.cache
def like(trunk, channels=3, side=20, dtype='f8'):
  """Returns zeros for the variables of a network."""
  with jax.enable_x64(True):
    shapes = jax.eval_shape(
      network(trunk).init,
      jax.random.key(0),
      {'image': jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)},
    )
  return jax.tree.map(lambda x: np.zeros(x.shape, dtype), shapes)


def state_of(forward, x, seed=0, backend=None, **changes):
  """Returns features and state of a network of another library."""
  weights = foreign.Weights(seed)
  net = foreign.Net(backend or foreign.Numpy(), weights, **changes)
  y = forward(net, np.moveaxis(x, 3, 1))
  return np.asarray(y), weights.held


def write(path, state):
  """Writes a state in the format of the ending."""
  if path.suffix == '.npz':
    np.savez(path, **state)
  elif path.suffix == '.safetensors':
    from safetensors import numpy as safetensors

    contiguous = {k: np.ascontiguousarray(v) for k, v in state.items()}
    safetensors.save_file(contiguous, path)
  else:
    foreign.save_like_torch(path, state)
  return path


def load(path, trunk, channels=3, side=20, dtype='f8'):
  variables = like(trunk, channels, side, dtype)
  return weights_lib.load(
    path,
    variables['params'],
    variables.get('batch_stats', {}),
    trunk=trunk,
    heads=('logits', 'valence_outputs'),
  )


def features(trunk, loaded, x):
  variables = {'params': loaded.params, 'batch_stats': loaded.batch_stats}
  model = network(trunk)
  run = jax.jit(functools.partial(models.features_of, model))
  return np.asarray(run(variables, {'image': x}))


def small_resnet(net, x):
  return foreign.resnet(net, x, (1, 2), 4)


def small_bottlenecks(net, x):
  return foreign.resnet(net, x, (1, 2), 4, bottleneck=True)


def narrow(width):
  return layers.round_width(0.25 * width)


FAMILIES = {
  'resnet': (small_resnet, resnet.ResNet(**SMALL, **WIDE)),
  'bottleneck': (
    small_bottlenecks,
    resnet.ResNet(bottleneck=True, **SMALL, **WIDE),
  ),
  'mobilenet': (
    lambda net, x: foreign.mobilenet(net, x, narrow),
    mobilenet.MobileNetV2(width=0.25, **WIDE),
  ),
  'mobilenet_timm': (
    lambda net, x: foreign.mobilenet(net, x, narrow, timm=True),
    mobilenet.MobileNetV2(width=0.25, **WIDE),
  ),
}
VIT = {'patch': 5, 'width': 8, 'depth': 2, 'heads': 2}
FAMILIES |= {
  'efficientnet': (foreign.efficientnet, efficientnet.EfficientNet(**WIDE)),
  'efficientnet_timm': (
    functools.partial(foreign.efficientnet, timm=True),
    efficientnet.EfficientNet(**WIDE),
  ),
  'vit': (
    functools.partial(foreign.vit, **VIT),
    vit.VisionTransformer(**VIT, **WIDE),
  ),
  'vit_timm': (
    functools.partial(foreign.vit, timm=True, scale=1, **VIT),
    vit.VisionTransformer(scaled=True, **VIT, **WIDE),
  ),
}
ENDINGS = ('.pth', '.safetensors', '.npz')


@pytest.mark.parametrize(
  'family',
  [
    name
    if name in ('resnet', 'bottleneck', 'vit')
    else pytest.param(name, marks=pytest.mark.long)
    for name in FAMILIES
  ],
)
def test_features_are_those_of_the_other_library(family, tmp_path, x64):
  forward, trunk = FAMILIES[family]
  for seed, ending in enumerate(ENDINGS):
    x = image(seed=seed)
    expected, state = state_of(forward, x, seed)
    loaded = load(write(tmp_path / f'state{ending}', state), trunk)
    found = features(trunk, loaded, x)
    near = 1e-9 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=near)
    assert not loaded.params['logits']['kernel'].any()


@pytest.mark.parametrize('family', FAMILIES)
def test_every_array_is_used_once(family, tmp_path):
  forward, trunk = FAMILIES[family]
  _, state = state_of(forward, image(), 3)
  loaded = load(write(tmp_path / 'state.npz', state), trunk)
  given = sorted(x.sum() for x in state.values())
  leaves = jax.tree.leaves((loaded.params, loaded.batch_stats))
  used = sorted(x.sum() for x in leaves if x.any())
  np.testing.assert_allclose(used, given, rtol=1e-6)
  library = 'timm' if family.endswith('timm') else 'torchvision'
  assert f'{len(state)} arrays' in loaded.told[0]
  assert library in loaded.told[0]


@pytest.mark.parametrize('family', FAMILIES)
def test_a_state_is_written_as_it_was_read(family, tmp_path):
  """Of another library; and of its heads, the first is its classifier."""
  forward, trunk = FAMILIES[family]
  _, state = state_of(forward, image(), 5)
  loaded = load(write(tmp_path / 'state.npz', state), trunk)
  model, rng = network(trunk), np.random.default_rng(1)
  heads = {
    name: jax.tree.map(lambda x: rng.random(x.shape), loaded.params[name])
    for name in model.head_names
  }
  library = 'timm' if family.endswith('timm') else 'torchvision'
  written = writing.state_of(
    library, model, {**loaded.params, **heads}, loaded.batch_stats
  )
  classifier = names.heads(trunk)[library]
  assert {*written} - {*state} == {
    f'{head}.{kind}'
    for head in (classifier, 'valence_outputs')
    for kind in ('weight', 'bias')
  }
  for name, values in state.items():
    np.testing.assert_array_equal(written[name], values, name)
  assert written[f'{classifier}.weight'].shape[0] == 2
  np.testing.assert_equal(writing.heads_of(library, model, written), heads)


def test_what_a_wrong_network_would_be_off(x64):
  """The traps are further off than what is compared to.

  Each change to the oracle is one that people make: it must be seen.
  """

  class Same(foreign.Numpy):
    """Pads as 'SAME' does: at the end first."""

    def conv(self, x, kernel, stride, padding, groups=1):
      if stride == 1 or not padding:
        return super().conv(x, kernel, stride, padding, groups)
      size, side = kernel.shape[-1], x.shape[-1]
      total = max((-(-side // stride) - 1) * stride + size - side, 0)
      first = total // 2
      shifted = np.pad(
        x, ((0, 0), (0, 0), (first, total - first), (first, total - first))
      )
      return super().conv(shifted, kernel, stride, 0, groups)

  class Turned(foreign.Numpy):
    def conv(self, x, kernel, *rest):
      return super().conv(x, kernel.swapaxes(2, 3), *rest)

  class Deviation(foreign.Numpy):
    def norm(self, x, weight, bias, mean, var, eps=1e-5):
      return super().norm(x, weight, bias, mean, var**2, eps)

  mean, deviation = np.array([0.485, 0.456, 0.406]), 0.25

  class Folded(foreign.Numpy):
    """Puts the normalisation of the input into the first kernel.

    Right but at the border, where zeros stand for pixels of the mean.
    """

    begun = False

    def conv(self, x, kernel, *rest):
      first, self.begun = not self.begun, True
      if not first:
        return super().conv(x, kernel, *rest)
      shift = np.einsum('oihw,i->o', kernel, mean / deviation)
      return super().conv(x, kernel / deviation, *rest) - shift[:, None, None]

  off = {}
  for name, backend, changes in (
    ('folded', Folded(), {}),
    ('same', Same(), {}),
    ('turned', Turned(), {}),
    ('deviation', Deviation(), {}),
    ('eps', foreign.Numpy(), {'eps': 1e-3}),
  ):
    side = 20 if name == 'same' else 21
    x = image(side)
    seen = (x - mean) / deviation if name == 'folded' else x
    expected, _ = state_of(small_resnet, seen)
    found, _ = state_of(small_resnet, x, backend=backend, **changes)
    off[name] = np.abs(found - expected).max() / np.abs(expected).max()
  assert min(off.values()) > 1e-4, off


def test_a_grey_stem_is_the_sum_over_channels(tmp_path, x64):
  forward, trunk = FAMILIES['resnet']
  for seed in range(2):
    grey = image(channels=1, seed=seed)
    _, state = state_of(forward, np.repeat(grey, 3, axis=3), seed)
    loaded = load(write(tmp_path / f'{seed}.npz', state), trunk, channels=1)
    assert 'conv1.weight is summed over its three channels' in loaded.told[-1]
  weights = foreign.Weights()
  weights.held = state
  rgb = np.moveaxis(np.repeat(grey, 3, axis=3), 3, 1)
  expected = forward(foreign.Net(foreign.Numpy(), weights), rgb)
  found = features(trunk, loaded, grey)
  np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
  'prefix', ['module.', 'model.', 'backbone.', 'module.backbone.', 'a.b.c.']
)
@pytest.mark.parametrize('around', [(), ('state_dict',), ('model', 'ema')])
def test_what_stands_before_names_is_stripped_and_told(
  prefix, around, tmp_path
):
  forward, trunk = FAMILIES['resnet']
  _, state = state_of(forward, image())
  plain = load(write(tmp_path / 'plain.npz', state), trunk)
  state['bn1.num_batches_tracked'] = np.int64([3])
  state['fc.weight'] = np.zeros((5, 8))
  content = {prefix + name: value for name, value in state.items()}
  for name in reversed(around):
    content = {name: content, 'epoch': 3, 'args': [None, 'x', (1.5, True)]}
  foreign.save_like_torch(tmp_path / 'state.pth', content)
  found = load(tmp_path / 'state.pth', trunk)
  for one, other in zip(
    jax.tree.leaves(found[:2]), jax.tree.leaves(plain[:2]), strict=True
  ):
    np.testing.assert_array_equal(one, other)
  whole = ''.join(f'{name}.' for name in around) + prefix
  assert f'without {whole!r}' in found.told[1]
  assert found.told[2] == f'left there: {whole}fc.weight'


def test_a_state_begins_with_them(tmp_path):
  forward, _ = FAMILIES['resnet']
  trunk = resnet.ResNet(**SMALL)
  _, state = state_of(forward, image())
  path = write(tmp_path / 'state.safetensors', state)
  model = network(trunk)
  optimizer = optimizer_lib.make_optimizer('adam', 1e-3)
  streams = {'image': np.zeros((1, 20, 20, 3), np.uint8)}
  shapes = jax.eval_shape(
    lambda key: step_lib.create_state(
      model, optimizer, key, streams, averaged=True
    ),
    jax.random.key(0),
  )
  rng = np.random.default_rng(0)
  before = jax.tree.map(
    lambda x: np.asarray(rng.random(x.shape)).astype(x.dtype), shapes
  )
  after, told = weights_lib.begin(path, before, model)
  assert jax.tree.structure(after) == jax.tree.structure(before)
  for name in model.head_names:
    np.testing.assert_array_equal(
      after.params[name]['kernel'], before.params[name]['kernel']
    )
  kernel = np.float32(state['conv1.weight']).transpose(2, 3, 1, 0)
  for params in (after.params, after.average['params']):
    np.testing.assert_array_equal(params['stem_conv']['kernel'], kernel)
  assert told[-1] == 'drawn anew: logits, valence_outputs'


def test_arrays_by_our_own_names(tmp_path):
  """Of an export, of a flat file, and of a folder of Orbax."""
  import orbax.checkpoint as ocp

  trunk = resnet.ResNet(**SMALL)
  rng = np.random.default_rng(0)
  own = jax.tree.map(
    lambda x: rng.random(x.shape).astype(np.float32), like(trunk)
  )
  flat = {
    '.'.join(key.key for key in route): leaf
    for route, leaf in jax.tree.leaves_with_path(own)
  }
  short = {name.partition('.')[2]: leaf for name, leaf in flat.items()}
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(tmp_path / 'orbax', own)
  for path in (
    write(tmp_path / 'long.safetensors', flat),
    write(
      tmp_path / 'long.npz', {k.replace('.', '/'): v for k, v in flat.items()}
    ),
    write(tmp_path / 'short.npz', short),
    tmp_path / 'orbax',
  ):
    loaded = load(path, trunk)
    for collection, found in zip(
      ('params', 'batch_stats'), loaded[:2], strict=True
    ):
      for name, tree in own[collection].items():
        if name in ('logits', 'valence_outputs'):
          assert not found[name]['kernel'].any()
        else:
          for a, b in zip(
            jax.tree.leaves(tree), jax.tree.leaves(found[name]), strict=True
          ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  'dtype', ['f8', 'f4', 'f2', 'bfloat16', 'i8', 'u1', '?']
)
def test_tensors_are_read_as_they_are_saved(dtype, tmp_path):
  rng = np.random.default_rng(0)
  dtype = jnp.dtype(dtype)
  for seed in range(5):
    shape = tuple(rng.integers(1, 5, seed))
    value = np.asarray(rng.uniform(0, 100, shape)).astype(dtype)
    turned = value.T  # Not contiguous: strides are kept.
    state = collections.OrderedDict(a=value, b={'c': [turned, 1, 'text']})
    foreign.save_like_torch(tmp_path / 'x.pth', state)
    found = pth.read(tmp_path / 'x.pth')
    np.testing.assert_array_equal(found['a'], value)
    np.testing.assert_array_equal(found['b']['c'][0], turned)
    assert found['a'].dtype == dtype
    assert found['b']['c'][1:] == [1, 'text']


class Evil:
  def __init__(self, function, *arguments):
    self.function, self.arguments = function, arguments

  def __reduce__(self):
    return self.function, self.arguments


def archive(path, content, **entries):
  with zipfile.ZipFile(path, 'w') as held:
    held.writestr('archive/data.pkl', content)
    for name, blob in entries.items():
      held.writestr(f'archive/{name}', blob)


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize(
  ('function', 'name'),
  [
    (os.mkdir, r'\.mkdir'),
    (eval, r'builtins\.eval|__builtin__\.eval'),
    (getattr, r'getattr'),
    (io.open, r'open'),
    (np.load, r'numpy.*\.load'),
    (functools.partial, r'functools\.partial'),
  ],
)
def test_nothing_of_a_pickle_is_run(function, name, protocol, tmp_path):
  made = str(tmp_path / 'made')
  evil = Evil(function, made)
  for state in (evil, {'a': [evil]}, collections.OrderedDict(x=(evil,))):
    archive(tmp_path / 'x.pth', pickle.dumps(state, protocol))
    with pytest.raises(
      errors.UserError, match=rf'holds .*({name}), which is no state of tens'
    ):
      pth.read(tmp_path / 'x.pth')
  assert not (tmp_path / 'made').exists()


def tensor_pickle(
  size, stride, offset=0, numel=4, key='0', kind='FloatStorage'
):
  """Returns a pickle of one tensor, written by hand."""

  def number(n):
    return f'I{n}\n'.encode()

  def numbers(values):
    return b'(' + b''.join(map(number, values)) + b't'

  storage = (
    b'('
    + b'Vstorage\n'
    + f'ctorch\n{kind}\n'.encode()
    + f'V{key}\n'.encode()
    + b'Vcpu\n'
    + number(numel)
    + b'tQ'
  )
  return (
    b'(dVa\n'
    + b'ctorch._utils\n_rebuild_tensor_v2\n('
    + storage
    + number(offset)
    + numbers(size)
    + numbers(stride)
    + b'I00\n'
    + b'(d'
    + b'tRs.'
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'size': (5,), 'stride': (1,)}, 'of which bytes lack'),
    ({'size': (4,), 'stride': (2,)}, 'of which bytes lack'),
    ({'size': (10**9,), 'stride': (0,)}, 'of which bytes lack'),
    ({'size': (2,), 'stride': (-1,)}, 'with strides'),
    ({'size': (-2,), 'stride': (1,)}, 'with strides'),
    ({'size': (1,), 'stride': (1,), 'offset': -1}, 'of shape'),
    ({'size': (1,), 'stride': (1,), 'offset': 4}, 'of which bytes lack'),
    ({'size': (2, 2), 'stride': (1,)}, 'without numbers of its own'),
    ({'size': (4,), 'stride': (1,), 'numel': 8}, 'is damaged'),
    ({'size': (4,), 'stride': (1,), 'key': '9'}, 'is damaged'),
    ({'size': (4,), 'stride': (1,), 'key': '../x'}, 'is damaged'),
    ({'size': (4,), 'stride': (1,), 'kind': 'load'}, r'torch\.load, which is'),
  ],
)
def test_a_tensor_is_of_its_storage(arguments, message, tmp_path):
  path, blob = tmp_path / 'x.pth', np.arange(4, dtype=np.float32).tobytes()
  archive(path, tensor_pickle((2, 2), (1, 2)), **{'data/0': blob})
  np.testing.assert_array_equal(pth.read(path)['a'], [[0, 2], [1, 3]])
  archive(path, tensor_pickle(**arguments), **{'data/0': blob})
  with pytest.raises(errors.UserError, match=message):
    pth.read(path)


def test_damaged_files_are_told_whatever_the_byte(tmp_path):
  """Cut short, or a bit flipped: the same numbers, or one message."""
  forward, trunk = FAMILIES['resnet']
  _, state = state_of(forward, image())
  rng = np.random.default_rng(0)
  told = 0
  for ending in ENDINGS:
    path = write(tmp_path / f'state{ending}', state)
    whole = path.read_bytes()
    for _ in range(12):
      bad = bytearray(whole)
      if rng.random() < 0.5:
        del bad[int(rng.integers(len(bad))) :]
      else:
        # Names and sizes are at the beginning, or at the end.
        place = int(rng.integers(min(2000, len(bad))))
        place = place if rng.random() < 0.5 else len(bad) - 1 - place
        bad[place] ^= 1 << int(rng.integers(8))
      path.write_bytes(bad)
      try:
        load(path, trunk)
      except errors.UserError as error:
        assert f'state{ending}' in str(error)
        told += 1
  assert told > 20


def change(state, kind):
  state = dict(state)
  first = state['conv1.weight']
  if kind == 'nan':
    state['layer2.0.bn1.running_mean'] = np.full(8, np.nan)
  elif kind == 'negative':
    state['bn1.running_var'] = -state['bn1.running_var']
  elif kind == 'lacks':
    del state['layer2.1.conv2.weight']
  elif kind == 'larger':
    state['layer2.2.conv1.weight'] = np.zeros((8, 8, 3, 3))
  elif kind == 'wider':
    state['conv1.weight'] = np.repeat(first, 2, axis=0)
  elif kind == 'flat':
    state['conv1.weight'] = first.ravel()
  elif kind == 'channels':
    state['conv1.weight'] = first[:, :2]
  elif kind == 'huge':
    state['conv1.weight'] = first * 1e300
  elif kind == 'empty':
    state = {}
  return state


@pytest.mark.parametrize(
  ('kind', 'message'),
  [
    ('nan', r'layer2\.0\.bn1\.running_mean in .* must hold finite numbers'),
    ('negative', r'bn1\.running_var in .*variances none below 0'),
    ('lacks', r'1 of \d+ arrays lack.*torchvision: layer2\.1\.conv2\.weight'),
    ('larger', r'larger network .* has no layer2\.2\.conv1\.weight'),
    ('wider', r'conv1\.weight .* shape \[7, 7, 3, 4\].*it is \[7, 7, 3, 8\]'),
    ('flat', r'conv1\.weight .* shape \[7, 7, 3, 4\].*it is \[588\]'),
    ('channels', r'it is \[7, 7, 2, 4\]: of another width, stem or number'),
    ('huge', r'conv1\.weight in .* must hold finite numbers'),
    ('empty', 'holds no arrays by name'),
  ],
)
@pytest.mark.filterwarnings('ignore:overflow')
def test_bad_weights_are_refused(kind, message, tmp_path):
  forward, trunk = FAMILIES['resnet']
  _, state = state_of(forward, image())
  for ending in ENDINGS:
    path = write(tmp_path / f'state{ending}', change(state, kind))
    with pytest.raises(errors.UserError, match=message):
      load(path, trunk, dtype='f4')


def test_paths_that_are_no_weights_are_refused(tmp_path):
  _, trunk = FAMILIES['resnet']
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'x.onnx').write_bytes(b'')
  (tmp_path / 'old.pth').write_bytes(pickle.dumps({'a': 1}))
  objects = tmp_path / 'objects.npz'
  np.savez(objects, a=np.array([{}], object))
  for name, message in (
    ('absent.pth', r'there is no .*absent\.pth; it may be \.safetensors'),
    ('empty', 'no bundle and no whole checkpoint'),
    ('x.onnx', r"must be \.safetensors.*its ending is '\.onnx'"),
    ('old.pth', 'damaged, or of a PyTorch before 1.6'),
    ('objects.npz', 'damaged, or holds more than arrays'),
  ):
    with pytest.raises(errors.UserError, match=message):
      load(tmp_path / name, trunk)


def test_a_network_that_pools_otherwise_takes_no_torchvision_state(tmp_path):
  forward, _ = FAMILIES['bottleneck']
  _, state = state_of(forward, image())
  caffe = resnet.ResNet(bottleneck=True, published='caffe', **SMALL)
  with pytest.raises(errors.UserError, match='of another network'):
    load(write(tmp_path / 'state.npz', state), caffe)


@pytest.mark.parametrize(('old', 'new'), [(4, 2), (2, 5), (3, 3)])
def test_positions_are_resized_to_the_patches(old, new, tmp_path):
  """Of a plane they are those of the plane, off its border."""
  forward = functools.partial(foreign.vit, timm=True, **VIT)
  trunk = vit.VisionTransformer(**VIT)
  _, state = state_of(forward, image(5 * old))
  places = (np.arange(old) + 0.5) / old
  plane = places[:, None, None] * np.arange(8) + places[None, :, None]
  state['pos_embed'][0, 1:] = plane.reshape(-1, 8)
  path = write(tmp_path / 'state.npz', state)
  loaded = load(path, trunk, side=5 * new)
  found = loaded.params['position'][0]
  np.testing.assert_allclose(found[0], state['pos_embed'][0, 0], rtol=1e-6)
  there = (np.arange(new) + 0.5) / new
  wanted = there[:, None, None] * np.arange(8) + there[None, :, None]
  inner = slice(1, -1) if new > old else slice(None)
  grid = found[1:].reshape(new, new, 8)
  near = 1e-5 if new >= old else 0.3
  off = np.abs(grid - wanted)[inner, inner]
  assert off.max() < (near if old != 2 else 0.5)
  told = f'positions are resized from {old} x {old} patches to {new} x {new}'
  assert (told in loaded.told) == (old != new)


def test_descriptions_are_of_bundles_alone(tmp_path):
  assert files.description_of(tmp_path) is None
  assert files.description_of(tmp_path / 'absent.pth') is None
