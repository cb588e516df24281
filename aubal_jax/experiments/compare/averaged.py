"""Two seeds of plain training, averaged: what double compute alone gives.

A trial is the mean of the logits of a seed and of the next one, which are
trained anyway; after the last comes the first. Lakshminarayanan, Pritzel,
Blundell: Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles, 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aubal_jax.experiments.compare import trials as trials_lib
from aubal_jax.experiments.compare import verdicts
from aubal_jax.scoring import thresholds

_LEAST = 1e-40  # Of p and 1 - p: finite logits, and no ties but those of p.


def mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns the probabilities of the mean of two predictions' logits.

  Args:
    first, second: probabilities of one shape.
  """
  return thresholds.sigmoid((logit(first) + logit(second)) / 2)


def logit(probability: np.ndarray) -> np.ndarray:
  """Returns log(p / (1 - p)) in float64: what ranks apart stays apart.

  Args:
    probability: of any shape, 0 and 1 allowed.
  """
  p = np.asarray(probability, np.float64)
  return np.log(np.maximum(p, _LEAST)) - np.log(np.maximum(1 - p, _LEAST))


def make_trials(dataset, split, trials: Sequence[dict], predictions) -> list:
  """Returns the trials of one split with two seeds each; [] of one seed.

  Args:
    dataset: the table.
    split: the rows that all were trained with.
    trials: from `make_trial`, of different seeds.
    predictions: of each of them, probabilities of the validation rows and of
      the test rows.
  """
  if len(trials) < 2:
    return []
  found = []
  for k, trial in enumerate(trials):
    other = (k + 1) % len(trials)
    both = [
      mean(*p) for p in zip(predictions[k], predictions[other], strict=True)
    ]
    train = [trials[i]['seconds']['train'] for i in (k, other)]
    found.append(
      {
        **trial,
        **trials_lib.score(dataset, split, *both),
        'rate': None,  # Each has its own.
        'tried': [],
        'course': [],
        'best_last': False,
        'seconds': {
          **trial['seconds'],
          'train': None if None in train else sum(train),
        },
      }
    )
  return found


def rows(results) -> list[dict]:
  """Returns results of their own for what results have as `averaged`."""
  return [
    {**result, 'method': verdicts.AVERAGED, 'trials': result['averaged']}
    for result in results
    if result.get('averaged')
  ]
