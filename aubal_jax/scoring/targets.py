"""The list of scores of targets beside the labels, and what they come to.

Those of the labels are in `summary`. What is asked of a target is its kind,
names, values, known, low and high, as `datasets.targets.Target` has them.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping

import numpy as np

from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import classes
from aubal_jax.scoring import metrics
from aubal_jax.scoring import numbers
from aubal_jax.scoring import overall as overall_lib
from aubal_jax.scoring import summary

LABELS = 'labels'  # Whose scores have no prefix in validation.
OVERALL = 'overall'

_SHARES = 20  # Bins of each side of what is true against what is said.
# kind -> its scores, in order of the columns. `of_label`: each label, class or
# number has one.
SCORES = types.MappingProxyType(
  {
    'binary': (
      summary.Score('f1_macro', 'F1 macro'),
      summary.Score('accuracy', 'accuracy'),
      summary.Score('awc', 'AWC'),
      summary.Score('precision', 'precision', of_label=True),
      summary.Score('recall', 'recall', of_label=True),
      summary.Score('f1', 'F1', of_label=True),
    ),
    'class': (
      summary.Score('f1_macro', 'F1 macro'),
      summary.Score(
        'f1_macro_present', 'F1 macro, classes there', ('report.json',)
      ),
      summary.Score('accuracy', 'accuracy'),
      summary.Score('precision', 'precision', of_label=True),
      summary.Score('recall', 'recall', of_label=True),
      summary.Score('f1', 'F1', of_label=True),
    ),
    'real': (
      summary.Score('ccc_mean', 'mean CCC'),
      summary.Score('ccc_sum', 'sum of CCC', ('validation',)),
      summary.Score('rmse_mean', 'mean RMSE'),
      summary.Score('ccc', 'CCC', of_label=True),
      summary.Score('rmse', 'RMSE', of_label=True),
    ),
  }
)


def scores_in(kind: str, place: str, *, of_label: bool = False) -> list:
  """Returns the scores of a kind that stand in one of `summary.PLACES`."""
  return [
    s for s in SCORES[kind] if place in s.places and s.of_label == of_label
  ]


def count(kind: str, prediction, values, known=None):
  """Returns what the scores of a kind are properties of.

  Args:
    kind: of the target.
    prediction: float[N, L], probabilities of labels or of classes; or float[N,
      D], numbers.
    values: as a `Target` has them.
    known: bool, of the shape of values; or None where every value is known.
  """
  if kind == 'class':
    return classes.ClassCounts.from_probabilities(prediction, values, known)
  if kind == 'binary':
    return metrics.Confusion.from_probabilities(prediction, values, known)
  return numbers.Moments.from_predictions(prediction, values, known)


def of_validation(
  predictions: Mapping[str, np.ndarray], targets: Mapping
) -> dict[str, float]:
  """Returns name -> score of all that stand in 'validation'.

  Those of the labels as `summary.of_validation` has them; those of another
  target are called TARGET_SCORE. Unless the labels are all there is, `OVERALL`
  is what a state is the best by, see `overall`.

  Args:
    predictions: name of target -> what is predicted of its rows, float[R, L].
    targets: name -> target of the same rows; those that are not predicted are
      left out.
  """
  of_target = {}
  for name, prediction in predictions.items():
    target = targets[name]
    cells = prediction, target.values, target.known
    if target.kind == 'binary':
      of_target[name] = summary.of_validation(*cells)
      continue
    counted = count(target.kind, *cells)
    of_target[name] = {
      s.name: float(getattr(counted, s.name))
      for s in scores_in(target.kind, 'validation')
    }
  found = dict(of_target.get(LABELS, {}))
  for name, scores in of_target.items():
    if name != LABELS:
      found |= {f'{name}_{score}': x for score, x in scores.items()}
  if [*of_target] != [LABELS]:
    kinds = {name: targets[name].kind for name in of_target}
    found[OVERALL] = float(overall_lib.overall(kinds, of_target))
  return found


def take(target, rows):
  """Returns a target of some of its rows, int64[R]."""
  return dataclasses.replace(
    target, values=target.values[rows], known=target.known[rows]
  )


def summarise(
  target,
  prediction,
  *,
  groups=None,
  split='test',
  num_resamples=1000,
  confidence=0.95,
  seed=0,
) -> dict:
  """Scores what is predicted of a target: an entry of report.json.

  Intervals are percentiles of a bootstrap over groups, or over rows where
  there are none; a single group has none.

  Args:
    target: of the N rows that are scored.
    prediction: float[N, L], see `count`.
    groups: N values, the subject or video of each row; or None.
    split: name of the split these rows are, for the report.
    num_resamples: bootstrap samples.
    confidence: level of the intervals.
    seed: int, of the bootstrap.

  Returns:
    A dict of plain JSON types: the scores of `SCORES` with intervals, those of
    `overall.CHALLENGES` as `challenge_YEAR`, `of_each` (name of a label, class
    or number -> its scores), `floors`, and what a picture is drawn of.

  Raises:
    UserError: as of `count`.
  """
  kind = target.kind
  counted = count(kind, prediction, target.values, target.known)
  unit = bootstrap.units(len(prediction), groups)
  known = target.known if kind == 'class' else target.known.any(axis=1)
  tails = (1 - confidence) / 2, (1 + confidence) / 2
  sampled = _resample(target, prediction, known, unit, num_resamples, seed)
  num_units = len(np.unique(unit[known]))
  return {
    'kind': kind,
    'split': split,
    'num_rows': int(known.sum()),
    'names': [*target.names],
    **({'low': target.low, 'high': target.high} if kind == 'real' else {}),
    **_scores(kind, counted, sampled, tails),
    'of_each': _of_each(target, counted, sampled, tails),
    'floors': {
      name: _scores(kind, floor) for name, floor in _floors(kind, counted)
    },
    'bootstrap': {
      'unit': 'row' if groups is None else 'group',
      'num_units': num_units,
      'num_resamples': num_resamples if sampled is not None else 0,
      'confidence': confidence,
    },
    **_picture(target, prediction, counted),
  }


def _resample(target, prediction, known, unit, num_resamples, seed):
  """Returns what `count` returns of resamples; None of a single unit."""
  if not known.any():
    return None
  unit = np.unique(unit[known], return_inverse=True)[1].reshape(-1)
  kept = take(target, np.flatnonzero(known))
  draws = unit, num_resamples, seed
  return _of_units(kept, prediction[known], *draws, int(unit.max()) + 1)


def _of_units(target, prediction, unit, num_resamples, seed, num_units):
  """Returns what `count` returns of resamples; None of a single unit.

  Args:
    target: of rows of which it is known.
    prediction: float[N, L].
    unit: int64[N], from 0; a unit may have no row.
    num_resamples, seed: of the bootstrap.
    num_units: of them.
  """
  draws = unit, num_resamples, seed, num_units
  if target.kind == 'class':
    return classes.resample(prediction, target.values, *draws)
  cells = prediction, target.values, target.known
  if target.kind == 'real':
    return numbers.resample(*cells, *draws)
  decided = metrics.decisions(*metrics.check_entries(*cells))
  flat = np.concatenate(decided, axis=1).astype(np.int64)
  of_units = np.zeros((num_units, flat.shape[1]), np.int64)
  np.add.at(of_units, unit, flat)
  sums = bootstrap.resample_sums(of_units, num_resamples, seed)
  if sums is None:
    return None
  counts = np.split(sums.round().astype(np.int64), 4, axis=1)
  return metrics.Confusion(*counts)


def intervals_together(
  targets: Mapping,
  predictions: Mapping[str, np.ndarray],
  units: Mapping[str, np.ndarray],
  *,
  num_resamples=1000,
  confidence=0.95,
  seed=0,
) -> dict:
  """Returns the intervals of what all targets come to.

  Every target is scored on the same resamples of units, as a video may be one
  of several tasks.

  Args:
    targets: name -> target of the rows that are scored, those that know it.
    predictions: name -> float[R, L] of them.
    units: name -> int64[R], the unit of each row, one number for all targets.
    num_resamples, confidence, seed: of the bootstrap.

  Returns:
    `OVERALL`_interval and `overall.TOGETHER`_interval, [low, high]; {} where
    one unit is all there is.
  """
  every = np.unique(np.concatenate([*units.values()]))
  sampled = {
    name: _of_units(
      target,
      predictions[name],
      np.searchsorted(every, units[name]),
      *(num_resamples, seed, len(every)),
    )
    for name, target in targets.items()
  }
  if None in sampled.values():
    return {}
  tails = (1 - confidence) / 2, (1 + confidence) / 2
  kinds = {name: target.kind for name, target in targets.items()}
  together = sum(
    overall_lib.of_challenge('2022', kinds[name], one)
    for name, one in sampled.items()
  )
  found = {
    OVERALL: overall_lib.overall(kinds, sampled),
    overall_lib.TOGETHER: together,
  }
  return {
    f'{name}_interval': summary.percentiles(x, tails)
    for name, x in found.items()
  }


def _scores(kind, counted, sampled=None, tails=()) -> dict:
  """Returns the scores of all together, with intervals if resampled."""
  names = [s.name for s in scores_in(kind, 'report.json')]
  found = {name: getattr(counted, name) for name in names}
  samples = {} if sampled is None else {n: getattr(sampled, n) for n in names}
  for year in overall_lib.CHALLENGES:
    name = f'challenge_{year}'
    found[name] = overall_lib.of_challenge(year, kind, counted)
    if sampled is not None:
      samples[name] = overall_lib.of_challenge(year, kind, sampled)
  told = {}
  for name, score in found.items():
    told[name] = summary.rounded(score)
    if name in samples:
      told[f'{name}_interval'] = summary.percentiles(samples[name], tails)
  return told


def _of_each(target, counted, sampled, tails) -> dict:
  """Returns name -> scores of each label, class or number."""
  names = [s.name for s in scores_in(target.kind, 'report.json', of_label=True)]
  main = 'ccc' if target.kind == 'real' else 'f1'
  found = {}
  for i, name in enumerate(target.names):
    entry = {n: summary.rounded(getattr(counted, n)[i]) for n in names}
    if sampled is not None:
      samples = getattr(sampled, main)[:, i]
      entry[f'{main}_interval'] = summary.percentiles(samples, tails)
    if target.kind == 'class':
      entry['rows'] = int(counted.support[i])
    elif target.kind == 'binary':
      entry['rows'] = int(counted.positives[i])
    else:
      entry['rows'] = int(counted.known[i])
    found[name] = entry
  return found


def _floors(kind, counted):
  """Yields (name, counts) of what says the same of every row."""
  if kind == 'class':
    yield 'majority', counted.majority()
  elif kind == 'real':
    yield 'mean', counted.at_the_mean()
  else:
    yield 'all_positive', counted.all_positive()
    yield 'all_negative', counted.all_negative()


def _picture(target, prediction, counted) -> dict:
  """Returns the counts that a picture is drawn of."""
  if target.kind == 'class':
    return {'confusion': counted.counts.tolist()}
  if target.kind == 'binary':
    return {}
  edges = np.linspace(target.low, target.high, _SHARES + 1)
  density = {}
  for i, name in enumerate(target.names):
    known = target.known[:, i]
    pairs = (
      np.clip(x[known, i], target.low, target.high)
      for x in (target.values, prediction)
    )
    counts, _, _ = np.histogram2d(*pairs, bins=(edges, edges))
    density[name] = counts.astype(int).tolist()
  return {'density': density}


def summarise_all(
  targets: Mapping, entries: Mapping[str, Mapping], *, sums: bool = True
) -> dict:
  """Returns the scores of challenges, of the entries of all targets.

  Args:
    targets: name -> target, or what has its kind.
    entries: name -> its entry of report.json; of the labels report.json.
    sums: with what all come to together.

  Returns:
    year -> target -> score, and `OVERALL`.
  """
  kinds = {name: targets[name].kind for name in entries}
  scores = {
    name: entry | _sum_of(kinds[name], entry) for name, entry in entries.items()
  }
  found = overall_lib.challenges(kinds, scores)
  told = {
    year: {
      name: summary.rounded(x)
      for name, x in each.items()
      if sums or name in entries
    }
    for year, each in found.items()
  }
  if sums:
    told[OVERALL] = summary.rounded(overall_lib.overall(kinds, scores))
  return told


def _sum_of(kind, entry) -> dict:
  """Returns the sum of CCC, of which an entry has each."""
  if kind != 'real':
    return {}
  return {'ccc_sum': sum(x['ccc'] for x in entry['of_each'].values())}
