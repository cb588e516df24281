"""From results of cells to what they say: gains planted, and found or not."""

import copy
import csv
import json

import numpy as np
import pytest
from scipy import stats

from aubal_jax.experiments.compare import comparison
from aubal_jax.experiments.compare import page
from aubal_jax.experiments.compare import trials
from aubal_jax.runs import files
from tests.makers import comparison_results
from tests.makers.comparison_results import result


@pytest.fixture(name='tables', scope='module')
def fixture_tables():
  return comparison.summarise(comparison_results.tables())


@pytest.fixture(name='crossed', scope='module')
def fixture_crossed():
  return comparison.summarise(comparison_results.crossed())


def find(rows, **wanted):
  """The only row that has what is wanted."""
  (row,) = [r for r in rows if wanted.items() <= r.items()]
  return row


def test_it_is_json_without_nan(tables, crossed):
  for found in (tables, crossed):
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found


def test_means_and_intervals_are_of_splits_whose_seeds_are_averaged(tables):
  made = comparison_results.tables()[0]
  assert (made['data'], made['method']) == ('emotions', 'none')
  scores = {}
  for t in made['trials']:
    scores.setdefault((t['repeat'], t['fold']), []).append(
      t['scores']['f1_macro']
    )
  means = np.mean([*scores.values()], axis=1)
  cell = find(tables['contexts'][0]['cells'], data='emotions', entry='none')
  assert (cell['num_trials'], cell['num_splits']) == (30, 10)
  assert cell['scores']['f1_macro']['mean'] == pytest.approx(means.mean())
  spread = (1 / 10 + 1) ** 0.5 * means.std(ddof=1)
  assert cell['scores']['f1_macro']['half_width'] == pytest.approx(
    stats.t.ppf(0.975, 9) * spread
  )
  assert cell['plan']['rows'] == 296 and cell['seconds']['train'] == 1


def test_more_seeds_of_the_same_outcome_are_no_more_evidence():
  one = result(method='none', seeds=1)
  three = copy.deepcopy(one)
  three['trials'] += [t | {'seed': s} for t in one['trials'] for s in (1, 2)]
  a, b = (
    comparison.summarise([r])['contexts'][0]['overall'] for r in (one, three)
  )
  assert a[0]['scores']['map'] == pytest.approx(b[0]['scores']['map'])


def test_planted_gains_are_found_and_thresholds_told_apart(tables):
  for context in tables['contexts']:
    told = {
      score: {
        t['entry']
        for t in context['tests']
        if (t['data'], t['reference'], t['score']) == (None, 'none', score)
        and t['p_holm'] < 0.05
        and t['difference'] > 0
      }
      for score in ('f1_macro', 'f1_macro_tuned', 'auc_macro')
    }
    gained = {'ml_ros', 'calibration', 'aubal:l1', 'aubal:relative', 'mlsmote'}
    assert gained <= told['f1_macro'] <= gained | {'random'}
    assert told['f1_macro_tuned'] == told['auc_macro'] == {'aubal:relative'}
    share = {
      row['entry']: row['share']
      for row in context['shares']
      if (row['data'], row['score']) == (None, 'f1_macro')
    }
    assert share['aubal:relative'] == pytest.approx(1 / 3, abs=0.04)
    assert share['calibration'] == pytest.approx(0, abs=0.04)
    assert share['lp_rus'] == pytest.approx(1.2, abs=0.1)  # A loss.
    assert share['remedial'] is None


def test_a_paired_test_is_the_corrected_t_test_of_matched_splits(tables):
  a, b = (
    next(r for r in comparison_results.tables() if r['method'] == method)
    for method in ('ml_ros', 'random')
  )
  splits = {}
  for x, y in zip(a['trials'], b['trials'], strict=True):
    splits.setdefault((x['repeat'], x['fold']), []).append(
      x['scores']['map'] - y['scores']['map']
    )
  d = np.mean([*splits.values()], axis=1)
  t = d.mean() / (d.std(ddof=1) * (1 / 10 + 1) ** 0.5)
  where = {'data': 'emotions', 'reference': 'random', 'score': 'map'}
  found = find(tables['contexts'][0]['tests'], entry='ml_ros', **where)
  assert found['difference'] == pytest.approx(d.mean())
  assert found['p'] == pytest.approx(2 * stats.t.sf(abs(t), 9))
  family = [
    t for t in tables['contexts'][0]['tests'] if where.items() <= t.items()
  ]
  assert len(family) == 9  # Neither random nor none.
  ps = sorted(t['p'] for t in family)
  assert min(t['p_holm'] for t in family) == pytest.approx(min(1, 9 * ps[0]))


def test_trials_are_matched_whatever_their_order_and_number():
  none, other = result(method='none'), result(method='ml_ros', gain=0.05)
  rng = np.random.default_rng(0)
  first = comparison.summarise([none, other])['contexts'][0]['tests']
  mixed = other | {'trials': [*rng.permutation(other['trials'])]}
  assert comparison.summarise([none, mixed])['contexts'][0]['tests'] == first
  # A split that one of the two lacks counts for neither.
  fewer, less = (
    row | {'trials': [t for t in row['trials'] if t['repeat'] != 3]}
    for row in (other, none)
  )
  a, b, c = (
    comparison.summarise(pair)['contexts'][0]['tests']
    for pair in ((none, fewer), (less, other), (less, fewer))
  )
  assert a == b == c != first


def test_rows_are_equal_within_one_percent(tables):
  context = tables['contexts'][0]
  pairs = {
    frozenset((p['entry'], p['reference']))
    for p in context['pairs']
    if p['score'] == 'map'
  }
  assert frozenset(('random', 'ml_ros')) in pairs
  assert frozenset(('none', 'remedial')) in pairs
  assert not any('lp_rus' in pair for pair in pairs)
  for rows, equal in ((1010, True), (1011, False)):
    results = [
      result(method='none', rows=800),
      result(method='random', rows=1000),
      result(method='ml_ros', rows=rows),
    ]
    (context,) = comparison.summarise(results)['contexts']
    test = find(
      context['tests'], entry='ml_ros', reference='random', score='map'
    )
    assert test['equal_rows'] is equal
    assert bool(context['pairs']) is equal


def test_one_split_has_the_seeds_for_observations_and_one_trial_none():
  results = [
    result(method=method, num_splits=1, seeds=4)
    for method in ('none', 'ml_ros')
  ]
  values = [t['scores']['map'] for t in results[0]['trials']]
  (context,) = comparison.summarise(results)['contexts']
  found = find(context['cells'], entry='none')['scores']['map']
  low, high = stats.ttest_1samp(values, 0).confidence_interval()
  assert found['half_width'] == pytest.approx((high - low) / 2)
  for cell in results:
    cell['trials'] = cell['trials'][:1]
  (context,) = comparison.summarise(results)['contexts']
  assert find(context['cells'], entry='none')['scores']['map'] == {
    'mean': values[0],
    'half_width': None,
  }
  test = find(context['tests'], score='f1_macro')
  assert (test['p'], test['p_holm'], test['half_width']) == (None,) * 3
  assert {row['share'] for row in context['shares']} == {None}


def test_scores_that_are_undefined_are_left_out():
  none, other = result(method='none'), result(method='ml_ros')
  for t in none['trials'] + other['trials']:
    t['scores']['auc_macro'] = None
    t['f1_per_label'][1] = None
    t['plan'] |= {'cvir': None}
  other['trials'][0]['scores']['map'] = None
  found = comparison.summarise([none, other])
  (context,) = found['contexts']
  assert 'auc_macro' not in found['scores'] and 'map' in found['scores']
  cell = find(context['cells'], entry='ml_ros')
  assert cell['f1_per_label'][1] is None and cell['plan']['cvir'] is None
  for t in other['trials']:
    t['scores']['map'] = None
  (context,) = comparison.summarise([none, other])['contexts']
  ranks = find(context['ranks'], score='map')
  assert ranks['left_out'] == ['ml_ros'] and ranks['entries'] == ['none']
  assert find(context['overall'], entry='ml_ros')['scores']['map'] == {
    'mean': None,
    'half_width': None,
  }


def test_what_has_no_fraction_is_in_every_context():
  results = [
    result(method='none'),
    result(method='ml_ros', fraction=0.1),
    result(method='ml_ros', fraction=0.5, gain=0.1),
  ]
  contexts = comparison.summarise(results)['contexts']
  assert [c['fraction'] for c in contexts] == [0.1, 0.5]
  assert [c['entries'] for c in contexts] == [['none', 'ml_ros']] * 2
  a, b = (find(c['tests'], score='f1_macro')['difference'] for c in contexts)
  assert b - a == pytest.approx(0.1, abs=0.04)


def test_cells_that_failed_are_left_out_and_named():
  rows = comparison_results.tables()
  rows = [r for r in rows if r['model'] == 'mlp']
  failed = {k: v for k, v in rows.pop(3).items() if k != 'trials'}
  rows.append(failed | {'status': 'failed: ValueError: none is minority'})
  (context,) = comparison.summarise(rows)['contexts']
  assert (failed['data'], failed['method']) == ('emotions', 'lp_rus')
  for row in context['ranks']:
    assert row['left_out'] == ['lp_rus'] and 'lp_rus' not in row['entries']
  overall = find(context['overall'], entry='lp_rus')['scores']
  assert {score['mean'] for score in overall.values()} == {None}
  tests = [t['data'] for t in context['tests'] if t['entry'] == 'lp_rus']
  assert {*tests} == {'yeast', 'birds'}
  assert comparison.summarise([failed])['contexts'] == []
  assert comparison.summarise([]) == {
    'alpha': 0.05,
    'scores': [],
    'contexts': [],
    'effects': [],
  }


def test_ranks(tables):
  row = find(tables['contexts'][0]['ranks'], score='f1_macro')
  best = row['entries'][int(np.argmin(row['average']))]
  assert best == 'calibration' and len(row['ranks']) == 3
  assert np.mean(row['ranks'], axis=0).tolist() == row['average']
  assert row['critical_difference'] == pytest.approx(
    3.219 * (11 * 12 / 18) ** 0.5, rel=1e-3
  )
  one = comparison.summarise([result(method=m) for m in ('none', 'a', 'b')])
  assert one['contexts'][0]['ranks'][0]['friedman'] is None


def test_names_tell_apart_what_differs():
  methods = ('aubal:l1', 'ml_ros', 'random', 'none')
  results = [result(method=m) for m in methods]
  names = comparison.entry_names(results)
  assert [*names.values()] == ['none', 'random', 'aubal:l1', 'ml_ros']
  results += [result(method='aubal:l1', upper=2.5, diversity='content')]
  names = comparison.entry_names(results)
  assert names['aubal:l1', 2.5, 'content'] == 'aubal:l1 ≤2.5 content'
  assert names['aubal:l1', 10.0, 'none'] == 'aubal:l1 ≤10'
  assert names['ml_ros', None, 'none'] == 'ml_ros'


def test_main_effects_hold_the_rest_equal(crossed):
  results = comparison_results.crossed()
  where = {'score': 'f1_macro', 'data': 'faces'}

  def mean(keep):
    return np.mean(
      [t['scores']['f1_macro'] for r in results if keep(r) for t in r['trials']]
    )

  found = find(crossed['effects'], factor='augment_rows', level='all', **where)
  expected = mean(lambda r: r['augment_rows'] == 'all')
  expected -= mean(lambda r: r['augment_rows'] == 'none')
  assert found['difference'] == pytest.approx(expected)
  assert (found['reference'], found['num_held']) == ('none', 9)
  found = find(crossed['effects'], factor='upper', level=10.0, **where)
  expected = mean(lambda r: r['upper'] == 10) - mean(lambda r: r['upper'] == 2)
  assert found['difference'] == pytest.approx(expected)
  assert (found['reference'], found['num_held']) == (2.0, 6)
  found = find(
    crossed['effects'], factor='entry', level='ml_ros', reference='random',
    **where,
  )  # fmt: skip
  expected = mean(lambda r: r['method'] == 'ml_ros')
  expected -= mean(lambda r: r['method'] == 'random')
  assert found['difference'] == pytest.approx(expected)
  assert found['p'] <= found['p_holm'] <= 1


def test_what_has_no_fraction_is_no_evidence_on_fractions():
  results = [
    result(method='none'),
    result(method='ml_ros', fraction=0.1),
    result(method='ml_ros', fraction=0.5, gain=0.1),
  ]
  found = comparison.summarise(results)['effects']
  row = find(found, factor='fraction', score='f1_macro')
  assert row['difference'] == pytest.approx(0.09, abs=0.02)
  assert (row['level'], row['reference'], row['num_held']) == (0.5, 0.1, 1)


def test_nothing_crossed_has_no_effects(tables):
  assert tables['effects'] == []


def test_effects_over_several_data_sets_are_their_mean():
  results = [
    result(data, 'none', kind='images', augment_rows=rows, gain=gain)
    for data in ('a', 'b')
    for rows, gain in (('none', 0.0), ('all', 0.1))
  ]
  found = comparison.summarise(results)['effects']
  a, b, both = (
    find(found, data=d, score='map', level='all') for d in ('a', 'b', None)
  )
  assert both['difference'] == pytest.approx(
    (a['difference'] + b['difference']) / 2
  )


def test_the_csv_has_a_row_for_each_trial_and_each_failure(tmp_path):
  good = result(method='ml_ros', seeds=2)
  bad = {k: v for k, v in result(method='mlsmote').items() if k != 'trials'}
  record = comparison.make_record([good, bad | {'status': 'failed: why, so'}])
  comparison.write_csv(tmp_path / 'compare.csv', record)
  with open(tmp_path / 'compare.csv', encoding='utf-8', newline='') as file:
    rows = [*csv.DictReader(file)]
  assert len(rows) == 21 and [*rows[0]] == [*comparison.FIELDS]
  trial = good['trials'][4]
  assert rows[4]['f1_macro'] == repr(trial['scores']['f1_macro'])
  assert (rows[4]['repeat'], rows[4]['fold']) == ('2', '0')
  assert (rows[4]['rows'], rows[4]['train_seconds']) == ('370', '1.0')
  assert rows[4]['status'] == '' and rows[4]['augment_rows'] == ''
  assert (rows[-1]['method'], rows[-1]['status'], rows[-1]['map']) == (
    'mlsmote',
    'failed: why, so',
    '',
  )
  files.write_json(tmp_path / 'compare.json', record)
  assert files.read_json(tmp_path / 'compare.json') == record
  assert {*trial['scores']} == {*trials.TITLES}


def test_cells_of_before_there_were_shrunk_thresholds_stand_beside_others(
  tmp_path,
):
  rows = [result(method=method) for method in ('none', 'random', 'ml_ros')]
  whole = comparison.make_record(copy.deepcopy(rows))
  for trial in rows[2]['trials']:
    del trial['f1_per_label_shrunk']
    for name in [n for n in trial['scores'] if n.endswith('_shrunk')]:
      del trial['scores'][name]
  record = comparison.make_record(rows)
  (context,) = record['statistics']['contexts']
  cells = {cell['entry']: cell for cell in context['cells']}
  assert cells['ml_ros']['f1_per_label_shrunk'] == []
  assert cells['ml_ros']['scores']['f1_macro_shrunk']['mean'] is None
  (before,) = whole['statistics']['contexts']
  for old, new in zip(before['cells'], context['cells'], strict=True):
    for name in ('f1_macro', 'f1_macro_tuned', 'map'):
      assert old['scores'][name] == new['scores'][name]
  page.write_page(tmp_path / 'compare.html', record)
  assert 'F1 macro, shrunk' in (tmp_path / 'compare.html').read_text()
