"""Which trainings look short of their rate, by their lines."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.scoring import course


def training(losses, every=10):
  """Lines of a training loss, one in `every` steps."""
  return [{'step': every * i, 'loss': loss} for i, loss in enumerate(losses, 1)]


def looks(scores, every=10):
  return [
    {'step': every * i, 'validation': {'f1_macro': score}}
    for i, score in enumerate(scores, 1)
  ]


@hypothesis.given(
  st.lists(
    st.tuples(st.integers(1, 30), st.floats(1e-3, 10)), min_size=1, max_size=60
  )
)
def test_the_fall_is_that_of_the_means_over_steps(pieces):
  lines, of_step = [], []
  for length, loss in pieces:
    of_step += [loss] * length
    lines.append({'step': len(of_step), 'loss': loss})
  # Each step counts in the fifth that its line ends in.
  end = np.repeat([line['step'] for line in lines], [n for n, _ in pieces])
  n, of_step = len(of_step), np.array(of_step)
  last = of_step[5 * end > 4 * n]
  before = of_step[(5 * end > 3 * n) & (5 * end <= 4 * n)]
  found = course.loss_fall(lines)
  if not len(before):
    assert found is None
  else:
    assert found == pytest.approx(1 - last.mean() / before.mean(), abs=1e-9)


@hypothesis.given(
  st.floats(0, 0.5), st.integers(1, 20), st.floats(1e-3, 100), st.booleans()
)
def test_a_loss_that_falls_by_more_than_a_tenth_is_told(
  fall, lines, scale, saw_validation
):
  hypothesis.assume(abs(fall - 0.1) > 1e-3)
  fifths = [scale] * 4 * lines + [scale * (1 - fall)] * lines
  given = training(fifths)
  if saw_validation:  # The best is not the last: that alone says nothing.
    given += looks([0.5, 0.4])
  told = course.seems_short(given)
  assert bool(told) == (fall > 0.1)
  if told:
    assert told.startswith(f'the training loss still fell by {100 * fall:.0f}')


@hypothesis.given(
  st.lists(st.sampled_from([math.nan, None, 0.0, 0.25, 0.5]), max_size=6)
)
def test_the_best_look_is_what_checkpoints_call_best(scores):
  lines = looks(scores)
  best = course.best_look(lines)
  clean = [-1.0 if x is None or math.isnan(x) else x for x in scores]
  if not scores:
    assert best is None
  else:
    place = max(i for i, x in enumerate(clean) if x == max(clean))
    assert best is lines[place]
  # By another score, which some looks lack, likewise.
  other = [
    {'step': x['step'], 'validation': {'f1_macro': 0.9, 'map': score}}
    for x, score in zip(lines, scores, strict=True)
  ]
  other += [{'step': 10**6, 'validation': {'f1_macro': 1.0}}]
  found = course.best_look(other, 'map')
  wanted = best['step'] if scores and max(clean) >= 0 else 10**6
  assert found['step'] == wanted
  told = course.seems_short(lines)
  is_last = len(scores) > 1 and best is lines[-1]
  assert told == ('the last look at validation was the best' * is_last)


def test_both_reasons_are_told_and_few_lines_tell_none():
  both = course.seems_short(training([1, 1, 1, 1, 0.5]) + looks([0.1, 0.2]))
  assert both == (
    'the last look at validation was the best, and the training loss still '
    'fell by 50 % over the last fifth of the steps'
  )
  assert course.seems_short([]) == ''
  assert course.seems_short(looks([0.1])) == ''
  assert course.loss_fall(training([2.0])) is None
  assert course.loss_fall(training([0.0] * 5)) is None
  assert course.loss_fall(training([1, 1, 1, 1, 2])) == pytest.approx(-1)


@hypothesis.given(
  st.lists(st.sampled_from([0.0, 0.25, 0.5, 2.0]), min_size=1, max_size=6)
)
def test_of_several_targets_all_of_them_decide(scores):
  lines = [
    {'step': k, 'validation': {'f1_macro': 1 / (1 + k), 'overall': score}}
    for k, score in enumerate(scores)
  ]
  assert course.main_score(lines) == 'overall'
  assert course.main_score(looks(scores)) == 'f1_macro'
  place = max(k for k, score in enumerate(scores) if score == max(scores))
  assert course.best_look(lines) is lines[place]
  assert course.best_look(lines, 'f1_macro') is lines[0]
