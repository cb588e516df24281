"""Losses of a batch of multi-label logits, every one masked and global.

All take logits float[B, L], labels [B, L] in {0, 1} and known bool[B, L], and
return one number. An entry that is not known has no part in it, whatever its
logit, as long as that is finite. Under a mapped axis each device holds its
share of the batch, and what is summed over the batch is summed over the
devices (`psum`) *before* any ratio is taken, so every device returns the loss
of the global batch, and not a mean of losses of shares. The gradient of such
a loss wants `pmean`.

Per-label weights w_c, `weights`, are those of `masked_means`. Losses that weigh
by what is rare in an image are in `rebalanced_losses`; all are in `LOSSES`.
"""

import functools
import types
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from aubal_jax.network import masked_means
from aubal_jax.network import rebalanced_losses
from aubal_jax.runs import errors


def soft_f1(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  axis_name: str | None = None,
  epsilon: float = 1e-6,
):
  """1 - weighted mean over labels of the F1 score of probabilities.

  With p = sigmoid(logit), y the label and m the mask, sums over the batch:
  tp = sum m p y, fp = sum m p (1 - y), fn = sum m (1 - p) y,
  F1_c = (2 tp + eps) / (2 tp + fp + fn + eps),
  loss = 1 - sum_c w_c F1_c / sum_c w_c.

  eps stands above and below: with eps below only, a label without a positive
  in the batch would have no gradient at all.

  Args:
    logits: float[B, L].
    labels: [B, L], 0 or 1.
    known: bool[B, L], False where the label is unknown.
    weights: 'uniform', 'support' or 'inverse', see `masked_means`.
    frequency: float[L], share of positives among the known training labels.
    axis_name: mapped axis the batch is spread over, or None.
    epsilon: eps.

  Returns:
    float scalar in [0, 1], in the dtype of the logits.

  Raises:
    UserError: shapes differ, or the weights are unknown or lack `frequency`.
  """
  y, m = masked_means.cast(logits, labels, known)
  p = jax.nn.sigmoid(logits)
  tp, fp, fn = masked_means.global_sum(
    (m * p * y, m * p * (1 - y), m * (1 - p) * y), axis_name
  )
  f1 = (2 * tp + epsilon) / (2 * tp + fp + fn + epsilon)
  # tp + fn is sum m y: the support.
  w = masked_means.label_weights(weights, tp + fn, frequency)
  return 1 - (w * f1).sum() / w.sum()


def bce(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  axis_name: str | None = None,
):
  """Binary cross entropy, -y log p - (1 - y) log(1 - p), of known entries.

  The mean is sum_bc w_c m l / sum_bc w_c m, and 0 where nothing is known.
  Arguments, result and errors are those of `soft_f1`.
  """
  y, m = masked_means.cast(logits, labels, known)
  entries = optax.losses.sigmoid_binary_cross_entropy(logits, y)
  return masked_means.weighted_mean(
    entries, y, m, weights, frequency, axis_name
  )


def bce_weighted(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  axis_name: str | None = None,
):
  """`bce` whose positives count (1 - frequency_c) / frequency_c times.

  So over the training split positives and negatives of a label weigh the
  same. The mean is that of `bce`; `frequency` is required.
  """
  y, m = masked_means.cast(logits, labels, known)
  f = masked_means.check_frequency(frequency, 'bce_weighted', logits.shape[-1])
  ratio = jnp.asarray((1 - f) / f, logits.dtype)[jnp.newaxis]
  entries = -(
    ratio * y * jax.nn.log_sigmoid(logits)
    + (1 - y) * jax.nn.log_sigmoid(-logits)
  )
  return masked_means.weighted_mean(
    entries, y, m, weights, frequency, axis_name
  )


def focal(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  axis_name: str | None = None,
  gamma: float = 2.0,
  alpha: float = 0.25,
):
  """Focal loss, -a (1 - q)^gamma log q with q the probability of the truth.

  a is alpha for a positive and 1 - alpha for a negative. The mean is that of
  `bce`. Lin et al. 2017, arXiv 1708.02002.
  """
  y, m = masked_means.cast(logits, labels, known)
  entries = optax.losses.sigmoid_focal_loss(logits, y, alpha=alpha, gamma=gamma)
  return masked_means.weighted_mean(
    entries, y, m, weights, frequency, axis_name
  )


def asymmetric(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  axis_name: str | None = None,
  gamma_negative: float = 4.0,
  margin: float = 0.05,
):
  """Asymmetric loss: easy negatives count little, the easiest not at all.

  -y log p - (1 - y) q^gamma_negative log(1 - q), q = max(p - margin, 0); a
  margin above 0 keeps the logarithm finite. The mean is that of `bce`. Ridnik
  et al. 2021, arXiv 2009.14119, with its gamma of 0 for positives.
  """
  y, m = masked_means.cast(logits, labels, known)
  q = jnp.maximum(jax.nn.sigmoid(logits) - margin, 0)
  entries = -(
    y * jax.nn.log_sigmoid(logits) + (1 - y) * q**gamma_negative * jnp.log1p(-q)
  )
  return masked_means.weighted_mean(
    entries, y, m, weights, frequency, axis_name
  )


def f1_bce(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  axis_name: str | None = None,
):
  """`soft_f1` + `bce`: the metric's shape and the cross entropy's gradient."""
  options = {
    'weights': weights,
    'frequency': frequency,
    'axis_name': axis_name,
  }
  return soft_f1(logits, labels, known, **options) + bce(
    logits, labels, known, **options
  )


# name -> loss(logits, labels, known, *, weights, frequency, axis_name), and
# `counts` where it is one of COUNTED.
LOSSES = types.MappingProxyType(
  {
    'asymmetric': asymmetric,
    'bce': bce,
    'bce_weighted': bce_weighted,
    'class_balanced': rebalanced_losses.class_balanced,
    'distribution_balanced': rebalanced_losses.distribution_balanced,
    'f1_bce': f1_bce,
    'focal': focal,
    'soft_f1': soft_f1,
  }
)
COUNTED = ('class_balanced', 'distribution_balanced')
_OF_FREQUENCY = ('bce_weighted', 'distribution_balanced', 'inverse')


def make_loss(
  name: str, *, weights: str = 'uniform', frequency=None, counts=None
) -> Callable:
  """Returns the loss called `name` as f(logits, labels, known, axis_name=None).

  Args:
    name: a name of `LOSSES`.
    weights: 'uniform', 'support' or 'inverse', see `masked_means`.
    frequency: float[L], share of positives among the known training labels;
      needed by 'inverse' weights and by the losses 'bce_weighted' and
      'distribution_balanced'.
    counts: int[L], positives of each label in training; needed by the losses of
      `COUNTED`.

  Raises:
    UserError: a name is not known, or what it needs is missing or wrong.
  """
  if name not in LOSSES:
    raise errors.UserError(
      f'Unknown loss {name!r}; choose one of {sorted(LOSSES)}.'
    )
  if weights not in masked_means.WEIGHTS:
    raise errors.UserError(
      f'Unknown weights {weights!r}; choose one of '
      f'{sorted(masked_means.WEIGHTS)}.'
    )
  for user in (name, weights):
    if user in _OF_FREQUENCY:
      masked_means.check_frequency(frequency, user, None)
    if user in COUNTED:
      masked_means.check_counts(counts, user, None)
  given = {'weights': weights, 'frequency': frequency}
  if name in COUNTED:
    given['counts'] = counts
  return functools.partial(LOSSES[name], **given)
