"""Small problems are solved in NumPy, and by few programs."""

import itertools

import jax
import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax.balancing import arrays
from aubal_jax.balancing import certificate
from aubal_jax.balancing import incidence
from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import iterations
from aubal_jax.balancing import projected_gradient
from aubal_jax.balancing.rules import OBJECTIVES as ALL
from tests.makers import compiled
from tests.makers import problems

OBJECTIVES = sorted(ALL)
# One of each way to compile; 'lbfgs' is held against 'ipm' in test_solve.
FOUND_SOON = (
  ('l1', 'adam', None),
  ('l2', 'ipm', 600),
  ('log', 'newton', None),
  ('relative', 'adam', None),
)


def drawn(seed, objective='l1', **rules):
  settings = {'lam': 3.0, 'lower': 0.5, 'upper': 4.0, 'image_cost': 0.01}
  return problems.instance(seed, 30, 6, objective=objective, **settings | rules)


def somewhere(instance, rng):
  """Growth float64[S] in the box, and a dual float64[L + 1]."""
  growth = rng.uniform(instance.least, instance.most) / instance.start
  u = rng.uniform(-1, 1, len(instance.weights) + 1)
  return growth, np.where(instance.penalty == 'log', -np.abs(u) * 20, u)


@pytest.mark.parametrize('most_dense', [0, 1 << 12])
def test_sums_are_those_of_the_matrix(most_dense, monkeypatch, x64):
  monkeypatch.setattr(incidence, 'MOST_DENSE_ON_HOST', most_dense)
  for seed in range(20):
    rng = np.random.default_rng(seed)
    found = problems.instance(seed, int(rng.integers(8, 40)), 7)
    matrix = found.patterns.toarray()
    tables = incidence.on_host(found.patterns, with_pairs=True)
    assert (tables.dense is None) == (most_dense == 0)
    v, y = rng.normal(size=7), rng.normal(size=len(found))
    np.testing.assert_allclose(tables.over_labels(v), matrix @ v, atol=1e-12)
    np.testing.assert_allclose(tables.over_labelsets(y), y @ matrix, atol=1e-12)
    entries = incidence.padded_entries(found.patterns, 64, 8)
    wider = np.append(y, np.zeros(64 - len(y)))
    np.testing.assert_allclose(
      np.asarray(entries.over_labels(np.append(v, 9.0)))[: len(y)],
      matrix @ v,
      atol=1e-12,
    )
    np.testing.assert_allclose(
      entries.over_labelsets(wider), np.append(y @ matrix, 0), atol=1e-12
    )
    np.testing.assert_allclose(
      tables.pair_table(y), (matrix.T * y) @ matrix, atol=1e-12
    )


@pytest.mark.parametrize('objective', OBJECTIVES)
def test_numpy_and_jax_certify_alike(objective, x64):
  certify = jax.jit(certificate.certify_within)
  for seed in range(4):
    budget = 600 if seed % 2 else None
    found = drawn(seed, objective, budget=budget, empty=3)
    growth, u = somewhere(found, np.random.default_rng(seed))
    host, device = found.on_host(), found.problem()
    assert host.problem.xp is np and device.problem.xp is not np
    mine = arrays.compiled(certificate.certify_within)(
      host.problem, host.put(growth), u
    )
    other = certify(device.problem, device.put(growth), u)
    np.testing.assert_allclose(
      host.take(mine[0]), device.take(other[0]), rtol=1e-12
    )
    for name, figure in mine[2].items():
      assert figure == pytest.approx(float(other[2][name]), rel=1e-9), name


@pytest.mark.parametrize(
  ('objective', 'optimizer', 'budget'),
  [
    pytest.param(*case, marks=() if case in FOUND_SOON else pytest.mark.long)
    for case in itertools.product(
      OBJECTIVES, ('adam', 'ipm', 'newton', 'lbfgs'), (None, 600)
    )
  ],
)
def test_numpy_and_jax_find_the_same(
  objective, optimizer, budget, monkeypatch, x64
):
  found = drawn(4, objective, budget=budget)
  search = iterations.Search(optimizer=optimizer, tol=1e-7)
  in_numpy = iterations.run(found, search)
  again = iterations.run(found, search)
  assert in_numpy.where.problem.xp is np
  assert (in_numpy.growth == again.growth).all()
  monkeypatch.setattr(iterations, 'MOST_ON_HOST', 0)
  in_jax = iterations.run(found, search)
  assert in_jax.where.problem.xp is not np
  assert max(in_numpy.gap, in_jax.gap) <= 1e-7
  unit = 2e-7 * found.unit(in_jax.value)
  assert in_numpy.value + in_numpy.cost == pytest.approx(
    in_jax.value + in_jax.cost, abs=unit
  )


@pytest.mark.parametrize(
  ('objective', 'name', 'budget', 'as_matrix'),
  [
    pytest.param(
      *(*case, as_matrix), marks=() if is_short else pytest.mark.long
    )
    for case in (
      ('l1', 'adam', 600),
      ('relative', 'nesterov', None),
      ('l2', 'adam', None),
      ('log', 'adam', None),
      ('prevalence', 'adam', None),
    )
    for as_matrix in (True, False)
    for is_short in [as_matrix or case[0] == 'l1']
  ],
)
def test_padding_changes_no_first_order_step(
  objective, name, budget, as_matrix, x64, monkeypatch
):
  if not as_matrix:
    monkeypatch.setattr(instance_lib, 'PADDED', ())
  for seed in range(3):
    found = drawn(seed, objective, budget=budget)
    growth, _ = somewhere(found, np.random.default_rng(seed))
    ends = []
    for where in (found.padded(), found.problem()):
      state = projected_gradient.init(name, np.asarray(where.put(growth)))
      state = projected_gradient.run_chunk(
        where.problem, state, 0.1, 0.5, 1.0, 7, name=name, relaxation='huber',
        has_budget=budget is not None,
      )  # fmt: skip
      ends.append(where.take(state.growth))
    np.testing.assert_allclose(*ends, rtol=1e-9)
    assert not np.allclose(ends[0], growth)


@pytest.mark.parametrize('name', projected_gradient.OPTIMIZERS)
def test_optimizers_begin_with_zeros(name, x64):
  variant = projected_gradient.OPTIMIZERS[name]
  growth = np.linspace(1.0, 2.0, 5)
  expected = variant.transform(variant.learning_rate).init(growth)
  found = projected_gradient.init(name, growth).inner
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for mine, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
    assert mine.dtype == other.dtype and mine.shape == other.shape
    assert variant.searching or (mine == np.asarray(other)).all()


def tables(number):
  """Tables below 1,000 labelsets and 100 labels, all of different size."""
  for seed in range(number):
    rng = np.random.default_rng(seed)
    num_labels = 3 + 96 * seed // (number - 1)
    num_rows = int(40 * 20 ** rng.random())
    yield (rng.random((num_rows, num_labels)) < 2.5 / num_labels).astype(int)


@pytest.mark.parametrize(('optimizer', 'most'), [('adam', 3), ('ipm', 0)])
def test_thirty_tables_are_solved_by_few_programs(optimizer, most):
  def balance_all():
    sizes = set()
    for labels in tables(30):
      _, found = aubal.balance(labels, optimizer=optimizer)
      assert found.converged
      sizes.add((len(found.counts), labels.shape[1]))
    assert len(sizes) == 30

  assert len(compiled.programs_of(balance_all)) <= most


def test_sizes_of_programs_hold_what_is_said():
  assert len(instance_lib.PADDED) <= 3
  places, labels = instance_lib.PADDED[-1]
  assert places >= 1000 and labels >= 100
