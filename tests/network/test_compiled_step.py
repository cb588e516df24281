"""The derivative of the training step as it is compiled, whole.

XLA compiles a step otherwise than its parts, and another side of the images
otherwise again: a rule that is right for each part alone may not be there.
"""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.interpreters import partial_eval

from aubal_jax.network import losses
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from tests.makers import tiny_steps

BATCH = 4
# side -> number of devices of the step in float64 and of that in float32; None:
# plain, by jit. So each kind of step is compiled in both.
SIDES = {48: (None, 1), 64: (4, None), 112: (1, 4)}
SHIFT = 1e-7  # Longer steps cross the corners of more ReLUs.


def make_batch(side):
  rng = np.random.default_rng(side)
  shape = BATCH, tiny_steps.LABELS
  return {
    'image': rng.integers(0, 256, (BATCH, side, side, 1), np.uint8),
    'labels': (rng.random(shape) < 0.4).astype(np.uint8),
    'labels_known': rng.random(shape) < 0.8,
  }


def make_step(dtype, num_devices, **options):
  """Returns f(state, batch), a step by the gradient itself.

  On one device batch norm asks no others: the same numbers, otherwise compiled.
  """
  model = models.make_model(
    'resnet8_16',
    tiny_steps.OUTPUTS,
    axis_name=step_lib.AXIS_NAME if num_devices == 4 else None,
    **dict.fromkeys(tiny_steps.DTYPES, dtype),
    **options,
  )
  parts = {
    'optimizer': optimizer_lib.make_optimizer('sgd', 1.0),
    'objective': tiny_steps.make_objective(),
  }
  if num_devices is None:
    return jax.jit(functools.partial(step_lib.train_step, model=model, **parts))
  devices = jax.local_devices()[:num_devices]
  step = step_lib.make_train_step(model, devices=devices, **parts)
  return functools.partial(tiny_steps.once, step)


@functools.cache  # Of one side: the parameters do not depend on it.
def make_state():
  state = tiny_steps.make_state()
  optimizer = optimizer_lib.make_optimizer('sgd', 1.0)
  return state.replace(opt_state=optimizer.init(state.params))


def widen(x):
  return x.astype(np.float64) if x.dtype == np.float32 else x


def norm(tree):
  return np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(tree)))


def gradient_of(step, state, batch):
  """Returns the gradient by which a step has moved the parameters."""
  after, _ = step(state, batch)
  return jax.tree.map(
    lambda old, new: widen(old) - widen(np.asarray(new)),
    state.params,
    after.params,
  )


@pytest.fixture(
  name='wide',
  scope='module',
  # The smallest of those where a wrong gradient was found; and all.
  params=[
    pytest.param(side, marks=() if side == min(SIDES) else pytest.mark.long)
    for side in SIDES
  ],
)
def fixture_wide(request):
  """The step in float64, compiled for one side, and its gradient."""
  side = request.param
  num_devices, other = SIDES[side]
  with jax.enable_x64(True):
    step = make_step(jnp.float64, num_devices)
    state = jax.tree.map(widen, make_state())
    batch = make_batch(side)
    gradient = gradient_of(step, state, batch)
  return types.SimpleNamespace(
    step=step, state=state, batch=batch, gradient=gradient, other=other
  )


def test_the_loss_falls_as_the_gradient_has_it(wide):
  """Along the gradient by each layer, against differences of the loss."""
  with jax.enable_x64(True):
    for layer, gradient in wide.gradient.items():
      length = norm(gradient)
      values = []
      for shift in (SHIFT / length, -SHIFT / length):
        moved = jax.tree.map(
          lambda x, g, shift=shift: x + shift * g,
          wide.state.params[layer],
          gradient,
        )
        state = wide.state.replace(params={**wide.state.params, layer: moved})
        values.append(float(wide.step(state, wide.batch)[1]['loss']))
      slope = (values[0] - values[1]) / (2 * SHIFT)
      np.testing.assert_allclose(slope, length, rtol=1e-5, err_msg=layer)


def test_the_gradient_in_float32_is_that_in_float64(wide):
  step = make_step(jnp.float32, wide.other, remat=wide.other == 1)
  gradient = gradient_of(step, make_state(), wide.batch)
  for path, expected in jax.tree.leaves_with_path(wide.gradient):
    found = functools.reduce(lambda tree, key: tree[key.key], path, gradient)
    off = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert off < 1e-3, f'{jax.tree_util.keystr(path)} is {off:.1%} off'


def equalities(function, *args):
  """Returns the shapes of floats whose equality the result hangs on.

  Comparisons with constants are not counted.
  """

  def walk(jaxpr):
    for equation in jaxpr.eqns:
      if equation.primitive.name == 'eq':
        kinds = [(type(x), x.aval.dtype.kind) for x in equation.invars]
        if kinds == [(core.Var, 'f')] * 2:
          yield equation.invars[0].aval.shape
      for inner in core.jaxprs_in_params(equation.params):
        yield from walk(inner)

  jaxpr = jax.make_jaxpr(function)(*args).jaxpr
  used, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
  return list(walk(used))


def test_equalities_are_seen():
  def of_gradient(function):
    gradient = jax.jit(jax.grad(lambda x: function(x).sum()))
    return equalities(gradient, np.ones(3, np.float32))

  assert of_gradient(lambda x: jnp.maximum(x, 0)) == [(3,)]
  assert of_gradient(jax.nn.relu) == []
  assert of_gradient(lambda x: jnp.where(jnp.isinf(x), 0, x)) == []


@pytest.mark.parametrize('name', losses.LOSSES)
def test_no_gradient_hangs_on_an_equality(name):
  """For XLA may compute a value twice, and then it need not be equal."""
  frequency = np.linspace(0.1, 0.5, tiny_steps.LABELS)
  loss = losses.make_loss(name, frequency=frequency, counts=10 * frequency)
  _, labels, known = make_batch(16).values()
  logits = np.ones(labels.shape, np.float32)
  assert not equalities(jax.grad(loss), logits, labels, known)


def test_no_gradient_of_a_map_hangs_on_an_equality():
  found = equalities(make_step(jnp.float32, None), make_state(), make_batch(16))
  # Flax's batch norm has them: it keeps the variances [C] from below 0.
  assert all(len(shape) == 1 for shape in found)
