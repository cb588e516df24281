"""A comparison says what becomes of targets beside the labels."""

import types

import pytest

from aubal_jax import settings
from aubal_jax.experiments.compare import compare


@pytest.mark.parametrize('others', [(), ('mood',), ('mood', 'va')])
@pytest.mark.parametrize('table', [(), ('a.npz',)])
def test_targets_that_are_not_compared_are_told(capsys, others, table):
  config = settings.default()
  config.task = 'compare'
  config.compare.data = table
  dataset = types.SimpleNamespace(targets=dict.fromkeys(('labels', *others)))
  run = types.SimpleNamespace(config=config, dataset=dataset)
  compare._tell_others(run)
  said = capsys.readouterr().out
  assert bool(said) == bool(others)
  assert all(name in said for name in others)
  assert ('left out' in said) == bool(others and table)
