"""The line of a cell: what its trials score, a number a split."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.experiments.compare import thirds

_DIGITS = 6  # Of a score: what threads may change is behind them.
Scores = dict[tuple[str, str], float | None]


def of_labels(trial: Mapping) -> Scores:
  """Returns (kind, over) -> score of a trial, of `plan.KINDS` and `OVER`.

  Args:
    trial: from `trials.make_trial`.
  """
  scores = trial['scores']
  found = {
    ('f1', 'all'): scores['f1_macro'],
    ('f1_shrunk', 'all'): scores['f1_macro_shrunk'],
    ('f1_tuned', 'all'): scores['f1_macro_tuned'],
    ('ap', 'all'): scores['map'],
  }
  parts = thirds.parts([share or 0.0 for share in trial['frequency']])
  for part, labels in zip(thirds.PARTS, parts, strict=True):
    found['ap', part] = scores[f'ap_{part}']
    for kind, ending in (('f1', ''), ('f1_shrunk', '_shrunk')):
      per_label = trial[f'f1_per_label{ending}']
      some = [per_label[k] for k in labels if per_label[k] is not None]
      found[kind, part] = float(np.mean(some)) if some else None
  return found


def line(
  name: str,
  views: Mapping[str, Sequence[Mapping]],
  *,
  largest: float,
  read: Callable[[Mapping], Scores] = of_labels,
  apart: bool = False,
) -> dict:
  """Returns the line of a cell.

  Args:
    name: of the cell.
    views: see `plan.Contrast` -> trials; the first are those that predict.
    largest: of the rates.
    read: trial -> its scores.
    apart: whether splits share no row, since each was drawn for itself.

  Returns:
    `cell`: its name; `num_train`, `num_test`: of a split, the mean; `rows`: of
    a plan, likewise; `at_largest`: the share of trials whose best rate is the
    largest; `apart`, where it is so; and `scores`: view -> kind -> of
    `plan.OVER` -> a number a split, the mean of its seeds; None where no label
    has it.
  """
  trials = next(iter(views.values()))
  return {
    'cell': name,
    'num_train': _mean(trial['num_train'] for trial in trials),
    'num_test': _mean(trial['num_test'] for trial in trials),
    'rows': _mean(trial['plan']['rows'] for trial in trials),
    'at_largest': _mean(trial['rate'] == largest for trial in trials),
    **({'apart': True} if apart else {}),
    'scores': {view: _by_split(found, read) for view, found in views.items()},
  }


def _mean(values) -> float:
  return round(float(np.mean([*values])), _DIGITS)


def _by_split(trials, read) -> dict[str, dict[str, list]]:
  """Returns kind -> over -> a score a split, of trials of several seeds."""
  found: dict[tuple, dict] = {}
  for trial in trials:
    split = trial['repeat'], trial['fold']
    for place, value in read(trial).items():
      found.setdefault(place, {}).setdefault(split, []).append(value)
  scores: dict[str, dict[str, list]] = {}
  for (kind, over), by_split in found.items():
    values = [
      None if None in some else round(float(np.mean(some)), _DIGITS)
      for _, some in sorted(by_split.items())
    ]
    scores.setdefault(kind, {})[over] = values
  return scores
