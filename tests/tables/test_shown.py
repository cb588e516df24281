"""How results show themselves, and what data people do with them."""

import sys

import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import shown

NAMES = ['<b>cat</b>', 'dog', 'cow']


def results(num_rows=40):
  """Returns one of each kind, of the same table."""
  labels = (np.random.default_rng(0).random((num_rows, 3)) < 0.4).astype(int)
  options = {'optimizer': 'ipm', 'lam': 1.0}
  plan, solution = aubal.balance(labels, label_names=NAMES, **options)
  return {
    'Plan': plan,
    'Solution': solution,
    'Labelsets': aubal.find_labelsets(labels),
    'Frontier': aubal.frontier(labels, num_points=3, **options),
  }


@pytest.fixture(name='made', scope='module')
def fixture_made():
  return results()


@pytest.mark.parametrize('kind', ['Plan', 'Solution', 'Labelsets', 'Frontier'])
def test_a_few_lines_a_table_and_a_frame_say_the_same(made, kind):
  result = made[kind]
  lines = repr(result).splitlines()
  assert lines[0].startswith(kind) and 3 <= len(lines) <= shown.LINES
  frame = result.to_frame()
  assert len(frame) == result._num_rows()
  assert lines[1].split() == [*frame.columns]
  hidden = len(frame) - (len(lines) - 3)
  if hidden > 1:
    assert lines[-1].strip() == f'... and {hidden:,} more'
  table = result._repr_html_()
  assert '<b>' not in table
  assert table.count('<tr>') == 1 + min(len(frame), 20)
  assert ('more</p>' in table) == (len(frame) > 20)


def test_frames_hold_the_numbers(made):
  plan, solution = made['Plan'], made['Solution']
  frame = plan.to_frame()
  assert frame['source'].tolist() == plan.source.tolist()
  assert frame['augment'].tolist() == plan.augment.tolist()
  frame = solution.to_frame()
  assert frame['label'].tolist() == NAMES
  assert frame['after'].tolist() == solution.class_counts_after.tolist()


def test_without_pandas_or_matplotlib_it_is_said(made, monkeypatch):
  monkeypatch.setitem(sys.modules, 'pandas', None)
  with pytest.raises(ValueError, match=r'Plan\.to_frame\(\) needs the package'):
    made['Plan'].to_frame()
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  with pytest.raises(
    ValueError, match=r'plot\(\) needs the package matplotlib'
  ):
    made['Solution'].plot()


def test_a_plan_is_gone_over_compared_and_weighed(made):
  plan = made['Plan']
  assert [*plan] == [*zip(plan.source, plan.augment, strict=True)]
  rng = np.random.default_rng(1)
  for _ in range(20):
    counts = rng.integers(0, 4, 5)
    one = plan_lib.spread(np.arange(5), counts, label_names=('a', 'b'))
    assert one == plan_lib.spread(np.arange(5), counts, label_names=('a', 'b'))
    np.testing.assert_array_equal(
      one.weights, counts[: np.max(np.flatnonzero(counts), initial=-1) + 1]
    )
    counts[rng.integers(5)] += 1
    other = plan_lib.spread(np.arange(5), counts, label_names=('a', 'b'))
    assert one != other and one != 'a plan'
  assert plan_lib.spread([0], [1], label_names=('a',)) != plan_lib.spread(
    [0], [1], label_names=('b',)
  )


def test_plots_have_a_mark_for_each_number(made):
  axes = made['Solution'].plot()
  assert len(axes.patches) == 2 * len(NAMES)
  axes = made['Frontier'].plot()
  assert len(axes.lines[0].get_xdata()) == 3
