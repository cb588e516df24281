"""How far two networks differ on the same images, and whether by chance.

Both are scored on the same resamples of whole subjects, so that what makes a
subject hard for both of them cancels (paired bootstrap; Efron, Tibshirani: An
Introduction to the Bootstrap, 1993). Chance over subjects is all that this
tells of: another seed of the training is another network.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import metrics

SCORES = ('f1_macro', 'f1_macro_shrunk', 'f1_macro_tuned', 'map')
_KINDS = ('shrunk', 'tuned')  # Of thresholds.
# Weighted places that ranking may take: a second of work or two.
_PLACES = 4e8


def differences(
  probability: Mapping[str, np.ndarray],
  label,
  known,
  *,
  thresholds: Mapping[str, Mapping[str, np.ndarray]],
  reference: str,
  groups=None,
  num_resamples: int = 1000,
  confidence: float = 0.95,
  seed: int = 0,
) -> list[dict]:
  """Returns what one network scores less each of the others, with intervals.

  Args:
    probability: name of network -> float[N, L].
    label: 0/1 [N, L].
    known: bool[N, L].
    thresholds: name of network -> 'shrunk' and 'tuned' -> float[L] or [N, L]. A
      kind that one of the networks lacks is left out of all.
    reference: name of the network that the others are taken from.
    groups: N values, the subject or video of each image; or None.
    num_resamples: bootstrap samples; of `map` fewer, at least 100, where there
      are so many images that they would take long.
    confidence: level of the intervals, each by itself.
    seed: int, of the bootstrap.

  Returns:
    For each other network and each of `SCORES` a dict of `less` (its name),
    `score`, `difference`, `interval` ([low, high], percentiles; None of a
    single group) and `beyond_chance`: whether 0 is outside it.

  Raises:
    UserError: as `metrics.check_entries`.
  """
  unit = bootstrap.units(len(label), groups)
  tails = (1 - confidence) / 2, (1 + confidence) / 2
  kinds = [k for k in _KINDS if all(k in own for own in thresholds.values())]
  scored = {
    name: _samples(
      metrics.check_entries(mine, label, known),
      {k: thresholds[name][k] for k in kinds},
      *(unit, num_resamples, seed),
    )
    for name, mine in probability.items()
  }
  found = []
  for name in [name for name in scored if name != reference]:
    for score in scored[name]:
      mine, others = scored[reference][score], scored[name][score]
      found.append({'less': name, 'score': score} | _tell(mine, others, tails))
  return found


def _tell(mine, others, tails) -> dict:
  """Returns the difference of two (value, samples or None)."""
  told = {'difference': round(float(mine[0] - others[0]), 6)}
  if mine[1] is None:
    return told | {'interval': None, 'beyond_chance': False}
  low, high = np.quantile(mine[1] - others[1], tails)
  return told | {
    'interval': [round(float(x), 6) for x in (low, high)],
    'beyond_chance': bool(low > 0 or high < 0),
  }


def _samples(entries, thresholds, unit, num_resamples, seed) -> dict:
  """Returns score -> (value, float[R] of its resamples, or None)."""
  at = {'f1_macro': 0.5} | {f'f1_macro_{k}': t for k, t in thresholds.items()}
  decided = [metrics.decisions(*entries, t) for t in at.values()]
  sampled = bootstrap.resample(decided, unit, num_resamples, seed)
  found = {}
  for name, counts, samples in zip(at, decided, sampled, strict=True):
    value = metrics.Confusion.from_decisions(counts).f1_macro
    found[name] = value, None if samples is None else samples.f1_macro
  many = int(min(num_resamples, max(100, _PLACES // entries[0].size)))
  once = np.ones((1, len(unit)), np.int64)
  found['map'] = (
    mean_average_precision(*entries, once)[0],
    None
    if sampled[0] is None
    else np.concatenate(
      [
        mean_average_precision(*entries, times[:, unit])
        for times in bootstrap.draw(int(unit.max()) + 1, many, seed)
      ]
    ),
  )
  return found


def mean_average_precision(probability, label, known, times) -> np.ndarray:
  """Returns mAP of images that are there several times.

  The mean over labels of sum_k (R_k - R_{k-1}) P_k; a label without a positive
  among the images that are there has no part in it.

  Args:
    probability: float[N, L].
    label: bool[N, L].
    known: bool[N, L].
    times: int[R, N], how often each image is there.

  Returns:
    float64[R], 0 where no label has a positive.
  """
  total, defined = np.zeros(len(times)), np.zeros(len(times))
  for p, truth, k in zip(probability.T, label.T, known.T, strict=True):
    order = np.flatnonzero(k)[np.argsort(-p[k], kind='stable')]
    if not len(order):
      continue
    last = np.flatnonzero(np.append(np.diff(p[order]) < 0, True))
    weights = times[:, order]
    hits = np.cumsum(weights * truth[order], axis=1)[:, last]
    said = np.cumsum(weights, axis=1)[:, last]
    steps = np.diff(hits, axis=1, prepend=0) * hits
    area = (steps / np.maximum(said, 1)).sum(axis=1)
    positives = hits[:, -1]
    total += area / np.maximum(positives, 1)
    defined += positives > 0
  return total / np.maximum(defined, 1)
