"""Plans of several targets: made by the balance stage, read by training."""

import dataclasses
import itertools
import json
import time

import flax.linen as nn
import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.datasets import targets
from aubal_jax.network import models
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.stages import published_samplers
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import target_plans
from aubal_jax.tables import plan as plan_lib

MOODS = ('calm', 'glad', 'sad', 'mad')
HOW = ('per_task', 'joint', 'published')


def write_table(path, seed, *, alone, num_rows=160):
  """A table of labels a b c, a mood, valence and arousal; some unknown."""
  rng = np.random.default_rng(seed)
  labels = (rng.random((num_rows, 3)) < [0.6, 0.3, 0.1]).astype(int)
  moods = rng.choice(MOODS, num_rows, p=[0.6, 0.2, 0.15, 0.05])
  affect = np.clip(rng.normal(0.2, 0.4, (num_rows, 2)), -1, 1).round(3)
  task = rng.integers(3, size=num_rows)
  known = (
    task[:, None] == np.arange(3) if alone else rng.random((num_rows, 3)) < 0.6
  )
  lines = ['a,b,c,mood,valence,arousal,split']
  for k in range(num_rows):
    cells = [*labels[k]] if known[k, 0] else ['', '', '']
    cells += [moods[k] if known[k, 1] else '']
    cells += [*affect[k]] if known[k, 2] else ['', '']
    cells += ['train' if k % 5 else 'test']
    lines.append(','.join(map(str, cells)))
  path.write_text('\n'.join(lines) + '\n')
  return str(path)


def make_config(tmp_path, seed=0, *, alone=False, how='none'):
  config = settings.default()
  config.data.name = 'labels'
  config.data.path = write_table(tmp_path / f'{seed}.csv', seed, alone=alone)
  config.data.class_columns = ('mood:' + '|'.join(MOODS),)
  config.data.real_columns = ('valence', 'arousal')
  config.balance.optimizer = 'ipm'
  config.train.num_steps, config.train.batch_size = 7, 40
  config.multitask.balance = how
  config.seed, config.task = seed, 'balance'
  return config


def balance(config, path):
  commands.run_task(config, path, started=time.perf_counter())
  return load(config, path)


def load(config, path):
  return run_lib.load(config, path, progress.Watch(time.perf_counter()))


def repeats(plan, size):
  return np.bincount(plan.source, minlength=size)


def whole_of(run):
  return plan_lib.load(run.path / 'plan.npz')


def test_with_none_a_target_s_rows_come_once_and_the_plan_is_the_labels(
  tmp_path, capsys
):
  for seed in range(2):
    config = make_config(tmp_path, seed)
    run = balance(config, tmp_path / f'run{seed}')
    plans, dataset = target_plans.plans_of(run), run.dataset
    assert {*plans} == {'labels', 'mood', 'valence_arousal'}
    for name, plan in plans.items():
      np.testing.assert_array_equal(plan.source, dataset.rows('train', name))
      assert not plan.augment.any()
      assert plan.label_names == dataset.targets[name].names
    rows = dataset.rows('train')
    plain, _ = aubal.balance(
      dataset.labels[rows], rows=rows, seed=seed, optimizer='ipm',
      label_names=dataset.label_names,
    )  # fmt: skip
    assert plain == whole_of(run)
    assert not (run.path / 'plans').exists()
    assert 'have no say in the plan' in capsys.readouterr().out


def test_per_task_is_aubal_on_the_rows_of_each(tmp_path):
  for seed in range(3):
    config = make_config(tmp_path, seed, how='per_task')
    run = balance(config, tmp_path / f'run{seed}')
    plans, dataset = target_plans.plans_of(run), run.dataset
    told = json.loads((run.path / 'labelsets.json').read_text())['targets']
    for name, plan in plans.items():
      target, rows = dataset.targets[name], dataset.rows('train', name)
      blocks = None
      if target.kind == 'real':  # One of each number.
        target, blocks = targets.to_bins(target, 20), [(20, 1.0)] * 2
      table = targets.to_binary(target).values[rows]
      own, found = aubal.balance(
        table, rows=rows, seed=seed, optimizer='ipm', blocks=blocks
      )
      np.testing.assert_array_equal(own.source, plan.source)
      np.testing.assert_array_equal(own.augment, plan.augment)
      size = len(rows) * (found.class_counts_before > 0).sum()
      away = [
        sum(np.abs(z[z > 0] - z[z > 0].mean()).sum() for z in parts) / size
        for counts in (found.class_counts_before, found.class_counts_after)
        for parts in [np.split(counts, len(blocks or [0]))]
      ]
      entry = told[name]
      assert entry['unevenness_before'] == pytest.approx(away[0])
      assert entry['unevenness_after'] == pytest.approx(away[1])
    most = np.max([repeats(p, 160) for p in plans.values()], axis=0)
    known = np.any([t.rows_known for t in dataset.targets.values()], axis=0)
    most[dataset.rows('train')] += ~known[dataset.rows('train')]
    np.testing.assert_array_equal(repeats(whole_of(run), 160), most)


@pytest.mark.parametrize('unknown', ['absent', 'separate'])
def test_joint_is_one_plan_of_which_each_target_has_its_rows(tmp_path, unknown):
  for seed in range(3):
    config = make_config(tmp_path, seed, how='joint')
    config.data.unknown = unknown
    run = balance(config, tmp_path / f'run{seed}')
    plans, counts = target_plans.plans_of(run), repeats(whole_of(run), 160)
    for name, plan in plans.items():
      own = np.zeros(160, int)
      rows = run.dataset.rows('train', name)
      own[rows] = counts[rows]
      np.testing.assert_array_equal(repeats(plan, 160), own)
      assert plan.augment.sum() == (own[rows] - 1).sum()
    solution = json.loads((run.path / 'solution.json').read_text())
    assert solution['gap'] <= 1e-5
    before, after = (
      sum(entry[when] for entry in solution['unevenness'].values())
      for when in ('before', 'after')
    )
    assert after < before
    assert len(solution['class_counts_after']) == len(solution['label_names'])
    page = (run.path / 'balance.html').read_text()
    assert 'all targets at once' in page
    assert all(f'<td>{name}' in page for name in plans) or all(
      f'>{name}<' in page for name in plans
    )


def test_apart_the_joint_plan_is_as_even_as_each_alone(tmp_path):
  for seed in range(2):
    found = {}
    for how in ('per_task', 'joint'):
      config = make_config(tmp_path, seed, alone=True, how=how)
      config.balance.lam = config.balance.image_cost = 0.0
      run = balance(config, tmp_path / f'{how}{seed}')
      told = json.loads((run.path / 'labelsets.json').read_text())['targets']
      found[how] = [told[name]['unevenness_after'] for name in sorted(told)]
    assert found['joint'] == pytest.approx(found['per_task'], abs=0.02)
    assert sum(found['joint']) == pytest.approx(
      sum(found['per_task']), abs=0.01
    )


def test_the_empty_labelset_can_be_a_label_of_the_labels(tmp_path):
  config = make_config(tmp_path, 1, how='joint')
  config.balance.empty = 'label'
  config.balance.target = (1.0, 1.0, 1.0, 2.0)
  run = balance(config, tmp_path / 'run')
  solution = json.loads((run.path / 'solution.json').read_text())
  rows = run.dataset.rows('train', 'labels')
  none = ~run.dataset.labels[rows].any(axis=1)
  place = solution['label_names'].index('labels: none')
  assert solution['class_counts_before'][place] == none.sum() > 0
  config.balance.target = (1.0, 1.0, 1.0)
  with pytest.raises(errors.UserError, match='a share for each of 4 labels'):
    balance(config, tmp_path / 'other')


def test_published_draws_each_epoch_anew_and_the_same_again(tmp_path):
  for seed in range(2):
    config = make_config(tmp_path, seed, how='published')
    run = balance(config, tmp_path / f'run{seed}')
    plans = target_plans.plans_of(run)
    for name, plan in plans.items():
      size = len(run.dataset.rows('train', name))
      num_epochs = -(-7 * 40 // size)
      assert len(plan) == num_epochs * size
      epochs = np.split(plan.source, num_epochs)
      assert all((a != b).any() for a, b in itertools.pairwise(epochs))
    again = balance(config, tmp_path / f'again{seed}')
    assert target_plans.plans_of(again) == plans
    told = json.loads((run.path / 'labelsets.json').read_text())
    assert told['plan']['method'] == 'published'
    # Classes come about as often as each other.
    entry = told['targets']['mood']
    assert entry['unevenness_after'] < 0.5 * entry['unevenness_before']


def test_published_weights_are_those_of_their_classes_and_cells():
  rng = np.random.default_rng(0)
  for _ in range(5):
    codes = rng.choice(4, 50, p=[0.5, 0.3, 0.15, 0.05])
    weights = published_samplers.weights_of(
      targets.of_codes(codes, 'abcd'), recipe='published', rng=rng
    )
    assert weights.tolist() == [1 / (codes == code).sum() for code in codes]
    values = rng.normal(0, 0.3, (50, 2)).clip(-1, 1).astype(np.float32)
    weights = published_samplers.weights_of(
      targets.of_numbers(values, 'va', -1, 1), recipe='repaired', rng=rng
    )
    counts, *edges = np.histogram2d(*values.T.astype(np.float64), bins=20)
    cell = [
      np.clip(np.digitize(column, edge) - 1, 0, 19)
      for column, edge in zip(values.T.astype(np.float64), edges, strict=True)
    ]
    np.testing.assert_allclose(1 / weights, counts[tuple(cell)])


def test_ml_ros_of_deng_keeps_to_its_rules():
  for seed in range(20):
    rng = np.random.default_rng(seed)
    labels = (rng.random((400, 4)) < [0.5, 0.1, 0.3, 0.02]).astype(np.uint8)
    draws = published_samplers.ml_ros_draws(labels, np.random.default_rng(seed))
    counts = labels.sum(axis=0)
    after = counts + draws @ labels
    rare = counts.max() > 2 * counts
    assert not draws[~labels[:, rare].any(axis=1)].any()
    assert draws.sum() <= 200
    if draws.sum() < 200:  # Else each goes on until it is rare no more.
      assert (counts.max() <= 2 * after[rare]).all()
      assert draws.sum() % 32 == 0
    target = targets.Target('binary', labels, labels >= 0, (*'abcd',))
    published, repaired = (
      published_samplers.weights_of(
        target, recipe=recipe, rng=np.random.default_rng(seed)
      )
      for recipe in ('published', 'repaired')
    )
    np.testing.assert_array_equal(published, np.maximum(draws, 1))
    np.testing.assert_array_equal(repaired, draws + 1)


def test_ml_ros_lets_the_first_label_spend_the_cap():
  labels = np.zeros((100, 3), np.uint8)
  labels[:90, 0] = labels[90:94, 1] = labels[94:98, 2] = 1
  draws = published_samplers.ml_ros_draws(labels, np.random.default_rng(0))
  assert draws[90:94].sum() >= 41 and draws.sum() == 50


def test_bins_close_at_their_lower_edge():
  for low, high, num_bins in ((-1, 1, 20), (0, 100, 7), (-3, 5, 4)):
    edges = np.linspace(low, high, num_bins + 1)
    values = np.column_stack([edges, edges[::-1]]).astype(np.float32)
    values = values.clip(low, high)
    found = targets.to_bins(
      targets.of_numbers(values, ('x', 'y'), low, high), num_bins
    )
    bins = np.minimum(np.arange(num_bins + 1), num_bins - 1)
    assert (found.values.argmax(axis=1) == bins).all()
    assert (found.values[:, num_bins:].argmax(axis=1) == bins[::-1]).all()
    assert found.values.sum() == 2 * (num_bins + 1)


@pytest.mark.parametrize('how', HOW)
def test_tasks_with_their_own_splits_have_their_own_rows(tmp_path, how):
  run = load(make_config(tmp_path, 3, how=how), tmp_path / 'run')
  rng, splits = np.random.default_rng(0), {}
  for name in run.dataset.targets:
    splits[name] = rng.choice(['train', 'validation'], 160)
  run = dataclasses.replace(
    run, dataset=dataclasses.replace(run.dataset, splits=splits)
  )
  made = target_plans.make(run)
  for name, plan in made.plans.items():
    rows = run.dataset.rows('train', name)
    assert np.isin(plan.source, rows).all()
    assert how == 'published' or np.isin(rows, plan.source).all()
    assert made.told[name]['images'] == len(rows)
  mood, rows = run.dataset.targets['mood'], run.dataset.rows('train', 'mood')
  z = np.bincount(mood.values[rows])  # What validates is not looked at.
  uneven = np.abs(z - z.mean()).sum() / len(z) / len(rows)
  assert made.told['mood']['unevenness_before'] == pytest.approx(uneven)
  assert np.isin(made.whole.source, run.dataset.rows('train')).all()


@pytest.mark.parametrize('how', HOW)
def test_what_cannot_be_is_refused(tmp_path, how):
  config = make_config(tmp_path, 0, how=how)
  path = tmp_path / 'run'
  with pytest.raises(errors.UserError, match=r'npz is not there'):
    target_plans.plans_of(load(config, path))
  for method in ('random', 'keep', 'none'):
    config.balance.method = method
    with pytest.raises(errors.UserError, match='method must be aubal'):
      balance(config, path)
  config.balance.method = 'aubal'
  run = load(config, path)
  unknown = run.dataset.targets['mood'].where(run.dataset.split == 'test')
  others = {**run.dataset.targets, 'mood': unknown}
  dataset = dataclasses.replace(run.dataset, targets=others)
  with pytest.raises(errors.UserError, match="anything of the target 'mood'"):
    target_plans.make(dataclasses.replace(run, dataset=dataset))
  config.data.class_columns = config.data.real_columns = ()
  config.data.exclude_columns = ('mood', 'valence', 'arousal')
  with pytest.raises(errors.UserError, match="learns 'labels' alone"):
    balance(config, path)


def test_a_folder_of_other_plans_is_refused(tmp_path):
  config = make_config(tmp_path, 0, how='per_task')
  balance(config, tmp_path / 'run')
  config.multitask.balance = 'joint'
  with pytest.raises(errors.UserError, match=r'multitask\.balance'):
    balance(config, tmp_path / 'run')


class Flat(nn.Module):
  """A network that is compiled at once."""

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    del train
    return nn.Dense(8)(image.reshape(image.shape[0], -1)).astype('float32')


@pytest.mark.parametrize(
  ('how', 'batching'),
  [
    pytest.param(how, batching, marks=pytest.mark.long)
    if (how, batching) != ('joint', 'per_task')
    else (how, batching)
    for how in HOW
    for batching in ('mixed', 'per_task')
  ],
)
def test_the_whole_line_goes_by_these_plans(
  tmp_path, monkeypatch, how, batching
):
  monkeypatch.setattr(models, 'MODELS', {**models.MODELS, 'flat': Flat})
  config = settings.default()
  config.data.name, config.data.image_size = 'synthetic', 32
  config.data.drawn_targets = ('labels', 'expression', 'valence_arousal')
  config.data.drawn_apart, config.data.drawn_ratio = True, 5.0
  config.data.num_train = 60
  config.data.num_validation = config.data.num_test = 24
  config.multitask.balance, config.multitask.batching = how, batching
  config.balance.optimizer, config.model.name = 'ipm', 'flat'
  config.train.batch_size, config.train.num_steps = 24, 2
  config.evaluate.batch_size = 24
  commands.run_task(config, tmp_path, started=time.perf_counter())
  page = (tmp_path / 'report.html').read_text()
  assert 'Rows and unevenness of each target' in page
  assert ('all targets at once' in page) == (how == 'joint')
  assert 'as a control' not in page
  assert load(config, tmp_path).is_done('report')
