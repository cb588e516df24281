"""Losses of multi-label logits: a function each, and one masked mean for all.

A loss is a function of logits float[B, L] and labels float[B, L], 0 or 1, to
what each entry costs: float[B, L]. A loss that is no mean over entries returns
what each label costs, float[L]; one that has parts of both kinds a tuple of
them, whose means are added. What more it needs it has as a parameter, by whose
name it is given:

* known: float[B, L], 1 where the label is known and 0 where it is not.
* frequency: float64[L], share of positives among the known training labels.
* counts: float64[L], positives of each label in training.
* total: function that sums float[B, L], or a tuple of such, over the global
  batch to float[L].
* any other field of the batch, see `batches.pipeline`.

Zeros among frequency and counts are raised to the least value above 0: a label
without a positive in training counts as the rarest one that has some. A
parameter that has a default is an option. So a new loss is a function here and
a line of `LOSSES`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aubal_jax.runs import errors

# How labels are weighed against each other, see `make_loss`.
WEIGHTS = ('uniform', 'support', 'inverse')


def bce(logits, labels):
  """Binary cross entropy, -y log p - (1 - y) log(1 - p): float[B, L]."""
  return optax.losses.sigmoid_binary_cross_entropy(logits, labels)


def bce_weighted(logits, labels, frequency):
  """`bce` whose positives count (1 - frequency_c) / frequency_c times.

  So over the training split positives and negatives of a label weigh the same.
  """
  ratio = _row((1 - frequency) / frequency, logits)
  return -(
    ratio * labels * jax.nn.log_sigmoid(logits)
    + (1 - labels) * jax.nn.log_sigmoid(-logits)
  )


def focal(logits, labels, gamma: float = 2.0, alpha: float = 0.25):
  """Focal loss, -a (1 - q)^gamma log q with q the probability of the truth.

  a is alpha for a positive and 1 - alpha for a negative. Lin et al. 2017, arXiv
  1708.02002.
  """
  return optax.losses.sigmoid_focal_loss(
    logits, labels, alpha=alpha, gamma=gamma
  )


def asymmetric(
  logits, labels, gamma_negative: float = 4.0, margin: float = 0.05
):
  """Asymmetric loss: easy negatives count little, the easiest not at all.

  -y log p - (1 - y) q^gamma_negative log(1 - q), q = max(p - margin, 0); a
  margin above 0 keeps the logarithm finite. Ridnik et al. 2021, arXiv
  2009.14119, with its gamma of 0 for positives.
  """
  # Not `maximum`, whose gradient asks for equality of what XLA computes twice.
  q = jax.nn.relu(jax.nn.sigmoid(logits) - margin)
  negative = q**gamma_negative * jnp.log1p(-q)
  return -(labels * jax.nn.log_sigmoid(logits) + (1 - labels) * negative)


def class_balanced(logits, labels, known, counts, beta: float = 0.999):
  """Class-balanced sigmoid cross entropy, by effective numbers of images.

  A class weighs W_c = (1 - beta) / (1 - beta^n_c), scaled to mean 1 over the
  labels: one over the effective number of its images. In the paper an image has
  one class, and that weight on all its entries. Here an image has any number of
  labels: its weight is the mean of W_c over its known positives, as in Wu et
  al.'s comparison (below), and 1, the mean weight, where it has none. With one
  positive in each image it is the paper's loss.

  Cui et al. 2019, arXiv 1901.05555; beta, in [0, 1), is its choice for
  ImageNet: 0 is `bce`, towards 1 it is the inverse count.
  """
  if not 0 <= beta < 1:
    raise errors.UserError(f'beta must be in [0, 1), got {beta}.')
  # 1 / (1 - beta^n) without the cancellation where beta^n is next to 1.
  w = 1 / -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)
  w = _row(w / w.mean(), logits)
  positives = (known * labels).sum(1, keepdims=True)
  has_some = positives > 0
  whole = (known * labels * w).sum(1, keepdims=True)
  image = jnp.where(has_some, whole / jnp.where(has_some, positives, 1), 1)
  return image * bce(logits, labels)


def distribution_balanced(
  logits,
  labels,
  known,
  counts,
  frequency,
  alpha: float = 0.1,
  beta: float = 10.0,
  mu: float = 0.2,
  lam: float = 2.0,
  kappa: float = 0.05,
):
  """Distribution-balanced loss: rebalanced weights, tolerance of negatives.

  For entry (image, c), with sums over the image's known positives i,

  r = (1 / n_c) / sum_i 1 / n_i,  r_hat = alpha + sigmoid(beta (r - mu)),
  nu_c = kappa log(1 / frequency_c - 1),
  r_hat [y log(1 + e^-(z - nu)) + (1 - y) log(1 + e^(lam (z - nu))) / lam]:

  r undoes that an image is drawn for each of its labels, r_hat keeps it within
  (alpha, alpha + 1); nu starts at the label's prior, and lam > 1 lets go of
  negatives that are well told. An image without positives has r_hat = alpha +
  1, the limit. A frequency of 0 or 1 counts as the nearest that is neither.

  Wu et al. 2020, arXiv 2007.09654, as printed: their code has nu / lam for nu,
  and their DB-Focal a focal factor besides. The values are theirs for COCO; for
  VOC mu is 0.3 and lam 5.
  """
  odds = _raise_zeros(1 - frequency) / frequency
  nu = _row(kappa * np.log(odds), logits)
  # counts.min() / counts: only ratios matter, and large ones stay exact enough.
  rarity = _row(counts.min() / counts, logits)
  whole = (known * labels * rarity).sum(1, keepdims=True)
  r = jnp.where(whole > 0, rarity / jnp.where(whole > 0, whole, 1), jnp.inf)
  r_hat = alpha + jax.nn.sigmoid(beta * (r - mu))
  z = logits - nu
  positive, negative = jax.nn.softplus(-z), jax.nn.softplus(lam * z) / lam
  return r_hat * (labels * positive + (1 - labels) * negative)


def soft_f1(logits, labels, known, total, epsilon: float = 1e-6):
  """1 - the F1 score of probabilities, of each label: float[L] in [0, 1].

  With p = sigmoid(logit), y the label and m the mask, sums over the batch:
  tp = sum m p y, fp = sum m p (1 - y), fn = sum m (1 - p) y,
  F1_c = (2 tp + eps) / (2 tp + fp + fn + eps).

  eps stands above and below: with eps below only, a label without a positive
  in the batch would have no gradient at all.
  """
  p = jax.nn.sigmoid(logits)
  tp, fp, fn = total(
    (known * p * labels, known * p * (1 - labels), known * (1 - p) * labels)
  )
  return 1 - (2 * tp + epsilon) / (2 * tp + fp + fn + epsilon)


def f1_bce(logits, labels, known, total):
  """`soft_f1` + `bce`: the metric's shape and the cross entropy's gradient."""
  return soft_f1(logits, labels, known, total), bce(logits, labels)


LOSSES = types.MappingProxyType(
  {
    'asymmetric': asymmetric,
    'bce': bce,
    'bce_weighted': bce_weighted,
    'class_balanced': class_balanced,
    'distribution_balanced': distribution_balanced,
    'f1_bce': f1_bce,
    'focal': focal,
    'soft_f1': soft_f1,
  }
)


def make_loss(
  name: str,
  *,
  weights: str = 'uniform',
  frequency=None,
  counts=None,
  label_smoothing: float = 0.0,
  **options: float,
) -> Callable:
  """Returns the loss called `name`, masked and of the global batch.

  It is f(logits, labels, known, batch=None, axis_name=None) -> scalar in the
  dtype of the logits: float[B, L], [B, L] in {0, 1}, bool[B, L] (or how often
  an entry counts), all fields of the batch, and the mapped axis that the
  batch is spread over, if any. An entry that is not known has no part in
  it, whatever its logit, as long as that is finite.

  The mean of entries l is sum_bc w_c m l / sum_bc w_c m, and 0 where nothing is
  known; that of labels sum_c w_c l_c / sum_c w_c. What is summed over the batch
  is summed over the devices (`psum`) *before* any ratio is taken, so every
  device returns the loss of the global batch, and not a mean of losses of
  shares. The gradient of such a loss wants `pmean`. The weight w_c of a label
  does not depend on logits:

  * 'uniform': 1.
  * 'support': the label's known positives in the global batch; all equal in a
    batch without any positive.
  * 'inverse': 1 / frequency_c, scaled to mean 1.

  Args:
    name: a name of `LOSSES`.
    weights: a name of `WEIGHTS`.
    frequency: float[L], for losses that take it, and for 'inverse' weights.
    counts: int[L], for losses that take it.
    label_smoothing: s in [0, 1): of the two values of a label the cost is to
      see 1 - s / 2 and s / 2 (Szegedy et al. 2016, arXiv 1512.00567).
    **options: of the loss.

  Raises:
    UserError: a name is not known, or what it needs is missing or wrong. The
      loss itself raises it where shapes differ.
  """
  for kind, choice, choices in (
    ('loss', name, LOSSES),
    ('weights', weights, WEIGHTS),
  ):
    if choice not in choices:
      raise errors.UserError(
        f'Unknown {kind} {choice!r}; choose one of {sorted(choices)}.'
      )
  function, needed = LOSSES[name], needs(name)
  _check_smoothing(name, label_smoothing, needed)
  priors = {}
  if 'counts' in needed:
    priors['counts'] = _prior('counts', counts, name)
  if 'frequency' in needed or weights == 'inverse':
    user = name if 'frequency' in needed else weights
    priors['frequency'] = _prior('frequency', frequency, user)

  def loss(logits, labels, known, batch: Mapping | None = None, axis_name=None):
    y, m = _cast(logits, labels=labels, known=known)
    for prior, values in priors.items():
      _check_size(prior, values, f'the {y.shape[-1]} labels', y.shape[-1])

    def total(entries):
      sums = jax.tree.map(lambda x: x.sum(0), entries)
      return sums if axis_name is None else jax.lax.psum(sums, axis_name)

    fields = {**(batch or {}), **priors, 'known': m, 'total': total}
    for field in needed:
      if field not in fields:
        raise errors.UserError(f'{name!r} needs {field}, which no batch has.')
    soft = y + label_smoothing * (0.5 - y) if label_smoothing else y
    costs = function(logits, soft, **{k: fields[k] for k in needed}, **options)
    w = _label_weights(weights, y, m, total, priors)
    costs = costs if isinstance(costs, tuple) else (costs,)
    return sum(_masked_mean(cost, m, w, total) for cost in costs)

  return loss


def _check_smoothing(name, label_smoothing, needed):
  if not 0 <= label_smoothing < 1:
    raise errors.UserError(
      f'label_smoothing must be in [0, 1), got {label_smoothing}; 0 is none.'
    )
  if label_smoothing and 'counts' in needed:
    raise errors.UserError(
      f'label_smoothing must be 0 with the loss {name!r}, which counts the '
      f'labels of a row, got {label_smoothing}; bce takes it.'
    )


def needs(name: str) -> tuple[str, ...]:
  """Returns what a loss is given beside logits, labels and its options."""
  parameters = [*inspect.signature(LOSSES[name]).parameters.values()][2:]
  return tuple(p.name for p in parameters if p.default is p.empty)


def _masked_mean(cost, m, w, total):
  """Returns the mean over what is known, see `make_loss`."""
  if cost.ndim == 1:
    return (w * cost).sum() / w.sum()
  whole, count = total((m * cost, m))
  denominator = (w * count).sum()
  return (w * whole).sum() / jnp.where(denominator > 0, denominator, 1)


def _label_weights(weights, y, m, total, priors):
  """Returns the weights w_c: float[L]."""
  ones = jnp.ones(y.shape[-1], y.dtype)
  if weights == 'support':
    support = total(m * y)
    return jnp.where(support.sum() > 0, support, ones)
  if weights == 'inverse':
    w = 1 / priors['frequency']
    return jnp.asarray(w / w.mean(), y.dtype)
  return ones


def _cast(logits, **arrays):
  """Returns labels and mask in the dtype of the logits; checks the shapes."""
  for name, array in arrays.items():
    if array.shape != logits.shape:
      raise errors.UserError(
        f'{name} must have the shape of the logits, {list(logits.shape)},'
        f' got {list(array.shape)}: one column for each label.'
      )
  return tuple(array.astype(logits.dtype) for array in arrays.values())


def _prior(name, values, user):
  """Returns what is known of labels before training: float64[L], none 0."""
  meaning, dtype, rule, most = {
    'frequency': ('share', 'float', 'in [0, 1]', 1.0),
    'counts': ('number', 'int', 'finite and at least 0', np.finfo(float).max),
  }[name]
  if values is None:
    raise errors.UserError(
      f'{user!r} needs {name}, the {meaning} of positives of each label in'
      f' the training split: give {dtype}[L].'
    )
  x = np.asarray(values, np.float64)
  _check_size(name, x, 'each label', x.size)
  if not np.all((x >= 0) & (x <= most)):
    raise errors.UserError(f'{name} must be {rule}, got {x.tolist()}.')
  return _raise_zeros(x)


def _check_size(name, x, whose, size):
  if x.shape != (size,):
    raise errors.UserError(
      f'{name} must hold one number for {whose}, got an array of shape '
      f'{list(x.shape)}.'
    )


def _row(x, like):
  """Returns numbers of labels as [1, L], to go with arrays [B, L]."""
  return jnp.asarray(x, like.dtype)[jnp.newaxis]


def _raise_zeros(x):
  """Returns x with zeros raised to its least value above 0; ones if none is."""
  return np.maximum(x, x[x > 0].min()) if np.any(x > 0) else np.ones_like(x)
