"""The trials of a cell: what is matched, and what is one observation.

Seeds of one split share their training and test images, so they are averaged
first, and the splits are the observations. Where there is only one split the
seeds are: then nothing is said of other images.
"""

from __future__ import annotations

import statistics

from aubal_jax.experiments.compare import significance
from aubal_jax.scoring import summary

# Name in a trial -> heading; what depends on thresholds stands twice.
SCORES = {
  f'{score.name}{suffix}': f'{score.title}{words}'
  for score in summary.scores_in('comparison')
  for suffix, words in (('', ''), ('_tuned', ', tuned'))
  if not (score.ranking and suffix)
}


def entry(result) -> tuple:
  """Returns what a cell is among those that it is compared with."""
  return result['method'], result['upper'], result['diversity']


def values(trials, score: str) -> dict:
  """Returns (seed, repeat, fold) -> score, of trials that have it."""
  return {
    (t['seed'], t['repeat'], t['fold']): t['scores'][score]
    for t in trials
    if t['scores'].get(score) is not None
  }


def differences(trials, others, score: str) -> dict:
  """Returns what trials have more than those of `others` that match them."""
  mine, theirs = values(trials, score), values(others, score)
  return {key: mine[key] - theirs[key] for key in mine if key in theirs}


def estimate(found, trials) -> significance.Estimate | None:
  """Returns the mean over splits, or over the seeds of the only split.

  Args:
    found: (seed, repeat, fold) -> number, from `values` or `differences`.
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
