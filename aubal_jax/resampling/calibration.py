"""calibration: rows are drawn by weights that make class shares equal."""

from __future__ import annotations

import numbers

import numpy as np
from scipy import linalg
from scipy import sparse

from aubal_jax.resampling import weighted
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

CAP = 10.0
_RIDGES = 10.0 ** -np.arange(1, 7)  # Each starts from the one before.
_EQUAL = 1e-2  # Shares that differ by less, of their mean, count as equal.


def make_plan(
  labels, *, fraction, rng, cap: float = CAP, num_epochs: int = 1
) -> plan_lib.Plan:
  """Returns the plan of rows drawn by the weights of `find_weights`.

  Args:
    labels: uint8 CSR [N, L].
    fraction: N + round(fraction N) rows are drawn; None is 0.
    rng: to draw from.
    cap: the largest weight; the mean is 1.
    num_epochs: draws so often, one plan after the other.

  Raises:
    UserError: cap is not above 1, or num_epochs is below 1.
  """
  weights, _ = find_weights(labels, cap=cap)
  return weighted.draw(weights, fraction, rng, num_epochs)


def find_weights(labels, *, cap: float = CAP) -> tuple[np.ndarray, bool]:
  """Returns the weights nearest to 1 that make all labels equally frequent.

  Minimises the divergence sum_i w_i log w_i, over w in [0, cap]^N of mean 1,
  subject to m_l = sum_i w_i y_il / N being the same for all labels that occur.

  A label of few rows, or one that never comes without another, can make that
  impossible. Then the mean of m_l is to stay as it was (else all weight might
  go to rows without labels), and the deviation is the least possible in the
  sense of chi-square: sum_l (m_l - mean)^2 / m_l before.

  This is calibration, or raking, of survey weights: Deville and Sarndal 1992,
  JASA 87.

  Args:
    labels: 0/1 [N, L], dense or scipy sparse.
    cap: above 1.

  Returns:
    float64[N], of mean 1, the same for equal rows; and whether the labels are
    equally frequent with them, to 1 % of their mean.

  Raises:
    UserError: cap is not above 1.
  """
  if not isinstance(cap, numbers.Real) or not 1 < cap < np.inf:
    raise errors.UserError(
      f'cap must be above 1, the mean weight; it is {cap!r}.'
    )
  found = labelsets_lib.find_labelsets(labels)
  share = found.counts / found.counts.sum()
  present = np.flatnonzero(found.class_counts)
  if not present.size:
    return np.ones(len(found.index)), True
  patterns = sparse.csr_array(found.patterns, dtype=np.float64)[:, present]
  before = patterns.T @ share
  # Equal shares: each label as often as the rarest, whose column is short.
  rare, *others = np.argsort(before, kind='stable')
  ones = np.ones((1, len(others)))
  differences = patterns[:, others] - sparse.kron(patterns[:, [rare]], ones)
  weights = _rake(differences, 0.0, before[others], share, float(cap))
  after = patterns.T @ (share * weights)
  is_equal = bool(np.ptp(after) <= _EQUAL * after.mean())
  if not is_equal:
    weights = _rake(patterns, before.mean(), before, share, float(cap))
  return weights[found.index], is_equal


def _rake(columns, total, scale, share, cap) -> np.ndarray:
  """Returns float64[S], the w of least divergence whose totals are as wanted.

  Newton's method in the dual: w = min(cap, exp(t)), t = a + C v, minimises

    sum_s q_s phi(t_s) - a - total sum_k v_k + ridge sum_k scale_k v_k^2 / 2

  where phi is exp, continued as a line above log cap; the ridge makes the
  totals a penalty, sum_k (C^T q w - total)_k^2 / (2 ridge scale_k).

  Args:
    columns: C, CSR float64[S, K].
    total: what each entry of C^T (q w) should be.
    scale: float64[K], how much each may deviate from it.
    share: q, float64[S], of the rows; their sum is 1.
    cap: of w.
  """
  ones = sparse.csr_array(np.ones((len(share), 1)))
  matrix = sparse.csr_array(sparse.hstack([ones, columns]))
  wanted = np.append(1.0, np.full(columns.shape[1], total))
  scale = np.append(1e-9, scale / scale.max(initial=1e-9))
  log_cap = np.log(cap)

  def evaluate(x, ridge):
    t = matrix @ x
    w = np.exp(np.minimum(t, log_cap))
    phi = w * (1 + np.maximum(t - log_cap, 0))
    value = share @ phi - wanted @ x + ridge * (scale @ x**2) / 2
    gradient = matrix.T @ (share * w) - wanted + ridge * scale * x
    return value, gradient, np.where(t < log_cap, share * w, 0.0)

  x = np.zeros(len(wanted))
  for ridge in _RIDGES:
    value, gradient, slopes = evaluate(x, ridge)
    for _ in range(50):
      if np.abs(gradient).max() <= 1e-3 * ridge:
        break
      scaled = matrix * slopes[:, np.newaxis]
      hessian = (matrix.T @ scaled).toarray() + np.diag(ridge * scale)
      step = -linalg.solve(hessian, gradient, assume_a='pos')
      slope, size = gradient @ step, 1.0
      found = evaluate(x + step, ridge)
      while found[0] > value + 1e-4 * size * slope and size > 1e-6:
        size /= 2
        found = evaluate(x + size * step, ridge)
      if found[0] >= value:  # No better to the last digit.
        break
      x = x + size * step
      value, gradient, slopes = found
  w = np.exp(np.minimum(matrix @ x, log_cap))
  return w / (share @ w)
