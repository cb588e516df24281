"""Every loss by hand: masked, of the whole batch, its gradient finite."""

import functools

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import sklearn.metrics

from aubal_jax.network import losses

# Logits of probability 3/4, 1/2 and 1/4: tables below are exact fractions.
P75, P50, P25 = np.log(3.0), 0.0, -np.log(3.0)

# Two images, two labels; the second label of image 1 is unknown.
LOGITS = np.array([[P75, P25], [P50, P75]])
LABELS = np.array([[1, 1], [0, 0]], np.uint8)
KNOWN = np.array([[True, True], [True, False]])
FREQUENCY = np.array([0.5, 0.25])
COUNTS = np.array([2, 1])

# Entries of label 0: positive at p = 3/4, negative at p = 1/2.
# Entry of label 1: positive at p = 1/4.
# soft_f1, label 0: tp = 3/4, fp = 1/2, fn = 1/4: F1 = 1.5 / 2.25 = 2/3.
#          label 1: tp = 1/4, fp = 0, fn = 3/4: F1 = 0.5 / 1.25 = 2/5.
SOFT_F1 = 1 - (2 / 3 + 2 / 5) / 2
BCE = -(np.log(3 / 4) + np.log(1 / 2) + np.log(1 / 4)) / 3
# focal: -a (1 - q)^2 log q, q = 3/4, 1/2, 1/4, a = 1/4, 3/4, 1/4.
FOCAL = (
  -(
    np.log(3 / 4) / 4 / 16
    + np.log(1 / 2) * 3 / 4 / 4
    + np.log(1 / 4) / 4 * 9 / 16
  )
  / 3
)
# asymmetric: the negative has q = 1/2 - 0.05 = 0.45.
ASYMMETRIC = -(np.log(3 / 4) + 0.45**4 * np.log(0.55) + np.log(1 / 4)) / 3
# Positives of label 0 count (1 - .5) / .5 = 1, of label 1 .75 / .25 = 3.
BCE_WEIGHTED = -(np.log(3 / 4) + np.log(1 / 2) + 3 * np.log(1 / 4)) / 3
# class_balanced: image 0 has both labels, and so the mean of weights of mean 1;
# image 1 has no known positive: both weigh 1. Others: test_rebalanced_losses.
CLASS_BALANCED = BCE
# distribution_balanced: 1 / n is 1/2 and 1, so r is 1/3 and 2/3 in image 0, and
# the limit in image 1, which has no known positive. nu is 0 and log(3) / 20.
# The positive of logit -log(3) costs log(1 + 3^1.05), the negative log(2) / 2.
DISTRIBUTION_BALANCED = (
  (0.1 + 1 / (1 + np.exp(-4 / 3))) * np.log(4 / 3)
  + (0.1 + 1 / (1 + np.exp(-14 / 3))) * np.log(1 + 3**1.05)
  + (0.1 + 1) * np.log(2) / 2
) / 3

BY_HAND = {
  'asymmetric': ASYMMETRIC,
  'bce': BCE,
  'bce_weighted': BCE_WEIGHTED,
  'class_balanced': CLASS_BALANCED,
  'distribution_balanced': DISTRIBUTION_BALANCED,
  'f1_bce': SOFT_F1 + BCE,
  'focal': FOCAL,
  'soft_f1': SOFT_F1,
}

# The losses that are told counts.
COUNTED = ('class_balanced', 'distribution_balanced')

# Inverse weights: 1 / .5 = 2 and 1 / .25 = 4, that is 2/3 and 4/3 with mean 1.
INVERSE_F1 = 1 - (2 / 3 * 2 / 3 + 4 / 3 * 2 / 5) / 2


@pytest.fixture(params=sorted(losses.LOSSES))
def name(request):
  return request.param


def test_what_a_loss_needs_is_in_its_signature(monkeypatch):
  assert losses.needs('bce') == losses.needs('focal') == ()
  assert tuple(n for n in losses.LOSSES if 'counts' in losses.needs(n)) == (
    COUNTED
  )

  def of_large_faces(logits, labels, known, area, power=2.0):
    return known * area[:, None] ** power * losses.bce(logits, labels)

  more = {**losses.LOSSES, 'of_large_faces': of_large_faces}
  monkeypatch.setattr(losses, 'LOSSES', more)
  loss = losses.make_loss('of_large_faces', power=1.0)
  args = jnp.asarray(LOGITS, jnp.float32), LABELS, KNOWN
  value = loss(*args, {'area': np.array([1.0, 0.0])})
  expected = -(np.log(3 / 4) + np.log(1 / 4)) / 3
  np.testing.assert_allclose(value, expected, rtol=2e-6)
  with pytest.raises(ValueError, match="'of_large_faces' needs area, which no"):
    loss(*args, {'known': KNOWN})


def random_batch(seed=0, batch=16, labels=5):
  rng = np.random.default_rng(seed)
  shape = (batch, labels)
  known = rng.random(shape) < 0.8
  y = (rng.random(shape) < 0.4) & known
  # No logit below -2.5: the asymmetric loss has done with negatives of p < .05.
  logits = np.maximum(2 * rng.standard_normal(shape), -2.5)
  return logits, y.astype(np.uint8), known


@functools.cache
def make(name, weights='uniform', labels=5):
  frequency = np.linspace(0.1, 0.5, labels)
  counts = np.round(1000 * frequency)
  return losses.make_loss(
    name, weights=weights, frequency=frequency, counts=counts
  )


@functools.cache
def compiled(name, weights='uniform'):
  """Returns the compiled f(logits, labels, known) -> value, gradient."""
  return jax.jit(jax.value_and_grad(make(name, weights)))


def test_every_loss_has_a_value_by_hand():
  assert set(BY_HAND) == set(losses.LOSSES)


def test_value_by_hand(name):
  loss = losses.make_loss(name, frequency=FREQUENCY, counts=COUNTS)
  value = jax.jit(loss)(LOGITS.astype(np.float32), LABELS, KNOWN)
  assert value.shape == ()
  np.testing.assert_allclose(value, BY_HAND[name], rtol=2e-6)


def test_inverse_weights_by_hand():
  loss = losses.make_loss('soft_f1', weights='inverse', frequency=FREQUENCY)
  value = loss(jnp.asarray(LOGITS, jnp.float32), LABELS, KNOWN)
  np.testing.assert_allclose(value, INVERSE_F1, rtol=2e-6)


def test_inverse_weight_of_a_label_without_positives_is_the_largest():
  with_zero = losses.make_loss(
    'soft_f1', weights='inverse', frequency=np.array([0.5, 0.0])
  )
  equal = losses.make_loss('soft_f1')
  # The rarest label with positives has 0.5: both weigh the same.
  args = jnp.asarray(LOGITS, jnp.float32), LABELS, KNOWN
  assert with_zero(*args) == equal(*args)


def test_weighted_mean_of_entries_by_hand():
  # Label 0 has two known entries of weight 2/3, label 1 one of weight 4/3.
  total = 2 / 3 * np.log(3 / 8) + 4 / 3 * np.log(1 / 4)
  loss = losses.make_loss('bce', weights='inverse', frequency=FREQUENCY)
  value = loss(jnp.asarray(LOGITS, jnp.float32), LABELS, KNOWN)
  np.testing.assert_allclose(value, -total / (8 / 3), rtol=2e-6)


@pytest.mark.parametrize(
  ('weights', 'average'), [('uniform', 'macro'), ('support', 'weighted')]
)
def test_soft_f1_of_certain_predictions_is_that_of_sklearn(weights, average):
  logits, y, _ = random_batch()
  loss = losses.make_loss('soft_f1', weights=weights)
  value = loss(jnp.asarray(1e3 * np.sign(logits)), y, np.ones(y.shape, bool))
  expected = sklearn.metrics.f1_score(y, logits > 0, average=average)
  np.testing.assert_allclose(1 - value, expected, rtol=1e-6)


def test_bce_is_that_of_sklearn():
  logits, y, known = random_batch()
  value = make('bce')(jnp.asarray(logits), y, known)
  p = 1 / (1 + np.exp(-logits))
  expected = sklearn.metrics.log_loss(y[known], p[known])
  np.testing.assert_allclose(value, expected, rtol=1e-6)


# What weighs labels is one function for all losses: one of them is enough.
WEIGHTS = pytest.mark.parametrize(
  'weights',
  [
    pytest.param(name, marks=() if name == 'inverse' else pytest.mark.long)
    for name in losses.WEIGHTS
  ],
)


def of_losses(*names):
  """Returns a mark: of these losses, and in the long form of all others."""
  return pytest.mark.parametrize(
    'name',
    [
      pytest.param(name, marks=() if name in names else pytest.mark.long)
      for name in sorted(losses.LOSSES)
    ],
  )


# A clipped one, one of both kinds of costs, and one with most of weights.
@of_losses('asymmetric', 'distribution_balanced', 'f1_bce')
@WEIGHTS
def test_gradient_is_that_of_finite_differences(name, weights, x64):
  logits, y, known = random_batch()
  loss = functools.partial(make(name, weights), labels=y, known=known)
  jax.test_util.check_grads(jax.jit(loss), (logits,), order=1, rtol=1e-6)


@WEIGHTS
def test_unknown_entries_have_no_part(name, weights):
  logits, y, known = random_batch()
  loss = compiled(name, weights)
  value, gradient = loss(logits, y, known)
  assert np.all(np.asarray(gradient)[~known] == 0)
  assert np.asarray(gradient)[known].all()
  # Nor does the value see what is there, be it ever so wrong.
  other_logits = np.where(known, logits, 99.0)
  other_labels = np.where(known, y, 1 - y)
  assert value == loss(other_logits, other_labels, known)[0]


# What sums over devices is one function, too: of entries, and of labels.
@of_losses('distribution_balanced', 'f1_bce')
@WEIGHTS
def test_spread_over_devices_it_is_the_loss_of_the_whole(name, weights):
  with jax.enable_x64(True):
    logits, y, known = random_batch()
    # The shares differ much: a mean of their losses is another number.
    y[:4] = 0
    loss = make(name, weights)
    whole, gradient = jax.jit(jax.value_and_grad(loss))(logits, y, known)

    def shards(x):
      return x.reshape(4, 4, *x.shape[1:])

    spread, parts = jax.pmap(
      jax.value_and_grad(functools.partial(loss, axis_name='devices')),
      axis_name='devices',
      devices=jax.local_devices()[:4],
    )(shards(logits), shards(y), shards(known))
    np.testing.assert_allclose(spread, np.full(4, whole), rtol=1e-13)
    # Each device has devices x the gradient of its share: hence pmean.
    np.testing.assert_allclose(
      parts.reshape(gradient.shape) / 4, gradient, rtol=1e-11, atol=1e-17
    )
    alone = jax.jit(jax.vmap(loss))(*map(shards, (logits, y, known)))
    assert abs(np.mean(alone) - whole) > 1e-4


@WEIGHTS
@pytest.mark.parametrize('scale', [1.0, 1e4])
def test_gradient_without_any_positive_is_finite(name, weights, scale):
  logits, y, known = random_batch()
  logits, y = scale * logits, np.zeros_like(y)
  known[:, 0] = False
  _, gradient = compiled(name, weights)(logits, y, known)
  assert np.isfinite(gradient).all()
  if scale == 1.0:
    assert np.asarray(gradient)[known].all()


def test_label_without_positive_in_the_batch_is_still_learnt():
  logits, y, known = random_batch()
  y[:, 2] = 0
  _, gradient = compiled('soft_f1')(logits, y, known)
  # Down, towards "no".
  assert np.all(np.asarray(gradient)[known[:, 2], 2] > 0)


@WEIGHTS
def test_nothing_known_gives_zero_and_no_gradient(name, weights):
  logits, y, known = random_batch()
  value, gradient = compiled(name, weights)(logits, y, np.zeros_like(known))
  np.testing.assert_allclose(value, 0, atol=1e-7)
  assert not np.asarray(gradient).any()


def test_the_better_prediction_has_the_smaller_loss(name):
  _, y, known = random_batch()
  right = np.where(y, 2.0, -2.0)
  found = [compiled(name)(k * right, y, known)[0] for k in (1, 0, -1)]
  assert found[0] < found[1] < found[2]


def test_unknown_names_are_refused():
  with pytest.raises(ValueError, match=r"loss 'f2'; choose one of \['asym"):
    losses.make_loss('f2')
  with pytest.raises(ValueError, match=r"weights 'even'; choose one of \['inv"):
    losses.make_loss('bce', weights='even')


@pytest.mark.parametrize(
  ('frequency', 'message'),
  [
    (None, 'needs frequency'),
    (np.array([0.5, 1.5]), r'in \[0, 1\]'),
    (np.array([0.5, np.nan]), r'in \[0, 1\]'),
    (np.full((2, 2), 0.5), 'one number for each'),
  ],
)
@pytest.mark.parametrize(
  ('name', 'weights'),
  [
    ('bce_weighted', 'uniform'),
    ('bce', 'inverse'),
    ('distribution_balanced', 'uniform'),
  ],
)
def test_bad_frequency_is_refused(name, weights, frequency, message):
  with pytest.raises(ValueError, match=message):
    losses.make_loss(name, weights=weights, frequency=frequency, counts=COUNTS)


@pytest.mark.parametrize(
  ('counts', 'message'),
  [
    (None, 'needs counts'),
    (np.array([5, -1]), 'at least 0'),
    (np.array([5, np.inf]), 'finite'),
    (np.full((2, 2), 5), 'one number for each label, .* shape .2, 2.'),
  ],
)
@pytest.mark.parametrize('name', COUNTED)
def test_bad_counts_are_refused(name, counts, message):
  with pytest.raises(ValueError, match=message):
    losses.make_loss(name, frequency=FREQUENCY, counts=counts)


@pytest.mark.parametrize('name', COUNTED)
def test_counts_of_another_number_of_labels_are_refused(name):
  loss = losses.make_loss(name, frequency=np.ones(3) / 2, counts=np.ones(3))
  with pytest.raises(ValueError, match=r'counts .* the 2 labels'):
    loss(jnp.asarray(LOGITS), LABELS, KNOWN)


def test_frequency_of_another_number_of_labels_is_refused():
  loss = make('bce', 'inverse', labels=3)
  with pytest.raises(ValueError, match='for the 2 labels'):
    loss(jnp.asarray(LOGITS), LABELS, KNOWN)


def test_labels_of_another_shape_are_refused(name):
  with pytest.raises(ValueError, match=r'labels must have the shape'):
    make(name)(jnp.zeros((2, 3)), LABELS, KNOWN)
