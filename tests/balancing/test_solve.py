import itertools

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

import aubal_jax as aubal
from aubal_jax.balancing import descent
from aubal_jax.balancing import incidence
from aubal_jax.balancing import iterations
from aubal_jax.balancing import newton
from aubal_jax.balancing import solve as solve_lib
from aubal_jax.balancing.box import integer_box
from aubal_jax.balancing.instance import Instance
from aubal_jax.balancing.instance import make_instance
from aubal_jax.balancing.rules import OBJECTIVES
from aubal_jax.balancing.rules import Rules
from aubal_jax.experiments.solvers import rivals
from tests.makers import compiled
from tests.makers import covering
from tests.makers import problems

_SETS, _LABELS = 24, 6  # Fixed shapes, so that nothing compiles anew.
# Each objective, and each way to take a step: others differ in what optax does.
MET_SOON = (
  *(('sgd', 'l1'), ('nesterov', 'l2'), ('adam', 'relative')),
  *(('amsgrad', 'log'), ('lbfgs', 'prevalence'), ('pdhg', 'l1')),
  *(('newton', 'prevalence'), ('ipm', 'relative')),
)


@hypothesis.settings(max_examples=40)
@hypothesis.given(
  seed=st.integers(0, 10_000),
  lam=st.sampled_from([0.0, 1e-3, 1.0, 70.0, 1e6]),
  name=st.sampled_from(sorted(OBJECTIVES)),
  bounds=st.sampled_from([(1.0, 10.0), (0.3, 10.0), (0.5, 1.0), 'each']),
  image_cost=st.sampled_from([0.0, 1e-4, 0.5]),
  spent=st.sampled_from([None, 0.02, 0.3, 1.0]),
  exactly=st.booleans(),
  uneven=st.booleans(),
  blocked=st.booleans(),
  optimizer=st.sampled_from(['ipm', 'newton']),
)
def test_the_certificate_agrees_with_a_solver_of_others(
  seed, lam, name, bounds, image_cost, spent, exactly, uneven, blocked,
  optimizer,
):  # fmt: skip
  # Clarabel: an interior-point solver of quadratic and exponential cones.
  patterns, counts = problems.patterns_and_counts(seed, _SETS, _LABELS)
  patterns = np.vstack([patterns, np.zeros((1, _LABELS), np.uint8)])
  counts = np.append(counts, 17)
  rng = np.random.default_rng(seed)
  lower, upper = bounds if bounds != 'each' else (
    rng.uniform(0.2, 1.0, len(counts)), rng.uniform(1.0, 9.0, len(counts))
  )  # fmt: skip
  target = rng.dirichlet(np.full(_LABELS, 5.0)) if uneven else None
  box = integer_box(
    counts[:-1], *(np.broadcast_to(b, len(counts))[:-1] for b in (lower, upper))
  )
  fewest, largest = box[0].sum() + 17, box[1].sum() + 17
  images = spent and int(fewest + spent * (largest - fewest))
  blocks = None
  if blocked and name != 'prevalence':
    blocks = problems.blocks_of(rng, _LABELS)
  rules = {
    'blocks': blocks,
    'lam': lam, 'lam_images': None, 'lower': lower, 'upper': upper,
    'objective': name, 'target': target, 'image_cost': image_cost,
    'budget': images, 'budget_exactly': exactly and images is not None,
  }  # fmt: skip
  found = aubal.solve(patterns, counts, optimizer=optimizer, tol=1e-7, **rules)
  instance = make_instance(patterns, counts, Rules(**rules))
  for tol in (1e-10, 1e-6):  # Too fine for some, where it makes no progress.
    answer = rivals.RIVALS['clarabel'](instance, tol=tol)
    if answer.status.endswith('Solved'):
      break
  best = instance.value(answer.growth * instance.start)
  best += instance.cost(answer.growth * instance.start)
  unit = instance.unit(best)
  # Clarabel's own point may break a rule by its tolerance.
  assert found.lower_bound_priced <= best + 1e-5 * unit
  assert found.value + found.cost >= best - 1e-5 * unit
  assert found.value + found.cost <= best + 1e-5 * unit
  if images is not None:
    total = (found.growth * counts).sum()
    assert total <= images * (1 + 1e-9)
    assert found.images_after <= images
    if exactly:
      assert total == pytest.approx(images, rel=1e-9)
      assert found.images_after == images


def is_taken(name, objective):
  return name != 'pdhg' or objective not in ('l2', 'log')


@pytest.mark.parametrize('objective', ['l2', 'log'])
def test_pdhg_takes_sums_of_absolute_values_alone(objective):
  assert not is_taken('pdhg', objective)
  with pytest.raises(ValueError, match="optimizer must not be 'pdhg'"):
    aubal.solve(np.eye(2), [1, 2], optimizer='pdhg', objective=objective)


@pytest.mark.parametrize(
  ('name', 'objective'),
  [
    pytest.param(*pair, marks=() if pair in MET_SOON else pytest.mark.long)
    for pair in itertools.product(solve_lib.VARIANTS, OBJECTIVES)
    if is_taken(*pair)
  ],
)
def test_every_variant_meets_the_gap_and_agrees(name, objective):
  for seed, images in ((0, None), (1, 700)):
    patterns, counts = problems.patterns_and_counts(seed, _SETS, _LABELS)
    settings = {
      'lam_images': None, 'image_cost': 0.0, 'tol': 1e-6, 'budget': images,
      'objective': objective,
    }  # fmt: skip
    exact = aubal.solve(patterns, counts, optimizer='ipm', **settings)
    found = aubal.solve(patterns, counts, optimizer=name, **settings)
    assert found.converged and found.gap <= 1e-6
    unit = max(1.0, abs(exact.value))
    if objective == 'log':
      unit = (patterns.T @ counts).mean()
    assert abs(found.value - exact.value) <= (found.gap + exact.gap) * unit
    assert found.trace['gap'][-1] == found.gap
    assert (np.diff(found.trace['lower_bound']) >= 0).all()
    lengths = {len(column) for column in found.trace.values()}
    assert lengths == {len(found.trace['step'])}
    if objective == 'l1':
      z = patterns.T @ (counts * found.growth)
      level = np.abs(z - z.mean()).sum() + 70 * found.growth.var()
      assert found.value == pytest.approx(level, rel=1e-12)


@pytest.mark.parametrize('name', ['adam', 'lbfgs', 'pdhg', 'newton', 'ipm'])
def test_at_a_tight_tolerance_variants_agree_in_growth(name):
  patterns, counts = problems.patterns_and_counts(2, _SETS, _LABELS)
  settings = {'lam_images': None, 'tol': 1e-8}
  exact = aubal.solve(patterns, counts, optimizer='newton', **settings)
  found = aubal.solve(patterns, counts, optimizer=name, **settings)
  assert found.gap <= 1e-8
  np.testing.assert_allclose(found.growth, exact.growth, atol=1e-3)


def of_devices(monkeypatch, devices, **settings):
  """Returns the `Solution` of a problem on some devices; None: on one."""
  monkeypatch.setattr(incidence, 'MOST_DENSE', 0)
  patterns, counts = problems.patterns_and_counts(4, 40, _LABELS)
  settings['lam_images'] = None
  return aubal.solve(patterns, counts, devices=devices, **settings)


@pytest.mark.parametrize(
  ('name', 'program'),
  [
    ('adam', 'jit(run_chunk)'),
    pytest.param('pdhg', 'jit(run_chunk)', marks=pytest.mark.long),
    pytest.param('newton', 'jit(step)', marks=pytest.mark.long),
  ],
)
def test_four_devices_take_the_steps_of_one(name, program, monkeypatch):
  settings = {
    'optimizer': name, 'max_steps': 200, 'polish': False, 'tol': 1e-9,
    'blocks': [(2, 1.0), (_LABELS - 2, 0.5)],
  }  # fmt: skip
  one = of_devices(monkeypatch, None, **settings)
  found = []
  programs = compiled.programs_of(
    lambda: found.append(of_devices(monkeypatch, jax.devices()[:4], **settings))
  )
  (four,) = found
  assert four.trace['step'] == one.trace['step'] and len(one.trace['step']) > 2
  assert abs(one.growth - 1).max() > 0.1
  np.testing.assert_allclose(four.growth, one.growth, rtol=1e-9)
  assert programs.count(program) == 1


@pytest.mark.long
@pytest.mark.parametrize('name', solve_lib.VARIANTS)
def test_four_devices_give_the_answer_of_one(name, monkeypatch):
  budget = 1200 if name == 'ipm' else None
  one, four = (
    of_devices(monkeypatch, devices, optimizer=name, tol=1e-7, budget=budget)
    for devices in (None, jax.devices()[:4])
  )
  assert one.converged and four.converged
  assert four.value == pytest.approx(one.value, rel=1e-6)
  np.testing.assert_allclose(four.growth, one.growth, atol=2e-3)


@pytest.mark.long
def test_settled_labelsets_drop_out_and_the_answer_stays(monkeypatch):
  monkeypatch.setattr(incidence, 'MOST_DENSE', 0)
  monkeypatch.setattr(iterations, 'MOST_ON_HOST', 0)  # As of large problems.
  patterns, counts = problems.patterns_and_counts(6, 600, 12)
  settings = {'lam': 0.1, 'lam_images': None, 'tol': 1e-5, 'upper': 1.3}
  plain = aubal.solve(patterns, counts, **settings)
  sizes = []
  only = Instance.only

  def seen(self, kept, growth):
    sizes.append(int(kept.sum()))
    return only(self, kept, growth)

  monkeypatch.setattr(Instance, 'only', seen)
  monkeypatch.setattr(descent, 'WORTH_SHRINKING', 64)
  found = aubal.solve(patterns, counts, **settings)
  assert sizes and max(sizes) <= 300
  assert found.value == pytest.approx(plain.value, rel=2e-5)
  assert found.lower_bound <= plain.value


def test_a_polish_can_be_left_out():
  patterns, counts = problems.patterns_and_counts(7, _SETS, _LABELS)
  settings = {'lam_images': None, 'optimizer': 'sgd', 'tol': 1e-9}
  raw = aubal.solve(patterns, counts, polish=False, **settings)
  assert not raw.polished and raw.num_steps % 100 == 0
  found = aubal.solve(patterns, counts, **settings)
  assert found.polished and found.gap <= 1e-9 < raw.gap


@pytest.mark.parametrize('optimizer', ['adam', 'ipm'])
def test_the_price_of_an_image_is_the_slope_of_the_optimum(optimizer):
  patterns, counts = problems.patterns_and_counts(3, _SETS, _LABELS)
  settings = {
    'lam_images': None, 'image_cost': 0.0, 'tol': 1e-9, 'optimizer': optimizer,
  }  # fmt: skip
  free = aubal.solve(patterns, counts, **settings)
  images = (counts.sum() + free.images_after) // 2
  middle = aubal.solve(patterns, counts, budget=images, **settings)
  around = [
    aubal.solve(patterns, counts, budget=images + d, **settings).value
    for d in (-1, 1)
  ]
  assert around[1] - 1e-6 <= middle.value <= around[0] + 1e-6
  low, high = middle.value - around[1], around[0] - middle.value
  assert low - 1e-4 <= middle.image_price <= high + 1e-4
  assert middle.image_price > 0.1
  free = aubal.solve(patterns, counts, budget=10**6, **settings)
  assert free.image_price == pytest.approx(0, abs=1e-6)


def test_a_budget_can_be_a_wanted_growth():
  patterns, counts = problems.patterns_and_counts(3, _SETS, _LABELS)
  found = aubal.solve(patterns, counts, budget_growth=1.5, budget_exactly=True)
  assert found.budget == found.images_after == round(1.5 * counts.sum())
  fewer = aubal.solve(
    patterns, counts, lower=0.2, budget_growth=0.5, objective='relative'
  )
  assert fewer.images_after <= round(0.5 * counts.sum())


def test_a_target_other_than_uniform_is_met():
  patterns = np.eye(3, dtype=np.uint8)
  counts = np.array([100, 80, 50])
  found = aubal.solve(
    patterns, counts, lam=0.0, target=[6, 3, 1], lower=0.1, budget=230,
    budget_exactly=True, optimizer='newton',
  )  # fmt: skip
  np.testing.assert_array_equal(found.counts, [138, 69, 23])
  # Shares of the images: 5 of 10 images without a label are not to be moved.
  found = aubal.solve(
    [[1, 0], [0, 1], [0, 0]], [10, 10, 20], objective='prevalence', lam=0.0,
    target=[0.5, 0.25], optimizer='newton',
  )  # fmt: skip
  # b = (20 + a + b) / 4 and a = (20 + a + b) / 2: a = 40, b = 20.
  np.testing.assert_array_equal(found.counts, [40, 20, 20])


def test_the_log_objective_evens_out_ratios():
  # Two classes of their own: the product of both counts is largest, within a
  # budget, where both are equal.
  found = aubal.solve(
    np.eye(2), [90, 10], objective='log', lam=0.0, lower=0.1, budget=100,
    optimizer='newton',
  )  # fmt: skip
  np.testing.assert_array_equal(found.counts, [50, 50])


@pytest.mark.parametrize('name', solve_lib.RELAXATIONS)
def test_every_relaxation_serves(name):
  patterns, counts = problems.patterns_and_counts(5, _SETS, _LABELS)
  found = aubal.solve(patterns, counts, relaxation=name)
  assert found.converged


def test_whole_counts_keep_the_box_and_lose_little():
  patterns, counts = problems.patterns_and_counts(8, _SETS, _LABELS)
  found = aubal.solve(patterns, counts, lower=0.5, upper=3.3)
  assert found.counts.dtype == np.int64
  assert (found.counts >= np.ceil(0.5 * counts)).all()
  assert (found.counts <= np.floor(3.3 * counts)).all()
  np.testing.assert_array_equal(
    found.class_counts_after, patterns.T.astype(int) @ found.counts
  )
  assert found.rounded_value >= found.lower_bound - 1e-9
  assert found.rounded_gap * max(1, abs(found.value)) < counts.max()


def test_copying_every_image_changes_no_growth():
  patterns, counts = problems.patterns_and_counts(9, _SETS, _LABELS)
  settings = {'optimizer': 'newton', 'tol': 1e-10, 'lam_images': 1000}
  once = aubal.solve(patterns, counts, **settings)
  twice = aubal.solve(patterns, 2 * counts, **settings)
  np.testing.assert_allclose(once.growth, twice.growth, atol=1e-4)
  assert twice.lam_effective == 2 * once.lam_effective


def test_the_price_of_an_image_breaks_ties():
  # a x 100, b x 60, ab x 1000 at lam 0: b must grow by 40, and with it both
  # ways of doing so are as even: 6,300 images, or the 1,200 that are needed.
  found = aubal.solve(
    [[1, 0], [0, 1], [1, 1]], [100, 60, 1000], lam=0.0, tol=1e-9,
    optimizer='newton',
  )  # fmt: skip
  assert found.images_after == 1200
  assert found.counts.tolist() == [100, 100, 1000]


def test_the_empty_labelset_and_absent_classes_take_no_part():
  patterns, counts = problems.patterns_and_counts(10, _SETS, _LABELS)
  plain = aubal.solve(patterns, counts, lam_images=None)
  wider = np.hstack([patterns, np.zeros((_SETS, 1), np.uint8)])
  wider = np.vstack([np.zeros((1, _LABELS + 1), np.uint8), wider])
  found = aubal.solve(wider, np.append(5000, counts), lam_images=None)
  assert found.counts[0] == 5000 and found.growth[0] == 1
  assert found.absent.tolist() == [_LABELS]
  np.testing.assert_array_equal(found.counts[1:], plain.counts)
  assert found.value == pytest.approx(plain.value, rel=1e-12)


def test_sparse_patterns_and_any_order_give_the_same():
  patterns, counts = problems.patterns_and_counts(11, _SETS, _LABELS)
  plain = aubal.solve(patterns, counts)
  found = aubal.solve(sparse.csr_array(patterns), counts)
  np.testing.assert_array_equal(found.counts, plain.counts)
  found = aubal.solve(patterns[::-1], counts[::-1])
  assert found.value == pytest.approx(plain.value, rel=2e-5, abs=2e-5)


HARD_CASES = (
  ([[1]], [7], {}, 0.0),  # One label is always at the mean.
  ([[1, 1]], [7], {}, 0.0),  # Constant and duplicate columns.
  ([[1, 0]], [7], {}, 0.0),  # A class without a positive is left out.
  ([[0, 0]], [7], {}, 0.0),  # Only the empty labelset.
  (np.zeros((0, 3)), [], {}, 0.0),  # An empty table.
  ([[1, 0], [0, 1]], [4, 1], {'upper': 1.0}, 3.0),  # Nothing may grow.
  ([[1, 0], [0, 1]], [4, 1], {'lam': 1e12}, 3.0),  # Nothing pays.
  ([[1, 0], [0, 1]], [4, 1], {'lam': 0.0}, 0.0),
  ([[1, 0], [0, 1]], [10**6, 1], {'lam': 0.0}, 10**6 - 10),
  ([[1, 0], [0, 1]], [1, 1], {}, 0.0),
  ([[1, 0], [0, 1]], [4, 0], {}, 0.0),  # Only one class is left.
)


@pytest.mark.parametrize(
  ('case', 'optimizer'),
  covering.product(HARD_CASES, ['adam', 'pdhg', 'newton', 'ipm'], strength=1),
)
def test_hard_cases_have_right_answers(case, optimizer):
  patterns, counts, settings, value = case
  found = aubal.solve(
    patterns, counts, **{'lam_images': None, 'optimizer': optimizer} | settings
  )
  assert found.value == pytest.approx(value, abs=1e-3, rel=1e-5)
  assert found.converged


@pytest.mark.parametrize('lam', [1e12, 1e16, 1e18, 1e20, 1e24])
def test_a_huge_lam_is_solved_and_certified_or_not_at_all(lam):
  # Uneven growth is out of the question; even growth of .1 is the best there
  # is: class counts 450, 150, 10 of a mean 203.33 are .1 of 493.33 away.
  found = aubal.solve(
    [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]],
    [400, 100, 50, 10],
    lam=lam,
    lam_images=None,
    lower=0.1,
    image_cost=0.0,
    optimizer='newton',
  )
  assert found.lower_bound <= 49.334
  assert found.value >= 49.33
  if found.converged:
    assert found.value == pytest.approx(49.3333, abs=1e-2)


def test_where_newton_would_not_fit_it_is_not_tried(monkeypatch):
  patterns, counts = problems.patterns_and_counts(3, _SETS, _LABELS)
  monkeypatch.setattr(newton, 'MOST_PAIRS', 10)
  settings = {'lam_images': None, 'tol': 1e-12}
  found = aubal.solve(patterns, counts, **settings)
  assert not found.polished and not found.converged
  with pytest.raises(ValueError, match="take 'adam'"):
    aubal.solve(patterns, counts, optimizer='newton', **settings)


def test_running_out_of_steps_is_said_and_honest():
  patterns, counts = problems.patterns_and_counts(12, _SETS, _LABELS)
  settings = {'lam_images': None, 'image_cost': 0.0}
  exact = aubal.solve(patterns, counts, optimizer='newton', **settings)
  found = aubal.solve(
    patterns, counts, optimizer='sgd', max_steps=80, **settings
  )
  assert not found.converged and found.num_steps == 80
  assert found.gap > 1e-5
  assert found.value - exact.value <= found.gap * max(1.0, found.value)


def test_an_empty_integer_box_takes_the_nearest_whole_number():
  # One image may grow by 1.2 to 1.8: no whole number; 1.5 rounds to 2.
  found = aubal.solve([[1, 0], [0, 1]], [1, 100], lower=1.2, upper=1.8)
  assert found.empty_boxes == 1
  assert found.counts[0] == 2


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'lam': -1}, ['lam', 'at least 0', '-1']),
    ({'lam': float('nan')}, ['lam', 'nan']),
    ({'lam_images': 0}, ['lam_images', 'above 0']),
    ({'image_cost': -0.1}, ['image_cost', '-0.1']),
    ({'tol': 0}, ['tol', 'above 0']),
    ({'lam': 'a'}, ['lam', 'number', 'a']),
    ({'upper': 'x'}, ['upper', 'numbers', 'x']),
    ({'upper': -np.inf}, ['upper', 'negative', '-inf']),
    ({'lower': np.inf, 'upper': np.inf}, ['lower', 'finite', 'inf']),
    (
      {'upper': np.inf, 'image_cost': 0, 'lam': 0},
      ['upper', 'inf', 'price', 'budget'],
    ),
    ({'lower': -1}, ['lower', 'not negative', '-1']),
    ({'lower': 3, 'upper': 2}, ['lower', 'upper', '3.0', '2.0']),
    ({'upper': [1, 2, 3]}, ['upper', '2 labelsets', '(3,)']),
    ({'objective': 'l3'}, ['objective', 'l1', 'l3']),
    ({'optimizer': 'adm'}, ['optimizer', 'adam', 'adm']),
    ({'relaxation': 'x'}, ['relaxation', 'huber']),
    ({'budget': 2}, ['budget', 'at least 3', '2']),
    ({'budget': 2.5}, ['budget', 'whole', '2.5']),
    ({'budget': -1}, ['budget', 'at least 0', '-1']),
    ({'budget': 31, 'budget_exactly': True}, ['budget', 'at most 30', '31']),
    ({'budget': 5, 'budget_growth': 2.0}, ['budget', 'both', '5', '2.0']),
    ({'budget_growth': 0}, ['budget_growth', 'above 0']),
    ({'budget_exactly': True}, ['budget_exactly', 'budget']),
    ({'budget_exactly': 'yes'}, ['budget_exactly', 'True', 'yes']),
    ({'target': [1.0]}, ['target', '2 labels', '(1,)']),
    ({'target': [1.0, 0.0]}, ['target', 'above 0', '0.0']),
    ({'target': [1.0, np.nan]}, ['target', 'finite', 'nan']),
    ({'target': 'even'}, ['target', 'numbers', 'even']),
  ],
)
def test_bad_arguments_are_named(settings, words):
  with pytest.raises(ValueError) as caught:
    aubal.solve([[1, 0], [0, 1]], [1, 2], **settings)
  for word in words:
    assert word in str(caught.value)


@pytest.mark.parametrize('counts', [[1], [1, -2], [1, 0.5], [1, np.nan]])
def test_bad_counts_are_named(counts):
  with pytest.raises(ValueError, match='counts'):
    aubal.solve([[1, 0], [0, 1]], counts)


def test_balance_makes_the_plan_of_the_solution():
  labels = np.random.default_rng(13).random((300, 5)) < [0.5, 0.3, 0.1, 0.1, 0]
  plan, found = aubal.balance(labels, seed=3, label_names=tuple('abcde'))
  assert len(plan) == found.images_after
  np.testing.assert_array_equal(
    labels[plan.source].sum(axis=0), found.class_counts_after
  )
  assert (~plan.augment).sum() == 300
  again, _ = aubal.balance(labels, seed=3)
  np.testing.assert_array_equal(plan.source, again.source)


def test_progress_is_told():
  patterns, counts = problems.patterns_and_counts(14, _SETS, _LABELS)
  told = []
  found = aubal.solve(patterns, counts, on_progress=told.append)
  assert [entry['step'] for entry in told] == found.trace['step']


def test_nothing_listens_to_jax_but_a_solve(monkeypatch):
  listening, seen = [], []
  for name, change in (
    ('register_event_duration_secs_listener', listening.append),
    ('unregister_event_duration_listener', listening.remove),
  ):
    monkeypatch.setattr(jax.monitoring, name, change)
  settings = {'on_progress': lambda _: seen.append(len(listening))}
  aubal.solve([[1, 0], [0, 1]], [4, 1], optimizer='adam', **settings)
  assert seen and min(seen) > 0 and not listening
  monkeypatch.undo()
  jax.clear_caches()
  found = aubal.solve([[1, 0], [0, 1]], [4, 1], optimizer='adam')
  assert found.seconds_compile > 0 and found.seconds > 0
