"""Cross entropies that weigh an image by how rare its labels are.

Shapes, masks, devices and errors are those of `losses`. The weights come from
`counts`, n_c: the positives of each label in training; a label without one
counts as the rarest that has some. They do not depend on the logits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aubal_jax.network import masked_means
from aubal_jax.runs import errors


def class_balanced(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  counts=None,
  axis_name: str | None = None,
  beta: float = 0.999,
):
  """Class-balanced sigmoid cross entropy, by effective numbers of images.

  A class weighs W_c = (1 - beta) / (1 - beta^n_c), scaled to mean 1 over the
  labels: one over the effective number of its images. In the paper an image has
  one class, and that weight on all its entries. Here an image has any number of
  labels: its weight is the mean of W_c over its known positives, as in Wu et
  al.'s comparison (below), and 1, the mean weight, where it has none. With one
  positive in each image it is the paper's loss. The mean is that of `bce`:
  weights of images do not count below.

  Cui et al. 2019, arXiv 1901.05555; beta is its choice for ImageNet.

  Args:
    logits: float[B, L].
    labels: [B, L], 0 or 1.
    known: bool[B, L], False where the label is unknown.
    weights: 'uniform', 'support' or 'inverse', see `masked_means`.
    frequency: float[L], share of positives among the known training labels;
      only for 'inverse' weights.
    counts: int[L], positives of each label in training.
    axis_name: mapped axis the batch is spread over, or None.
    beta: in [0, 1); 0 is `bce`, towards 1 it is the inverse count.

  Returns:
    float scalar in the dtype of the logits.

  Raises:
    UserError: shapes differ, `counts` is missing or wrong, the weights are
      unknown or lack `frequency`, or beta is not in [0, 1).
  """
  if not 0 <= beta < 1:
    raise errors.UserError(f'beta must be in [0, 1), got {beta}.')
  y, m = masked_means.cast(logits, labels, known)
  n = masked_means.check_counts(counts, 'class_balanced', logits.shape[-1])
  # 1 / (1 - beta^n) without the cancellation where beta^n is next to 1.
  w = 1 / -np.expm1(n * np.log(beta)) if beta else np.ones_like(n)
  w = jnp.asarray(w / w.mean(), logits.dtype)[jnp.newaxis]
  positives = (m * y).sum(1, keepdims=True)
  has_some = positives > 0
  total = (m * y * w).sum(1, keepdims=True)
  image = jnp.where(has_some, total / jnp.where(has_some, positives, 1), 1)
  entries = image * optax.losses.sigmoid_binary_cross_entropy(logits, y)
  return masked_means.weighted_mean(
    entries, y, m, weights, frequency, axis_name
  )


def distribution_balanced(
  logits,
  labels,
  known,
  *,
  weights: str = 'uniform',
  frequency=None,
  counts=None,
  axis_name: str | None = None,
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
  The mean is that of `bce`.

  Wu et al. 2020, arXiv 2007.09654, as printed: their code has nu / lam for nu,
  and their DB-Focal a focal factor besides. The values are theirs for COCO; for
  VOC mu is 0.3 and lam 5. Arguments, result and errors are those of
  `class_balanced`; `frequency` is always needed.
  """
  y, m = masked_means.cast(logits, labels, known)
  size = logits.shape[-1]
  n = masked_means.check_counts(counts, 'distribution_balanced', size)
  f = masked_means.check_frequency(frequency, 'distribution_balanced', size)
  odds = masked_means.raise_zeros(1 - f) / f
  nu = jnp.asarray(kappa * np.log(odds), logits.dtype)[jnp.newaxis]
  # n.min() / n: only ratios matter, and large counts stay exact enough.
  rarity = jnp.asarray(n.min() / n, logits.dtype)[jnp.newaxis]
  total = (m * y * rarity).sum(1, keepdims=True)
  r = jnp.where(total > 0, rarity / jnp.where(total > 0, total, 1), jnp.inf)
  r_hat = alpha + jax.nn.sigmoid(beta * (r - mu))
  z = logits - nu
  entries = r_hat * (
    y * jax.nn.softplus(-z) + (1 - y) * jax.nn.softplus(lam * z) / lam
  )
  return masked_means.weighted_mean(
    entries, y, m, weights, frequency, axis_name
  )
