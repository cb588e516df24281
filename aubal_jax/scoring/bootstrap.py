"""Resampling of whole groups: intervals and halves that keep subjects apart.

Images of one subject or video resemble each other, so they are drawn together
or not at all. Efron, Tibshirani: An Introduction to the Bootstrap, 1993.
"""

import numpy as np

from aubal_jax.scoring import metrics


def units(num_images, groups):
  """Returns int64[N], the number of what is resampled as a whole, from 0.

  Without groups each image stands alone, and so does one whose group is ''.
  """
  if groups is None:
    return np.arange(num_images)
  groups = np.asarray(groups)
  unit = np.unique(groups, return_inverse=True)[1].reshape(-1)
  (nameless,) = np.nonzero(groups == '')
  unit[nameless] = num_images + nameless
  return np.unique(unit, return_inverse=True)[1].reshape(-1)


def halves(unit, seed):
  """Returns int64[N], 0 or 1: whole units, dealt to the smaller half."""
  sizes = np.bincount(unit)
  if len(sizes) == 1:  # One subject cannot be halved, its images can.
    unit, sizes = np.arange(len(unit)), np.ones(len(unit), np.int64)
  half, total = np.zeros(len(sizes), np.int64), [0, 0]
  for u in np.random.default_rng((seed, 1)).permutation(len(sizes)):
    half[u] = total[1] < total[0]
    total[half[u]] += sizes[u]
  return half[unit]


def draw(num_units, num_resamples, seed):
  """Yields how often each unit is drawn, the same for the same arguments.

  Args:
    num_units: U.
    num_resamples: R.
    seed: int.

  Yields:
    int64[r, U], rows of R resamples of U units each.
  """
  rng = np.random.default_rng((seed, 0))
  chunk = max(1, 2**21 // num_units)
  for start in range(0, num_resamples, chunk):
    size = min(chunk, num_resamples - start)
    drawn = rng.integers(num_units, size=(size, num_units))
    drawn += np.arange(size)[:, None] * num_units
    times = np.bincount(drawn.ravel(), minlength=size * num_units)
    yield times.reshape(size, num_units)


def resample(decided, unit, num_resamples, seed):
  """Counts of resampled units, the same resamples for every set of decisions.

  Args:
    decided: D tuples (tp, fp, fn, tn), bool[N, L] each.
    unit: int64[N], from 0.
    num_resamples: R.
    seed: int.

  Returns:
    D Confusions of int64[R, L]; D times None where one unit is all there is.
  """
  num_units = int(unit.max()) + 1
  if num_units == 1 or num_resamples < 1:
    return [None] * len(decided)
  flat = np.concatenate([x for four in decided for x in four], axis=1)
  order = np.argsort(unit, kind='stable')
  starts = np.searchsorted(unit[order], np.arange(num_units))
  counts = np.add.reduceat(flat[order], starts, axis=0, dtype=np.int32)
  # Sums of whole numbers below 2^24 are exact in float32, so neither the order
  # of a matrix product nor its threads can change a bit.
  exact = num_units * int(counts.max(initial=0)) < 2**24
  counts = counts.astype(np.float32 if exact else np.float64)
  parts = [
    (times.astype(counts.dtype) @ counts).astype(np.int64)
    for times in draw(num_units, num_resamples, seed)
  ]
  sums = np.split(np.concatenate(parts), 4 * len(decided), axis=1)
  return [
    metrics.Confusion(*sums[4 * d : 4 * d + 4]) for d in range(len(decided))
  ]


def resample_sums(of_units, num_resamples, seed):
  """Sums over resampled units, the same resamples as of `resample`.

  Args:
    of_units: [U, K], what each unit adds to K sums.
    num_resamples: R.
    seed: int.

  Returns:
    float64[R, K], exact for whole numbers; None where one unit is all there is.
  """
  num_units = len(of_units)
  if num_units == 1 or num_resamples < 1:
    return None
  of_units = of_units.astype(np.float64)
  return np.concatenate(
    [
      times.astype(np.float64) @ of_units
      for times in draw(num_units, num_resamples, seed)
    ]
  )
