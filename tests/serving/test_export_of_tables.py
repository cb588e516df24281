"""Networks of tables as files: what they say of features as they stand."""

import numpy as np
import pytest
from scipy import special

import aubal_jax as aubal
from aubal_jax.runs import files
from aubal_jax.serving import formats
from aubal_jax.serving import networks
from tests.stages import test_features as of_features


@pytest.fixture(name='runs', scope='module')
def fixture_runs(tmp_path_factory):
  """Two runs on one table: of a line, and of hidden layers."""
  home = tmp_path_factory.mktemp('tables')
  table = of_features.write(home / 'table.csv', *of_features.draw(0))
  for seed, hidden in enumerate(((), (9, 4))):
    config = of_features.configuration(table, seed=seed, model__hidden=hidden)
    for task in ('balance', 'train'):
      of_features.run(config, home / f'run{seed}', task)
  return home


def export(path, kind, *members):
  config = of_features.plain()
  config.export.format = kind
  config.ensemble.runs = tuple(map(str, members))
  of_features.run(config, path, 'export')
  return path / f'model.{kind}', files.read_json(path / f'model.{kind}.json')


@pytest.mark.parametrize('kind', formats.FORMATS)
@pytest.mark.parametrize('name', ['run0', 'run1', 'mean'])
def test_a_file_takes_features_as_they_stand(runs, name, kind, tmp_path):
  """Of any place and scale: they are standardised inside."""
  members = [runs / 'run0', runs / 'run1'] if name == 'mean' else []
  file, record = export(
    runs / name if not members else tmp_path, kind, *members
  )
  assert record['input'] == {
    **{'name': 'features', 'dtype': 'float32', 'shape': ['batch', 5]},
    'columns': [*of_features.COLUMNS],
  }
  assert record['compared']['rows'] == 8 + 16  # Drawn, and of the table.
  assert max(record['compared']['difference'].values()) < 1e-5
  if kind == 'safetensors':  # It is weights, which are read as they were.
    return
  _, features = of_features.draw(5)
  said = [aubal.load(one).predict(features) for one in members or [runs / name]]
  logits = np.mean([special.logit(np.float64(p)) for p in said], axis=0)
  wanted = special.expit(logits)
  own = networks.load(of_features.plain(), runs / 'run0', [])
  readers = formats.FORMATS[kind].readers(file.read_bytes(), own)
  near = 1e-4 if members else 2e-6  # Logits of what is said lose digits.
  for run in readers.values():
    np.testing.assert_allclose(run(features)['labels'], wanted, atol=near)


def test_what_never_changed_in_training_says_nothing(runs):
  """A column of one value has no deviation: whatever it is, it counts as 0."""
  file, _ = export(runs / 'run0', 'onnx')
  _, features = of_features.draw(6)
  other = features.copy()
  constant = int(np.flatnonzero(features.std(axis=0) == 0)[0])
  other[:, constant] = 1e6
  own = networks.load(of_features.plain(), runs / 'run0', [])
  for run in formats.FORMATS['onnx'].readers(file.read_bytes(), own).values():
    np.testing.assert_array_equal(run(other)['labels'], run(features)['labels'])
