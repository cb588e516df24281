"""The same by PyTorch itself: what it saves is read, what it says is said."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network import models
from aubal_jax.network import weights as weights_lib
from aubal_jax.network.weights import pth
from tests.makers import foreign_networks as foreign

pytestmark = pytest.mark.long
torch = pytest.importorskip(
  'torch',
  reason='PyTorch, the oracle of imported weights, is not installed: pip '
  'install torch, in an environment of its own if need be',
)

NETWORKS = {
  'resnet18': lambda net, x: foreign.resnet(net, x, (2, 2, 2, 2), 64),
  'resnet34': lambda net, x: foreign.resnet(net, x, (3, 4, 6, 3), 64),
  'resnet50': lambda net, x: foreign.resnet(
    net, x, (3, 4, 6, 3), 64, bottleneck=True
  ),
  'efficientnet_b0': foreign.efficientnet,
  'vit_b_16': foreign.vit,
  'vit_b_14': lambda net, x: foreign.vit(net, x, 14, timm=True, scale=1),
  'mobilenet_v2': lambda net, x: foreign.mobilenet(net, x, int),
}


def make_state(forward, x, seed):
  """Returns a state of tensors whose kernels PyTorch has drawn."""
  weights = foreign.Weights(seed)
  forward(foreign.Net(foreign.Torch('float64'), weights), x)
  torch.manual_seed(seed)
  state = {}
  for name, value in weights.held.items():
    tensor = torch.as_tensor(value)
    if tensor.ndim > 1 and name.endswith('weight'):
      tensor = torch.nn.init.kaiming_normal_(tensor)
    state[name] = weights.held[name] = tensor
  return weights, state


@pytest.mark.parametrize('dtype', ['float64', 'float32'])
@pytest.mark.parametrize('name', NETWORKS)
def test_features_are_those_of_pytorch(name, dtype, tmp_path):
  forward = NETWORKS[name]
  side = 56 if name == 'vit_b_14' else 64
  x = np.random.default_rng(1).random((2, side, side, 3))
  turned = np.moveaxis(x, 3, 1)
  weights, state = make_state(forward, turned, 1)
  path = tmp_path / 'state.pth'
  cast = getattr(torch, dtype)
  torch.save({'state_dict': {k: v.to(cast) for k, v in state.items()}}, path)
  with torch.no_grad():
    net = foreign.Net(foreign.Torch(dtype), weights)
    expected = forward(net, turned).double().numpy()
  with jax.enable_x64(dtype == 'float64'):
    wide = dict.fromkeys(('dtype', 'param_dtype'), jnp.dtype(dtype))
    model = models.make_model(name, {'labels': 2}, **wide)
    shapes = jax.eval_shape(model.init, jax.random.key(0), {'image': x})
    zeros = jax.tree.map(lambda s: np.zeros(s.shape, dtype), shapes)
    loaded = weights_lib.load(
      path,
      zeros['params'],
      zeros.get('batch_stats', {}),
      trunk=model.trunk,
      heads=model.head_names,
    )
    variables = {'params': loaded.params, 'batch_stats': loaded.batch_stats}
    run = jax.jit(functools.partial(models.features_of, model))
    found = np.asarray(run(variables, {'image': x.astype(dtype)}))
  near = {'float64': 1e-9, 'float32': 1e-4}[dtype] * np.abs(expected).max()
  np.testing.assert_allclose(found, expected, rtol=0, atol=near)
  assert np.ptp(expected, axis=0).max() > 1e-3  # The signal has not died.


@pytest.mark.parametrize(
  'dtype',
  [
    'float64',
    'float32',
    'float16',
    'bfloat16',
    'int64',
    'int32',
    'uint8',
    'bool',
  ],
)
def test_what_pytorch_saves_is_read(dtype, tmp_path):
  rng = np.random.default_rng(0)
  for seed in range(10):
    shape = tuple(int(n) for n in rng.integers(1, 5, seed % 5))
    values = rng.uniform(0, 100, shape)
    tensor = torch.as_tensor(values).to(getattr(torch, dtype))
    sliced = tensor[..., :1] if tensor.ndim else tensor
    views = [tensor, tensor.T if tensor.ndim == 2 else sliced]
    if tensor.is_floating_point():
      views.append(torch.nn.Parameter(tensor))
    torch.save({'a': views, 'epoch': seed, 'name': 'x'}, tmp_path / 'x.pth')
    found = pth.read(tmp_path / 'x.pth')
    for ours, theirs in zip(found['a'], views, strict=True):
      assert ours.dtype.name == dtype
      exact = theirs.detach().double().numpy()
      np.testing.assert_array_equal(ours.astype('f8'), exact)
    assert found['epoch'] == seed


def test_a_state_of_a_module_is_read(tmp_path):
  module = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
  )
  torch.save(module.state_dict(), tmp_path / 'x.pth')
  found = pth.read(tmp_path / 'x.pth')
  for name, value in module.state_dict().items():
    np.testing.assert_array_equal(found[name], value.numpy())
  torch.save(module, tmp_path / 'whole.pth')
  with pytest.raises(ValueError, match=r'holds torch\.nn\.modules.*nothing of'):
    pth.read(tmp_path / 'whole.pth')
