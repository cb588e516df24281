"""Plans with partners and labels of their own, from images to the report."""

import time
import types

import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import resampling
from aubal_jax import settings
from aubal_jax.datasets import loading
from aubal_jax.media import embedding
from aubal_jax.report import page as page_lib
from aubal_jax.runs import files
from aubal_jax.stages import balance
from aubal_jax.stages import problem
from aubal_jax.stages import report as report_task
from aubal_jax.stages import run as run_lib
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib
from tests.makers import small_network
from tests.makers import small_runs


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = settings.default()
  c.data.name = 'manifest'
  c.data.path = str(small_runs.write_manifest(tmp_path / 'data'))
  c.data.image_size = 16
  c.balance.features = 'pixels'
  c.balance.neighbours = 2
  c.model.name = small_network.NAME
  c.train.batch_size = 8
  c.train.num_steps = 2
  return c


def run(config, path, task):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter())
  return path


@pytest.mark.long
def test_mlsmote_trains_on_images_end_to_end(config, tmp_path):
  config.balance.method = 'mlsmote'
  path = run(config, tmp_path / 'run', 'run')
  dataset = loading.load(config)
  rows = dataset.rows('train')
  plan = plan_lib.load(path / 'plan.npz')
  assert len(rows) < len(plan) and (plan.partner >= 0).any()
  assert set(plan.partner) <= {-1, *rows}
  expected = resampling.resample(
    dataset.labels[rows],
    'mlsmote',
    rows=rows,
    neighbours=2,
    features=embedding.pixels(dataset.load_images, rows),
  )
  np.testing.assert_array_equal(plan.partner, expected.partner)
  np.testing.assert_array_equal(plan.labels, expected.labels)
  assert not (path / 'solution.json').exists()
  # The report counts the labels of the plan.
  counts = plan.labels.sum(axis=0).tolist()
  described = page_lib.describe_plan(plan, dataset.labels)
  assert described['class_counts'] == counts
  assert f'>{counts[2]}<' in (path / 'report.html').read_text()
  assert files.read_json(path / 'report.json')['num_images'] == 15
  entries = report_task._contact_sheet(
    config, dataset, plan, dataset.load_images
  )
  assert entries


@pytest.mark.parametrize(
  'method', ['remedial', 'mlsol', 'mlenn', 'mltl', 'smote']
)
def test_every_method_makes_a_plan_of_images(config, tmp_path, method):
  config.balance.method = method
  path = run(config, tmp_path / 'run', 'balance')
  plan = plan_lib.load(path / 'plan.npz')
  assert set(plan.source) <= set(loading.load(config).rows('train'))
  before = (path / 'plan.npz').stat().st_mtime_ns
  found = files.read_json(path / 'labelsets.json')
  listed = sum(entry['count_after'] for entry in found['largest'])
  assert 0 < listed <= len(plan)
  run(config, path, 'balance')
  assert (path / 'plan.npz').stat().st_mtime_ns >= before


def test_a_mixed_row_is_shown_as_it_is_trained_on(config):
  images = np.zeros((3, 8, 8, 1), np.uint8)
  images[2] = 200
  plan = plan_lib.with_added(
    3, [0], partner=np.array([2]), share=np.array([0.25])
  )
  dataset = types.SimpleNamespace(
    labels=np.eye(3, dtype=np.uint8), label_names=('a', 'b', 'c'), ids='xyz'
  )
  still = {'flip': 0.0, 'blur_sigma': (0.0, 0.0), 'contrast': (1.0, 1.0)}
  still |= {'noise_sigma': (0.0, 0.0), 'multiply': (1.0, 1.0)}
  config.augment.update(still | {'perspective': (0.0, 0.0)})
  (entry,) = report_task._contact_sheet(
    config, dataset, plan, images.__getitem__
  )
  assert (entry['original'] == 0).all()
  assert (entry['augmented'][0] == 50).all()


def test_rows_that_show_a_labelset():
  labels = np.array([[1, 1], [1, 0], [1, 1], [0, 1]], np.uint8)
  found = labelsets_lib.find_labelsets(labels)
  assert found.patterns.tolist() == [[1, 1], [1, 0], [0, 1]]
  rows = np.array([2, 3, 5, 8])
  plan = plan_lib.unchanged([2, 3, 8])
  assert balance._counts_after(plan, rows, found).tolist() == [1, 1, 1]
  # Row 0 is split in two that are there; one row is nothing, and no labelset.
  own = np.array([[1, 0], [1, 0], [0, 0], [0, 1], [0, 1]], np.uint8)
  plan = plan_lib.Plan(
    rows[[0, 1, 2, 3, 0]], np.zeros(5, bool), np.full(5, -1), (), own
  )
  assert balance._counts_after(plan, rows, found).tolist() == [0, 2, 2]


@pytest.mark.parametrize('name', ['source', 'partner', 'labels', 'share'])
def test_a_plan_that_differs_anywhere_is_another_plan(tmp_path, name):
  fields = {
    'source': np.arange(3),
    'augment': np.zeros(3, bool),
    'partner': np.array([-1, -1, 0]),
    'label_names': ('a',),
    'labels': np.array([[0], [1], [1]], np.uint8),
    'share': np.array([0, 0, 0.5]),
  }
  plan = plan_lib.Plan(**fields)
  plan.save(tmp_path / 'plan.npz')
  assert balance._is_same(plan, tmp_path / 'plan.npz')
  fields[name] = fields[name][::-1]
  other = plan_lib.Plan(**fields)
  assert not balance._is_same(other, tmp_path / 'plan.npz')
  if name in ('labels', 'share'):
    other = plan_lib.Plan(**fields | {name: None})
    assert not balance._is_same(other, tmp_path / 'plan.npz')


def test_a_plan_by_pixels_depends_on_how_they_are_made(config):
  table = types.SimpleNamespace(fingerprint=lambda: '')
  for name in ('pixels', 'table'):
    config.balance.features = name
    pinned = run_lib.pin(config, table, 1)['balance']
    assert ('data.image_size' in pinned) == (name == 'pixels')


def inputs_of(config, **fields):
  dataset = types.SimpleNamespace(
    **{'features': None, 'load_images': None} | fields
  )
  return types.SimpleNamespace(config=config, dataset=dataset)


def test_features_of_the_table_are_brought_to_one_scale(config):
  config.balance.features = 'table'
  table = np.random.default_rng(0).normal(5, 2, size=(9, 3)).astype(np.float32)
  rows = np.array([1, 4, 8])
  found = problem.find_features(inputs_of(config, features=table), rows)
  np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
  np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-5)
  with pytest.raises(
    ValueError, match='but this data set has no features; save'
  ):
    problem.find_features(inputs_of(config), rows)
  with pytest.raises(ValueError, match='has no features; take those of its'):
    problem.find_features(inputs_of(config, load_images=len), rows)
