"""The rebalanced cross entropies, against loops over single entries."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network import losses

COUNTS = [400, 100, 10, 2]
FREQUENCY = [0.4, 0.1, 0.01, 0.002]


def batch(seed=0, rows=12):
  """Some rows have no positive, some labels are unknown."""
  rng = np.random.default_rng(seed)
  shape = (rows, len(COUNTS))
  y = (rng.random(shape) < 0.4).astype(np.uint8)
  y[:2] = 0
  return 2 * rng.standard_normal(shape), y, rng.random(shape) < 0.8


def cross_entropy(z, positive):
  """-log of the probability of the truth."""
  return math.log1p(math.exp(-z if positive else z))


def mean_over_known(cost, logits, labels, known):
  """The mean of cost(row, label, logit, positive) over the known entries."""
  costs = [
    cost(i, c, logits[i, c], labels[i, c])
    for i, c in np.argwhere(known).tolist()
  ]
  return sum(costs) / len(costs)


def known_positives(i, labels, known):
  return np.flatnonzero(labels[i] * known[i]).tolist()


def test_class_balanced_is_the_formula(x64):
  logits, y, known = batch()
  effective = [(1 - 0.99**n) / (1 - 0.99) for n in COUNTS]
  weights = [1 / e for e in effective]
  weights = [len(COUNTS) * w / sum(weights) for w in weights]

  def cost(i, c, z, positive):
    own = [weights[k] for k in known_positives(i, y, known)]
    weight = sum(own) / len(own) if own else 1
    return weight * cross_entropy(z, positive)

  loss = losses.make_loss('class_balanced', counts=COUNTS, beta=0.99)
  value = jax.jit(loss)(logits, y, known)
  expected = mean_over_known(cost, logits, y, known)
  np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_class_balanced_by_hand():
  # beta .5 and 1 and 2 positives: effective numbers 1 and 1.5, weights 1 and
  # 2/3, that is 1.2 and .8 with mean 1. Logits 0: each entry costs log 2.
  loss = losses.make_loss('class_balanced', counts=[1, 2], beta=0.5)
  value = loss(jnp.zeros((1, 2)), np.array([[1, 0]]), np.ones((1, 2), bool))
  np.testing.assert_allclose(value, 1.2 * math.log(2), rtol=1e-6)


def test_class_balanced_goes_from_cross_entropy_to_the_inverse_count(x64):
  logits, _, known = batch()
  args = (
    jnp.asarray(logits),
    np.eye(4, dtype=np.uint8)[[0, 3] * 6],
    known | True,
  )
  none = losses.make_loss('class_balanced', counts=COUNTS, beta=0)(*args)
  expected = losses.make_loss('bce')(*args)
  np.testing.assert_allclose(none, expected, rtol=1e-14)
  inverse = 1 / np.array(COUNTS)
  inverse = np.array([inverse[0], inverse[3]] * 6) / inverse.mean()
  entries = np.logaddexp(0, np.where(args[1], -logits, logits))
  full = losses.make_loss('class_balanced', counts=COUNTS, beta=1 - 1e-12)(
    *args
  )
  expected = (inverse[:, None] * entries).mean()
  np.testing.assert_allclose(full, expected, rtol=1e-7)


@pytest.mark.parametrize('beta', [-0.1, 1.0, math.nan])
def test_class_balanced_refuses_a_beta_outside(beta):
  with pytest.raises(ValueError, match=r'beta must be in \[0, 1\), got'):
    losses.make_loss('class_balanced', counts=COUNTS, beta=beta)(
      *map(jnp.asarray, batch())
    )


def test_distribution_balanced_is_the_formula(x64):
  logits, y, known = batch()
  alpha, beta, mu, lam, kappa = 0.1, 9.0, 0.3, 5.0, 0.07

  def cost(i, c, z, positive):
    drawn = sum(1 / COUNTS[k] for k in known_positives(i, y, known))
    r_hat = alpha + 1
    if drawn:
      r = 1 / COUNTS[c] / drawn
      r_hat = alpha + 1 / (1 + math.exp(-beta * (r - mu)))
    nu = kappa * math.log(1 / FREQUENCY[c] - 1)
    if positive:
      return r_hat * cross_entropy(z - nu, 1)
    return r_hat * cross_entropy(lam * (z - nu), 0) / lam

  loss = losses.make_loss(
    'distribution_balanced',
    counts=COUNTS,
    frequency=FREQUENCY,
    alpha=alpha,
    beta=beta,
    mu=mu,
    lam=lam,
    kappa=kappa,
  )
  value = jax.jit(loss)(logits, y, known)
  expected = mean_over_known(cost, logits, y, known)
  np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize('name', ['class_balanced', 'distribution_balanced'])
@pytest.mark.parametrize(
  ('counts', 'frequency'),
  [
    # A label is never there, or always; nothing is; all always are; many are.
    ([0, 100, 10, 2], [0.0, 0.1, 0.01, 0.002]),
    ([1000, 100, 10, 2], [1.0, 0.1, 0.01, 0.002]),
    ([0, 0, 0, 0], [0.0, 0.0, 0.0, 0.0]),
    ([9, 9, 9, 9], [1.0, 1.0, 1.0, 1.0]),
    ([10**9, 10**7, 10, 1], [0.9, 0.01, 1e-8, 1e-9]),
  ],
)
def test_any_counts_give_a_finite_loss_and_gradient(name, counts, frequency):
  logits, y, known = batch()
  loss = losses.make_loss(name, counts=counts, frequency=frequency)
  run = jax.jit(jax.value_and_grad(loss))
  for scale in (1, 1e4):
    value, gradient = run((scale * logits).astype(np.float32), y, known)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_distribution_balanced_lets_go_of_negatives_that_are_well_told():
  args = np.zeros((1, 4), np.uint8), np.ones((1, 4), bool)
  sides = []
  for name in ('bce', 'distribution_balanced'):
    loss = losses.make_loss(name, counts=COUNTS, frequency=FREQUENCY)
    gradient = jax.jit(jax.grad(loss))
    far, near = (
      np.asarray(gradient(np.full((1, 4), z, np.float32), *args))[0, 0]
      for z in (-4.0, 0.0)
    )
    sides.append(far / near)
  assert sides[1] < 0.1 * sides[0]
