"""Tests of one entry less another, over the trials that match.

Seeds of one split share their training and test images, so they are averaged
first, and the splits are the observations. Where there is only one split the
seeds are: then nothing is said of other images.
"""

from __future__ import annotations

import itertools
import statistics

from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.compare import verdicts

# As near in rows as this is the same budget.
EQUAL_ROWS = 0.01
# F1 at .5, and of the same net at tuned thresholds.
_THRESHOLDED = {'f1_macro': 'f1_macro_tuned', 'f1_micro': 'f1_micro_tuned'}


def scores_of(trials, score: str) -> dict:
  """Returns (seed, repeat, fold) -> score, of trials that have it."""
  return {
    (t['seed'], t['repeat'], t['fold']): t['scores'][score]
    for t in trials
    if t['scores'].get(score) is not None
  }


def differences(trials, others, score: str) -> dict:
  """Returns what trials have more than those of `others` that match them."""
  mine, theirs = scores_of(trials, score), scores_of(others, score)
  return {key: mine[key] - theirs[key] for key in mine if key in theirs}


def estimate(found, trials) -> significance.Estimate | None:
  """Returns the mean over splits, or over the seeds of the only split.

  Args:
    found: (seed, repeat, fold) -> number, of `scores_of` or `differences`.
    trials: dicts of `num_test` and `num_train`, of the same splits.

  Returns:
    None where nothing was found.
  """
  splits = {}
  for (_, *split), value in sorted(found.items()):
    splits.setdefault(tuple(split), []).append(value)
  if not splits:
    return None
  if len(splits) == 1:
    return significance.estimate(*splits.values(), 0.0)
  ratio = statistics.fmean(t['num_test'] / t['num_train'] for t in trials)
  means = [statistics.fmean(mine) for mine in splits.values()]
  return significance.estimate(means, ratio)


def _difference(cells, data, entry, other, score):
  """Returns the estimate of entry less other on a data set, or None."""
  if (data, entry) not in cells or (data, other) not in cells:
    return None
  mine, theirs = cells[data, entry]['trials'], cells[data, other]['trials']
  return estimate(differences(mine, theirs, score), mine)


def _equal_rows(cells, data, entry, other) -> bool:
  """Returns whether two plans have the same number of rows, within 1 %."""
  rows = [
    statistics.fmean(t['plan']['rows'] for t in cells[data, name]['trials'])
    for name in (entry, other)
  ]
  return max(rows) <= (1 + EQUAL_ROWS) * min(rows)


def _test(entry, reference, found) -> dict:
  """Returns a test of the mean of `found`, Estimates of data sets."""
  over = significance.average(found)
  return {
    'entry': entry,
    'reference': reference,
    'difference': over.mean,
    'half_width': over.half_width(),
    'p': over.p_value(),
    'num_data': len(found),
    'num_better': sum(one.mean > 0 for one in found),
  }


def _adjust(tests) -> list[dict]:
  """Returns tests made at once with `p_holm`."""
  adjusted = significance.holm([test['p'] for test in tests])
  return [test | {'p_holm': p} for test, p in zip(tests, adjusted, strict=True)]


def against(cells, data, entries, score, reference) -> list[dict]:
  """Returns tests of every entry against one, per data set and over all.

  `none` is always the one that others are held against. What is of double
  compute is a test of its own: no other is adjusted for it.

  Args:
    cells: (data, entry) -> content of result.json.
    data: names; over all of them `data` is None.
    entries: names.
    score: name.
    reference: name of the one entry.
  """
  families = {d: [] for d in (*data, None)}
  for entry in entries:
    if entry in (reference, 'none'):
      continue
    found = {
      d: one
      for d in data
      for one in (_difference(cells, d, entry, reference, score),)
      if one is not None
    }
    equal = {d: _equal_rows(cells, d, entry, reference) for d in found}
    for d, one in found.items():
      families[d].append(
        _test(entry, reference, [one]) | {'equal_rows': equal[d]}
      )
    if len(found) == len(data) > 1:
      families[None].append(
        _test(entry, reference, found.values())
        | {'equal_rows': all(equal.values())}
      )
  return [
    {'data': d, 'score': score, **test}
    for d, family in families.items()
    for alike in _parted(family)
    for test in _adjust(alike)
  ]


def _parted(tests) -> list[list]:
  """Returns the tests of methods, and those of what is of double compute."""
  return [
    [t for t in tests if (t['entry'] == verdicts.AVERAGED) == is_averaged]
    for is_averaged in (False, True)
  ]


def pairs(cells, data, entries, scores) -> list[dict]:
  """Returns tests between entries over the data sets where rows are equal.

  Args:
    cells: (data, entry) -> content of result.json.
    data: names.
    entries: names.
    scores: names; tests of one score are adjusted together.
  """
  equal = {
    (a, b): [
      d
      for d in data
      if (d, a) in cells and (d, b) in cells and _equal_rows(cells, d, a, b)
    ]
    for a, b in itertools.combinations(entries, 2)
    if verdicts.AVERAGED not in (a, b)
  }
  rows = []
  for score in scores:
    family = []
    for (a, b), where in equal.items():
      found = [_difference(cells, d, a, b, score) for d in where]
      found = [one for one in found if one is not None]
      if found:
        family.append(_test(a, b, found))
    rows += [{'score': score, **test} for test in _adjust(family)]
  return rows


def shares(tests) -> list[dict]:
  """Returns how much of what changes at .5 tuned thresholds leave.

  Args:
    tests: from `against`, of all scores.

  Returns:
    dicts of `data`, `entry`, `score`, the gains `at_half` and `tuned`, and
    `share`, None unless the gain (or loss) at .5 is sure: beyond its interval.
  """
  gains = {
    (t['data'], t['entry'], t['score']): t
    for t in tests
    if t['reference'] == 'none' and t['entry'] != verdicts.AVERAGED
  }
  rows = []
  for (data, entry, score), gain in gains.items():
    tuned = gains.get((data, entry, _THRESHOLDED.get(score)))
    if tuned is not None:
      rows.append(
        {
          'data': data,
          'entry': entry,
          'score': score,
          'at_half': gain['difference'],
          'tuned': tuned['difference'],
          'share': tuned['difference'] / gain['difference']
          if _is_sure(gain)
          else None,
        }
      )
  return rows


def _is_sure(test) -> bool:
  half_width = test['half_width']
  return half_width is not None and abs(test['difference']) > half_width
