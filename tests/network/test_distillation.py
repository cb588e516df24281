"""What students pay: golden numbers, SciPy, devices, tasks."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

from aubal_jax.network import distillation

STUDENT = jnp.array([[1, 0, -1], [0.5, 0.5, 2]])
SAID = jnp.array([[2.0, 0, 0], [0, 1, 1]])


def _head(kind, size, name='x', raw=False):
  return types.SimpleNamespace(
    name=name, kind=kind, names=tuple(map(str, range(size))), raw=raw
  )


HEADS = {
  'binary': (_head('binary', 5), 5),
  'class': (_head('class', 4), 4),
  'bins': (_head('real', 2), 40),
  'numbers': (_head('real', 3), 3),
  'raw': (_head('real', 3, raw=True), 3),
}


def _oracle(which, z, t, temperature):
  if which == 'binary':
    p, q = special.expit(t), special.expit(z)
    return -(p * np.log(q) + (1 - p) * np.log(1 - q)).mean()
  if which == 'numbers':
    return ((np.tanh(z) - np.tanh(t)) ** 2).mean()
  if which == 'raw':
    return ((z - t) ** 2).mean()
  z, t = (x.reshape(len(x), -1, 20 if which == 'bins' else 4) for x in (z, t))
  soft = [special.softmax(x / temperature, axis=-1) for x in (t, z)]
  return stats.entropy(*soft, axis=-1).sum(axis=1).mean()


def test_golden():
  of_classes, of_labels = _head('class', 3), _head('binary', 3)
  found = distillation.divergence(of_classes, STUDENT, SAID, 1.5)
  np.testing.assert_allclose(found, 0.0660952824, rtol=2e-6)
  found = distillation.divergence(of_labels, STUDENT, SAID, 1.5)
  np.testing.assert_allclose(found, 0.6560515017, rtol=2e-7)


@pytest.mark.parametrize('which', HEADS)
def test_equals_scipy_and_is_least_at_the_teachers(which):
  head, size = HEADS[which]

  def divergence(z, teacher, temperature):
    return distillation.divergence(head, z, teacher, temperature)

  value, slope = jax.jit(divergence), jax.jit(jax.grad(divergence))
  for seed in range(3):
    rng = np.random.default_rng(seed)
    z, t = rng.normal(0, 3, (2, 7, size)).astype(np.float32)
    temperature = rng.uniform(0.5, 4)
    of = functools.partial(value, teacher=t, temperature=temperature)
    np.testing.assert_allclose(
      of(z),
      _oracle(which, z.astype(float), t.astype(float), temperature),
      rtol=1e-5,
    )
    assert float(of(z)) > float(of(t))
    if which != 'binary':  # Whose least is the entropy of the teacher.
      np.testing.assert_allclose(of(t), 0, atol=1e-6)
    gradient = slope(t, t, temperature)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    half = of(z.astype(jnp.bfloat16))  # Whatever the network computes in.
    assert half.dtype == jnp.float32


@pytest.mark.parametrize('which', HEADS)
def test_devices_share_a_batch(which):
  head, size = HEADS[which]
  rng = np.random.default_rng(7)
  z, t = rng.normal(size=(2, 12, size)).astype(np.float32)

  def of(z, t, axis_name=None):
    return distillation.divergence(head, z, t, 1.5, axis_name)

  shared = jax.pmap(
    jax.value_and_grad(functools.partial(of, axis_name='d')), axis_name='d'
  )
  found, gradient = shared(z.reshape(4, 3, -1), t.reshape(4, 3, -1))
  whole, of_whole = jax.jit(jax.value_and_grad(of))(z, t)
  np.testing.assert_allclose(found, np.full(4, whole), rtol=1e-6)
  # Of which the step takes the mean over devices, see `step.train_step`.
  np.testing.assert_allclose(
    np.asarray(gradient).reshape(12, -1) / 4, of_whole, rtol=1e-5, atol=1e-8
  )


def _make(share, names='abc'):
  heads = [_head('class', 4, name) for name in names]
  own = {
    name: lambda z, y, m, batch, axis_name, k=k: (
      (k + 1) * jnp.square(z - y).mean()
    )
    for k, name in enumerate(names)
  }
  objective = distillation.make_objective(heads, own, share=share)
  return heads, own, objective


@pytest.mark.parametrize('seed', range(4))
def test_tasks_add_up_to_what_is_published(seed):
  rng = np.random.default_rng(seed)
  share = float(rng.uniform())
  heads, own, objective = _make(share)
  z, t = (
    {h.name: jnp.asarray(rng.normal(size=(3, 4)), jnp.float32) for h in heads}
    for _ in range(2)
  )
  batch = dict.fromkeys(z, 0.5) | {f'{k}_known': None for k in z}
  batch[distillation.TEACHER] = t
  d = {
    h.name: distillation.divergence(h, z[h.name], t[h.name], 1.5) for h in heads
  }
  paid = {k: f(z[k], 0.5, None, batch, None) for k, f in own.items()}
  mixed = sum((1 - share) * d[k] + share * paid[k] for k in d) / 3
  np.testing.assert_allclose(objective(z, batch), mixed, rtol=1e-6)
  by_task = sum(
    objective(z, {n: x for n, x in batch.items() if n[0] in (k, 't')})
    for k in d
  )
  published = (
    sum(
      (1 - share) * d[u] + share * paid[u] if u == k else d[u]
      for k in d
      for u in d
    )
    / 3
  )
  np.testing.assert_allclose(by_task, published, rtol=1e-6)
  assert float(by_task) != pytest.approx(float(mixed))
