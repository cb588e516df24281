"""Sums and weighted means over the known entries of a global batch.

Per-label weights w_c, `weights`:

* 'uniform': w_c = 1.
* 'support': the label's known positives in the global batch; all equal in a
  batch without any positive.
* 'inverse': 1 / frequency_c in training, scaled to mean 1. A label without a
  positive in training weighs as much as the rarest one that has some.
"""

import jax
import jax.numpy as jnp
import numpy as np

from aubal_jax.runs import errors

WEIGHTS = ('uniform', 'support', 'inverse')


def cast(logits, labels, known):
  """Returns labels and mask in the dtype of the logits; checks the shapes."""
  for name, array in (('labels', labels), ('known', known)):
    if array.shape != logits.shape:
      raise errors.UserError(
        f'{name} must have the shape of the logits, {list(logits.shape)},'
        f' got {list(array.shape)}: one column for each label.'
      )
  return labels.astype(logits.dtype), known.astype(logits.dtype)


def global_sum(entries, axis_name):
  """Sums arrays [B, L] over the batch of all devices, to [L]."""
  sums = jax.tree.map(lambda x: x.sum(0), entries)
  return sums if axis_name is None else jax.lax.psum(sums, axis_name)


def weighted_mean(entries, y, m, weights, frequency, axis_name):
  """sum_bc w_c m entries / sum_bc w_c m over the global batch; 0 for 0 / 0."""
  total, count, support = global_sum((m * entries, m, m * y), axis_name)
  w = label_weights(weights, support, frequency)
  denominator = (w * count).sum()
  return (w * total).sum() / jnp.where(denominator > 0, denominator, 1)


def label_weights(weights, support, frequency):
  """The weights w_c: float[L]; none depends on the logits."""
  if weights == 'uniform':
    return jnp.ones_like(support)
  if weights == 'support':
    return jnp.where(support.sum() > 0, support, jnp.ones_like(support))
  if weights == 'inverse':
    w = 1 / check_frequency(frequency, weights, support.size)
    return jnp.asarray(w / w.mean(), support.dtype)
  raise errors.UserError(
    f'Unknown weights {weights!r}; choose one of {sorted(WEIGHTS)}.'
  )


def check_frequency(frequency, user, num_labels):
  """Returns float64[L] with zeros raised to the least frequency above 0."""
  if frequency is None:
    raise errors.UserError(
      f'{user!r} needs frequency, the share of positives of each label in'
      ' the training split: give float[L].'
    )
  f = _one_a_label('frequency', frequency, num_labels)
  if not np.all((f >= 0) & (f <= 1)):
    raise errors.UserError(f'frequency must be in [0, 1], got {f.tolist()}.')
  return raise_zeros(f)


def check_counts(counts, user, num_labels):
  """Returns float64[L] with zeros raised to the least count above 0."""
  if counts is None:
    raise errors.UserError(
      f'{user!r} needs counts, the number of positives of each label in the'
      ' training split: give int[L].'
    )
  n = _one_a_label('counts', counts, num_labels)
  if not np.all((n >= 0) & (n < np.inf)):
    raise errors.UserError(
      f'counts must be finite and at least 0, got {n.tolist()}.'
    )
  return raise_zeros(n)


def raise_zeros(x):
  """Returns x with zeros raised to its least value above 0; ones if none is."""
  return np.maximum(x, x[x > 0].min()) if np.any(x > 0) else np.ones_like(x)


def _one_a_label(name, values, num_labels):
  """Returns values as float64[L]; num_labels None: however many there are."""
  x = np.asarray(values, np.float64)
  if x.ndim != 1 or num_labels not in (None, x.size):
    whose = 'each label' if num_labels is None else f'the {num_labels} labels'
    raise errors.UserError(
      f'{name} must hold one number for {whose}, got an array of shape '
      f'{list(x.shape)}.'
    )
  return x
