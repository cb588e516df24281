"""The learning rate of a trial: the best of several, by validation alone.

In a short training a larger rate may do what a plan seems to do. So every
method is trained at the same multiples of its rate, and each trial is that of
the largest mAP of the rows that tune thresholds; test rows have no say.
"""

from __future__ import annotations

from collections.abc import Iterable


def best(tried: Iterable) -> float:
  """Returns the rate of the largest score, of equals the smallest.

  Args:
    tried: (rate, score); a score that is None is below any other.
  """

  def quality(one):
    rate, score = one
    return score is not None, score or 0.0, -rate

  return max(tried, key=quality)[0]


def diverged(seed: int, fold: int | None, rate: float, error: str) -> dict:
  """Returns the trial of a training that diverged: below any other rate.

  Args:
    seed: of training.
    fold: of images; None where there is one split alone.
    rate: times the learning rate.
    error: what was said of it.
  """
  place = {'seed': seed, 'repeat': 0, 'fold': fold or 0}
  return place | {'rate': rate, 'tried': [[rate, None]], 'diverged': error}


def tell_diverged(rates: Iterable, error: str = '') -> str:
  """Returns what is said where training diverged at every rate."""
  told = ', '.join(f'{rate:g}' for rate in rates)
  why = f' ({error})' if error else ''
  return (
    f'training diverged at every one of compare.rates, {told} times the '
    f'learning rate{why}; add a smaller one.'
  )


def choose(trials: Iterable[dict]) -> list[dict]:
  """Returns one trial of each seed and split: that of its best rate.

  Args:
    trials: as result.json has them; those of one seed and split differ in
      `rate`.
  """
  places = {}
  for trial in trials:
    place = trial['seed'], trial['repeat'], trial['fold']
    places.setdefault(place, []).append(trial)
  return [_chosen(found) for found in places.values()]


def _chosen(found: list[dict]) -> dict:
  """Returns the best of trials that differ in their rate."""
  if len(found) == 1:
    return found[0]
  tried = sorted(one for trial in found for one in trial['tried'])
  rate = best(tried)
  (trial,) = [trial for trial in found if trial['rate'] == rate]
  return trial | {'tried': tried}


def counts(trials: Iterable[dict]) -> list[list]:
  """Returns [rate, number of trials that chose it], of all that were tried."""
  found = {}
  for trial in trials:
    # Trials of before there were rates have the one.
    for rate, _ in trial.get('tried', ()):
      found.setdefault(rate, 0)
    rate = trial.get('rate', 1.0)
    if rate is not None:
      found[rate] = found.get(rate, 0) + 1
  return [[rate, found[rate]] for rate in sorted(found)]
