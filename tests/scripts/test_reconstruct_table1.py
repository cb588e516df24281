"""The joint distribution with Table I's marginals."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

pytest.importorskip('scipy')
from scipy import optimize

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOINT = ROOT / 'aubal_jax/datasets/drawn/table1_joint.json'

# Table I of arXiv 2003.08751, column by column as printed there: AU01, AU02,
# AU04, AU06, AU12, AU15, AU20, AU25, images.
TABLE = {
  'AffWild': [47548, 2271, 32387, 9290, 22964, 1537, 3490, 7463, 232842],
  'EmotioNet': [589, 0, 676, 0, 0, 0, 0, 1780, 20160],
  'CK+': [2964, 1875, 3753, 2174, 2475, 1654, 1406, 5359, 10724],
  'Actor Study': [11079, 8553, 11393, 6991, 7798, 2115, 4704, 13573, 58825],
}
NON_AUG = [62180, 12699, 48209, 18455, 33237, 5306, 9600, 28175, 322551]
AUG = [62874, 24754, 48365, 33091, 35417, 17748, 25681, 35416, 378041]


def _script():
  path = ROOT / 'scripts' / 'reconstruct_table1.py'
  spec = importlib.util.spec_from_file_location('reconstruct_table1', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


script = _script()


def _read(path):
  table = json.loads(path.read_text())
  patterns = np.array([[int(b) for b in row[0]] for row in table['labelsets']])
  counts = np.array([row[1] for row in table['labelsets']]).T
  additions = np.array([row[2] for row in table['labelsets']])
  return table, patterns, counts, additions


@pytest.fixture(scope='module', params=['shipped', 'seed 0', 'seed 1'])
def joint(request, tmp_path_factory):
  if request.param == 'shipped':
    return _read(JOINT)
  path = tmp_path_factory.mktemp('joint') / 'joint.json'
  seed = request.param.split()[1]
  assert script.main([f'--seed={seed}', f'--out={path}']) == 0
  return _read(path)


def _with_images(patterns, counts):
  return [*(counts @ patterns), counts.sum()]


def test_marginals_of_every_source_are_table1s(joint):
  table, patterns, counts, _ = joint
  assert table['sources'] == list(TABLE)
  for source, row in zip(TABLE.values(), counts, strict=True):
    assert _with_images(patterns, row) == source
  assert _with_images(patterns, counts.sum(axis=0)) == NON_AUG
  assert (counts >= 0).all()


def test_additions_give_the_aug1_column_within_growth_1_to_10(joint):
  _, patterns, counts, additions = joint
  total = counts.sum(axis=0)
  assert _with_images(patterns, total + additions) == AUG
  assert additions.sum() == 55490
  assert (additions >= 0).all()
  assert (additions <= 9 * total).all()
  assert additions[~patterns.any(axis=1)].sum() == 0


def _best_by_linear_programme(patterns, total):
  """Least sum |z - mean z| over growth in [1, 10], by split deviations."""
  labelled = patterns.any(axis=1)
  rows, n = patterns[labelled], total[labelled]
  a = ((rows - rows.mean(axis=1, keepdims=True)) * n[:, None]).T
  result = optimize.linprog(
    np.concatenate([np.zeros(len(n)), np.ones(16)]),
    A_eq=np.hstack([a, -np.eye(8), np.eye(8)]),
    b_eq=np.zeros(8),
    bounds=[(1, 10)] * len(n) + [(0, None)] * 16,
  )
  return result.fun


def test_aug1_is_an_optimum_but_for_the_rounding(joint):
  # AU12 and AU25 sit 1.25 and 2.25 images from the mean, because counts are
  # whole: (1 - 1/3) (1.25 + 2.25) = 2.333 is what that can cost.
  _, patterns, counts, additions = joint
  z = (counts.sum(axis=0) + additions) @ patterns
  reached = np.abs(z - z.mean()).sum()
  assert reached == 80805
  best = _best_by_linear_programme(patterns, counts.sum(axis=0))
  assert reached - 2.334 <= best <= reached + 1e-6
  assert script.best_value(patterns, counts.sum(axis=0)) == pytest.approx(best)


def test_it_looks_like_data_not_like_a_vertex(joint):
  _, patterns, counts, _ = joint
  total = counts.sum(axis=0)
  assert 100 <= (total > 0).sum() <= 200
  assert (total > 0).all()
  assert len(np.unique(patterns, axis=0)) == len(patterns)
  rates = total @ patterns / total.sum()
  pair = (patterns * total[:, None]).T @ patterns / total.sum()
  lift = pair / np.outer(rates, rates)
  names = script.action_units.CODES
  for a, b in (('AU01', 'AU02'), ('AU06', 'AU12')):
    assert lift[names.index(a), names.index(b)] > 1.5


def test_build_is_deterministic_and_seeded():
  one, again, other = script.build(5), script.build(5), script.build(6)
  for x, y in zip(one, again, strict=True):
    np.testing.assert_array_equal(x, y)
  assert one[1].shape != other[1].shape or (one[1] != other[1]).any()


def test_fit_meets_every_demand_and_stays_near_the_prior():
  patterns = script.all_patterns()
  q = script.prior(patterns, np.random.default_rng(0))
  n, additions = script.fit(patterns, q)
  for source, row in zip(TABLE.values(), n, strict=True):
    np.testing.assert_allclose(_with_images(patterns, row), source, atol=1e-4)
  np.testing.assert_allclose(
    _with_images(patterns, n.sum(axis=0) + additions), AUG, atol=1e-4
  )
  assert ((n > 0) == (q > 0)).all()


def test_check_sees_a_wrong_count():
  patterns, counts, additions = script.build(0)
  assert all(found == wanted for _, found, wanted in
             script.check(patterns, counts, additions))  # fmt: skip
  counts[0, 1] += 1
  wrong = [found != wanted for _, found, wanted in
           script.check(patterns, counts, additions)]  # fmt: skip
  assert wrong[:4] == [True, True, True, True]


def test_file_appears_whole_and_alone(tmp_path, capsys):
  out = tmp_path / 'joint.json'
  out.write_text('old')
  assert script.main(['--seed=0', f'--out={out}']) == 0
  assert [p.name for p in tmp_path.iterdir()] == ['joint.json']
  printed = capsys.readouterr().out
  assert 'WRONG' not in printed
  assert '80,805.000' in printed
  # The shipped file is seed 0's; another SciPy may round another way.
  fresh, shipped = (
    {tuple(p): c for p, c in zip(t[1].tolist(), t[2].T, strict=True)}
    for t in (_read(out), _read(JOINT))
  )
  none = np.zeros(4, int)
  for pattern in {*fresh, *shipped}:
    difference = fresh.get(pattern, none) - shipped.get(pattern, none)
    assert np.abs(difference).max() <= 1


def test_help_is_quick_and_names_the_flags(capsys):
  with pytest.raises(SystemExit) as stop:
    script.main(['--help'])
  assert stop.value.code == 0
  assert '--seed' in capsys.readouterr().out
