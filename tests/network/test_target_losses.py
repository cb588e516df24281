"""Losses of classes and numbers against NumPy, masks, devices and goldens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from aubal_jax.network import heads
from aubal_jax.network import target_losses

GOLDEN_X = np.array([[0.1], [0.4], [-0.2], [0.8]])
GOLDEN_Y = np.array([[0.0], [0.5], [-0.4], [0.6]])
AXIS = 'devices'


def make_head(kind, rng):
  if kind == 'class':
    names = tuple('abcdefg'[: rng.integers(2, 8)])
    return heads.Head('mood', 'class', names, 'cross_entropy')
  low = float(rng.uniform(-9, 9))
  ranged = {'low': low, 'high': low + float(rng.uniform(0.5, 9))}
  names = tuple('vwx'[: rng.integers(1, 4)])
  if kind in ('tanh', 'raw'):
    raw = kind == 'raw'
    return heads.Head('affect', 'real', names, 'ccc', raw=raw, **ranged)
  return heads.Head(
    *('affect', 'real', names, 'ccc_cross_entropy'),
    bins=int(rng.integers(2, 25)),
    levels=str(rng.choice(heads.LEVELS)),
    **ranged,
  )


def make_batch(head, rng, share=0.6, size=12):
  """Returns outputs, values and known of some rows, in float64."""
  outputs = rng.normal(size=(size, head.size))
  if head.kind == 'class':
    known = rng.random(size) < share
    values = rng.integers(0, len(head.names), size)
    return outputs, np.where(known, values, 0).astype(np.int16), known
  known = rng.random((size, len(head.names))) < share
  values = rng.uniform(head.low, head.high, known.shape)
  return outputs, np.where(known, values, 0), known


def by_hand(head, outputs, values, known):
  """The loss, by NumPy, one number of a row at a time."""
  if head.kind == 'class':
    log_p = scipy.special.log_softmax(outputs, axis=1)
    return np.mean(-log_p[known, values[known]]) if known.any() else 0.0
  whole = 0.0
  for d in range(len(head.names)):
    rows = known[:, d]
    y = (values[rows, d] - head.low) / (head.high - head.low) * 2 - 1
    if head.bins:
      mine = slice(d * head.bins, (d + 1) * head.bins)
      log_p = scipy.special.log_softmax(outputs[rows, mine], axis=1)
      edges = np.linspace(-1, 1, head.bins + 1)
      index = np.clip(np.digitize(y, edges) - 1, 0, head.bins - 1)
      whole += np.mean(-log_p[np.arange(len(y)), index]) if len(y) else 0.0
      middle = (edges[1:] + edges[:-1]) / 2
      at = np.linspace(-1, 1, head.bins)
      x = np.exp(log_p) @ (middle if head.levels == 'centres' else at)
    else:
      x = outputs[rows, d] if head.raw else np.tanh(outputs[rows, d])
    if len(y) > 1:
      cov = np.cov(x, y, bias=True)
      below = np.trace(cov) + (x.mean() - y.mean()) ** 2
      whole += 1 - 2 * cov[0, 1] / below
  return whole


@pytest.mark.parametrize('kind', ['class', 'bins', 'tanh', 'raw'])
def test_losses_are_those_of_the_known_part(x64, kind):
  rng = np.random.default_rng(3)
  for _ in range(2):
    head = make_head(kind, rng)
    loss = jax.jit(jax.value_and_grad(target_losses.make_loss(head)))
    for share in (0.6, 0.2, 0.6, 0.0):
      outputs, values, known = make_batch(head, rng, share)
      value, gradient = map(np.asarray, loss(outputs, values, known))
      expected = by_hand(head, outputs, values, known)
      np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)
      mask = known[:, None] if head.kind == 'class' else known
      mask = np.repeat(mask, outputs.shape[1] // mask.shape[1], axis=1)
      assert not gradient[~mask].any()
      # Whatever an unknown entry is, it is not seen.
      other = np.where(mask, outputs, rng.normal(size=mask.shape) * 50)
      values = np.where(known, values, 1).astype(values.dtype)
      same, _ = loss(other, values, known)
      np.testing.assert_allclose(same, value, rtol=1e-12)


@pytest.mark.parametrize('kind', ['class', 'bins', 'tanh'])
@pytest.mark.parametrize(
  'num_heads', [1, pytest.param(2, marks=pytest.mark.long)]
)
def test_four_devices_have_the_loss_and_gradient_of_one(x64, num_heads, kind):
  rng = np.random.default_rng(4)
  for _ in range(num_heads):
    head = make_head(kind, rng)
    loss = target_losses.make_loss(head)
    batch = make_batch(head, rng)

    def mapped(outputs, values, known, loss=loss):
      found = jax.value_and_grad(loss)(outputs, values, known, None, AXIS)
      return found[0], found[1] / 4  # As `pmean` would of a parameter's.

    shards = [x.reshape(4, -1, *x.shape[1:]) for x in batch]
    values, gradient = jax.pmap(mapped, axis_name=AXIS)(*shards)
    one = jax.jit(jax.value_and_grad(loss))(*batch)
    np.testing.assert_allclose(values, np.full(4, one[0]), rtol=1e-9)
    np.testing.assert_allclose(
      gradient.reshape(one[1].shape), one[1], rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize(
  ('ddof', 'expected'), [(0, 0.9190283401), (1, 0.9265306122)]
)
def test_golden_concordance(x64, ddof, expected):
  found = target_losses.concordance(
    *(GOLDEN_X, GOLDEN_Y, np.ones((4, 1), bool), lambda x: x_sum(x)),
    ddof=ddof,
  )
  np.testing.assert_allclose(found, [expected], atol=5e-11)


def x_sum(x):
  return jax.tree.map(lambda x: x.sum(0), x)


@pytest.mark.parametrize('case', ['none', 'one', 'same'])
def test_where_there_is_no_concordance_nothing_is_learnt(case):
  rng = np.random.default_rng(5)
  for constant in (0.1, -0.7, 0.0):
    x = np.full((7, 2), constant, np.float32)
    y = x.copy()
    known = np.ones(x.shape, bool)
    if case != 'same':
      x, y = rng.uniform(-1, 1, (2, 7, 2)).astype(np.float32)
      known[1 if case == 'one' else 0 :] = False

    def loss(x, y=y, known=known):
      return (1 - target_losses.concordance(x, y, known, x_sum)).sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(x))
    assert value == 0
    assert not np.asarray(gradient).any()


@pytest.mark.parametrize('bins', [2, 5, 20, 40])
def test_bins_are_closed_on_the_left_and_the_last_on_both_sides(bins):
  edges = (2 * np.arange(bins + 1) / bins - 1).astype(np.float32)
  on = np.asarray(target_losses.to_bins(edges, bins))
  np.testing.assert_array_equal(on, [*range(bins), bins - 1])
  middle = (edges[1:] + edges[:-1]) / 2
  inside = np.asarray(target_losses.to_bins(middle, bins))
  np.testing.assert_array_equal(inside, np.arange(bins))
