"""Tests of matching trials, against SciPy where it has the same."""

import itertools
import random
import statistics

import pytest
from scipy import stats

from aubal_jax.experiments.compare import curves
from aubal_jax.experiments.compare import effects
from aubal_jax.experiments.compare import paired
from aubal_jax.experiments.compare import verdicts


def draw_trials(rng, seeds, splits, mean=0.0, lost=0.0, **more):
  """Trials of some seeds and splits, of which some are lost."""
  trials = []
  for seed, (repeat, fold) in itertools.product(range(seeds), splits):
    scores = {'map': None if rng.random() < lost else rng.gauss(mean, 1)}
    trials.append(
      {
        'seed': seed,
        'repeat': repeat,
        'fold': fold,
        'scores': scores,
        'num_test': 20,
        'num_train': 80,
        'plan': {'rows': 100},
      }
      | more
    )
  rng.shuffle(trials)
  return trials


SPLITS = [*itertools.product(range(2), range(3))]


def test_only_trials_that_match_are_taken():
  rng = random.Random(0)
  for _ in range(40):
    sides = [
      draw_trials(rng, 2, SPLITS, lost=0.4)[: rng.randint(0, 12)] for _ in 'ab'
    ]
    wanted = {}
    for mine, theirs in itertools.product(*sides):
      key = mine['seed'], mine['repeat'], mine['fold']
      a, b = mine['scores']['map'], theirs['scores']['map']
      if key == (theirs['seed'], theirs['repeat'], theirs['fold']) and (
        None not in (a, b)
      ):
        wanted[key] = a - b
    assert paired.differences(*sides, 'map') == wanted
    assert paired.differences(*sides, 'no such score') == {}


def test_seeds_of_one_split_are_observations_as_scipy_has_them():
  rng = random.Random(1)
  for _ in range(20):
    mine, theirs = (draw_trials(rng, 5, [(0, 0)], m) for m in (0.5, 0))
    found = paired.estimate(paired.differences(mine, theirs, 'map'), mine)
    pairs = [
      [sorted((t['seed'], t['scores']['map']) for t in side)]
      for side in (mine, theirs)
    ]
    a, b = ([score for _, score in side[0]] for side in pairs)
    oracle = stats.ttest_rel(a, b)
    assert found.p_value() == pytest.approx(oracle.pvalue, rel=1e-9)
    low, high = oracle.confidence_interval()
    assert found.half_width() == pytest.approx((high - low) / 2, rel=1e-9)


def test_splits_are_observations_and_share_their_training_images():
  rng = random.Random(2)
  for _ in range(20):
    seeds = rng.randint(1, 3)
    mine, theirs = (draw_trials(rng, seeds, SPLITS) for _ in 'ab')
    found = paired.estimate(paired.differences(mine, theirs, 'map'), mine)
    means = []
    for split in SPLITS:
      sides = [
        statistics.fmean(
          t['scores']['map'] for t in side if (t['repeat'], t['fold']) == split
        )
        for side in (mine, theirs)
      ]
      means.append(sides[0] - sides[1])
    assert found.mean == pytest.approx(statistics.fmean(means))
    variance = (1 / 6 + 20 / 80) * statistics.variance(means)
    assert found.variance == pytest.approx(variance)
    assert found.dof == 5
  assert paired.estimate({}, []) is None


def make_cells(rng, data, entries):
  """(data, entry) -> result: some have more rows than others."""
  return {
    (d, e): {
      'trials': draw_trials(
        rng, 3, [(0, 0)], plan={'rows': rng.choice([100, 101, 130])}
      )
    }
    for d, e in itertools.product(data, entries)
  }


def test_every_entry_is_held_against_one():
  rng = random.Random(3)
  entries = ['none', 'random', 'a', 'b', verdicts.AVERAGED]
  for _ in range(20):
    cells = make_cells(rng, 'xy', entries)
    lost = ('x', 'a') if rng.random() < 0.5 else None
    cells.pop(lost, None)
    tests = paired.against(cells, ['x', 'y'], entries, 'map', 'random')
    told = {(t['data'], t['entry']) for t in tests}
    wanted = {(d, e) for d in ('x', 'y', None) for e in entries[2:]}
    assert told == wanted - {lost, (None, 'a') if lost else None}
    for d in ('x', 'y', None):  # Of double compute: a family of its own.
      family = [
        t for t in tests if t['data'] == d and t['entry'] != verdicts.AVERAGED
      ]
      least = min(t['p'] for t in family)
      assert min(t['p_holm'] for t in family) == pytest.approx(
        min(1, least * len(family))
      )
      (alone,) = [
        t for t in tests if t['data'] == d and t['entry'] == verdicts.AVERAGED
      ]
      assert alone['p_holm'] == alone['p']
    for t in tests:
      where = [t['data']] if t['data'] else ['x', 'y']
      ones = [
        statistics.fmean(
          paired.differences(
            cells[d, t['entry']]['trials'], cells[d, 'random']['trials'], 'map'
          ).values()
        )
        for d in where
      ]
      assert t['difference'] == pytest.approx(statistics.fmean(ones))
      assert t['num_better'] == sum(one > 0 for one in ones)
      rows = [
        [
          cells[d, e]['trials'][0]['plan']['rows']
          for e in (t['entry'], 'random')
        ]
        for d in where
      ]
      assert t['equal_rows'] == all(max(r) <= 1.01 * min(r) for r in rows)


def test_pairs_are_compared_where_their_rows_are_as_many():
  rng = random.Random(4)
  for _ in range(20):
    cells = make_cells(rng, 'xyz', 'abc')
    rows = {k: c['trials'][0]['plan']['rows'] for k, c in cells.items()}
    found = paired.pairs(cells, 'xyz', 'abc', ['map'])
    wanted = {}
    for a, b in itertools.combinations('abc', 2):
      size = sum(
        {rows[d, a], rows[d, b]} <= {100, 101} or rows[d, a] == rows[d, b]
        for d in 'xyz'
      )
      wanted |= {(a, b): size} if size else {}
    assert {
      (t['entry'], t['reference']): t['num_data'] for t in found
    } == wanted


def test_what_tuned_thresholds_leave_of_a_gain_that_is_sure():
  rng = random.Random(5)
  for _ in range(30):
    tests = [
      {
        'data': d,
        'entry': 'a',
        'score': s,
        'reference': r,
        'difference': rng.choice([-1, 1]) * rng.random(),
        'half_width': rng.choice([None, 0.3]),
      }
      for d in 'xy'
      for r in ('none', 'random')
      for s in ('f1_macro', 'f1_macro_tuned', 'map')
    ]
    gains = {
      (t['data'], t['score']): t for t in tests if t['reference'] == 'none'
    }
    rows = paired.shares(tests)
    assert [(r['data'], r['score']) for r in rows] == [
      (d, 'f1_macro') for d in 'xy'
    ]
    for row in rows:
      half = gains[row['data'], 'f1_macro']
      tuned = gains[row['data'], 'f1_macro_tuned']['difference']
      sure = half['half_width'] and abs(half['difference']) > 0.3
      assert row['at_half'] == half['difference'] and row['tuned'] == tuned
      assert row['share'] == (tuned / half['difference'] if sure else None)


def test_a_curve_has_the_steps_that_all_trials_tell():
  rng = random.Random(6)
  for _ in range(20):
    cells, held = make_cells(rng, 'xy', ['none', 'a', 'b']), {}
    cells.pop(('y', 'b'))
    for (d, e), cell in cells.items():
      steps = sorted(rng.sample([10, 20, 30], rng.randint(1, 3)))
      for trial in cell['trials']:
        trial['course'] = [(s, rng.random()) for s in steps] + [(40, None)]
        for s, score in trial['course'][:-1]:
          held.setdefault((d, e, s), {})[trial['seed']] = score
    rows = curves.differences(cells, ['x', 'y'], ['none', 'a', 'b'])
    common = [
      s
      for s in (10, 20, 30)
      if all((d, e, s) in held for d in 'xy' for e in ('a', 'none'))
    ]
    assert [(r['entry'], r['step']) for r in rows] == [('a', s) for s in common]
    for row in rows:
      wanted = statistics.fmean(
        held[d, 'a', row['step']][k] - held[d, 'none', row['step']][k]
        for d in 'xy'
        for k in range(3)
      )
      assert row['difference'] == pytest.approx(wanted)


def make_crossed(rng, bad):
  """Cells of two entries, three fractions and two ways to augment."""
  return [
    {
      'data': d,
      'model': 'm',
      'entry': e,
      'method': e,
      'fraction': f,
      'share': None,
      'augment_rows': w,
      'upper': None,
      'diversity': None,
      'lacks': ('augment_rows',) if e == 'none' else (),
      'trials': draw_trials(rng, 3, [(0, 0)]),
    }
    for d, e, f, w in itertools.product(
      'xy', ['none', 'a'], [0.5, 1.0], ['added', 'all']
    )
    if (d, e, f, w) != bad
  ]


def test_a_main_effect_is_the_mean_over_all_that_is_held_equal():
  rng = random.Random(7)
  for turn in range(12):
    bad = ('x', 'a', 0.5, 'all') if turn % 2 else None
    cells = make_crossed(rng, bad)
    trials = {
      (c['data'], c['entry'], c['fraction'], c['augment_rows']): sorted(
        (t['seed'], t['scores']['map']) for t in c['trials']
      )
      for c in cells
    }
    rows = effects.main_effects(cells, ['map'])
    told = {
      (r['factor'], r['level'], r['reference'], r['data']): r for r in rows
    }
    assert {*told} == {
      (*f, d)
      for d in ('x', 'y', None)
      for f in (
        ('entry', 'a', 'none'),
        ('augment_rows', 'all', 'added'),
        ('fraction', 1.0, 0.5),
      )
    }
    for (factor, level, reference, d), row in told.items():
      place = {'entry': 1, 'fraction': 2, 'augment_rows': 3}[factor]
      means, sizes = [], []
      for one in [d] if d else 'xy':
        pairs = []
        for key in trials:
          other = (*key[:place], reference, *key[place + 1 :])
          if key[0] == one and key[place] == level and other in trials:
            if factor == 'augment_rows' and key[1] == 'none':
              continue  # It augments no row whatever is said.
            pairs += [
              a - b
              for (_, a), (_, b) in zip(trials[key], trials[other], strict=True)
            ]
        means.append(statistics.fmean(pairs))
        sizes.append(len(pairs) // 3)
      assert row['difference'] == pytest.approx(statistics.fmean(means))
      assert row['num_held'] == min(sizes)


def test_one_factor_alone_has_no_main_effect():
  rng = random.Random(8)
  cells = [
    c
    for c in make_crossed(rng, None)
    if c['fraction'] == 1 and c['augment_rows'] == 'all'
  ]
  assert effects.main_effects(cells, ['map']) == []
