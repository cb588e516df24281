"""What the Affective Behavior Analysis challenges score, and all tasks as one.

Each kind of target has the score of one of their tasks:

| kind | 2020 | from 2022 on |
|---|---|---|
| binary (AU) | .5 F1 macro + .5 accuracy | F1 macro |
| class (EXPR) | .67 F1 macro + .33 accuracy | F1 macro |
| real (VA) | mean CCC | mean CCC |

Accuracy of labels is that of all entries together. The multi-task score from
2022 on is the sum of those of the tasks. Kollias et al.: Analysing Affective
Behavior in the First ABAW 2020 Competition, FG 2020; Kollias: ABAW: Valence-
Arousal Estimation, Expression Recognition, Action Unit Detection and Multi-Task
Learning Challenges, CVPRW 2022.
"""

from __future__ import annotations

import types
from collections.abc import Mapping

# Year -> kind of target -> weights of its scores in that of the challenge.
CHALLENGES = types.MappingProxyType(
  {
    '2020': {
      'binary': {'f1_macro': 0.5, 'accuracy': 0.5},
      'class': {'f1_macro': 0.67, 'accuracy': 0.33},
      'real': {'ccc_mean': 1.0},
    },
    '2022': {
      'binary': {'f1_macro': 1.0},
      'class': {'f1_macro': 1.0},
      'real': {'ccc_mean': 1.0},
    },
  }
)
TOGETHER = 'multi_task'  # Of 2022: the sum of those of the tasks.


def of_challenge(year: str, kind: str, scores):
  """Returns the score of a target in a challenge.

  Args:
    year: one of `CHALLENGES`.
    kind: of the target.
    scores: name -> score, or what has them as attributes, such as `Confusion`
      (then of its shape).
  """
  weights = CHALLENGES[year][kind]
  return sum(w * _get(scores, name) for name, w in weights.items())


def challenges(kinds: Mapping[str, str], scores: Mapping[str, Mapping]) -> dict:
  """Returns year -> target -> its score; from 2022 on also their sum.

  Args:
    kinds: name of target -> its kind.
    scores: name of target -> its scores; those that lack any are left out.
  """
  found = {
    year: {
      name: of_challenge(year, kind, scores[name])
      for name, kind in kinds.items()
      if name in scores
    }
    for year in CHALLENGES
  }
  found['2022'][TOGETHER] = sum(found['2022'].values())
  return found


def overall(kinds: Mapping[str, str], scores: Mapping):
  """Returns by what one state of a network is better than another.

  The score of 2020 of labels and of classes, and the CCC of each number, all
  added: a state is the best by it where there are several targets.

  Args:
    kinds: name of target -> its kind.
    scores: name of target -> its scores, of real ones `ccc_sum`; or what has
      them as attributes (then of its shape).
  """
  return sum(
    _get(scores[name], 'ccc_sum')
    if kind == 'real'
    else of_challenge('2020', kind, scores[name])
    for name, kind in kinds.items()
    if name in scores
  )


def _get(scores, name):
  return scores[name] if isinstance(scores, Mapping) else getattr(scores, name)
