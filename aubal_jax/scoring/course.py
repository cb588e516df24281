"""What the lines of metrics.jsonl say of a training as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

_FALL = 0.1  # Of the loss, in a fifth of the steps.
_OF_ALL = 'overall'  # The score of several targets, see `overall`.


def main_score(lines: Sequence[dict]) -> str:
  """Returns by which score checkpoints are ordered.

  That of all targets together where there are several, else F1 macro.

  Args:
    lines: of metrics.jsonl.
  """
  of_all = any(_OF_ALL in line.get('validation', ()) for line in lines)
  return _OF_ALL if of_all else 'f1_macro'


def best_look(lines: Sequence[dict], score: str = '') -> dict | None:
  """Returns the line with the best score on validation; None without any.

  As checkpoints are ordered: of equals the newest, a NaN below any number.

  Args:
    lines: of metrics.jsonl.
    score: its name; below any number, too, where a look lacks it. '': that of
      `main_score`.
  """
  score = score or main_score(lines)
  looks = [line for line in lines if 'validation' in line]

  def quality(line):
    value = line['validation'].get(score)
    bad = value is None or math.isnan(value)
    return -math.inf if bad else value, line['step']

  return max(looks, key=quality, default=None)


def of_score(lines: Sequence[dict], score: str) -> list[tuple]:
  """Returns (step, score) of the looks at validation that have that score."""
  return [
    (line['step'], line['validation'][score])
    for line in lines
    if line.get('validation', {}).get(score) is not None
  ]


def best_is_last(lines: Sequence[dict]) -> bool:
  """Whether, of two looks at validation or more, the last is the best."""
  looks = [line for line in lines if 'validation' in line]
  return len(looks) > 1 and best_look(lines) is looks[-1]


def loss_fall(lines: Sequence[dict]) -> float | None:
  """Returns by what share the training loss fell over the last fifth of steps.

  1 - (its mean over the last fifth) / (its mean over the fifth before), each
  line weighted by the steps it is the mean of. Negative where it rose; None
  where a fifth has no line, or the loss is not above 0.

  Args:
    lines: of metrics.jsonl, in order.
  """
  losses = [line for line in lines if line.get('loss') is not None]
  if not losses:
    return None
  last = losses[-1]['step']
  sums, steps = [0.0, 0.0], [0, 0]  # Of the fifth before the last, and of that.
  before = 0
  for line in losses:
    place = -(-5 * line['step'] // last) - 4  # Rounded up: counted from 1.
    if place >= 0:
      sums[place] += line['loss'] * (line['step'] - before)
      steps[place] += line['step'] - before
    before = line['step']
  if not all(steps) or not sums[0] > 0:
    return None
  return 1 - sums[1] / steps[1] / (sums[0] / steps[0])


def seems_short(lines: Sequence[dict]) -> str:
  """Returns why a training looks short of its rate, in words; '' if it doesn't.

  It looks so where, of two looks at validation or more, the last one is the
  best; or where the training loss still fell by more than a tenth
  over the last fifth of the steps, see `loss_fall`. Then more steps or another
  learning rate may change what is compared. The rule is one of thumb: it says
  nothing where it returns ''.

  Args:
    lines: of metrics.jsonl, in order.
  """
  reasons = []
  if best_is_last(lines):
    reasons.append('the last look at validation was the best')
  fall = loss_fall(lines)
  if fall is not None and fall > _FALL:
    reasons.append(
      f'the training loss still fell by {100 * fall:.0f} % over the last fifth '
      'of the steps'
    )
  return ', and '.join(reasons)
