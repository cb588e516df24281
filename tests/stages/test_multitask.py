"""Several targets through the line: faces of which each is known to one."""

import json
import time
import types

import flax.linen as nn
import jax
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.network import bundle
from aubal_jax.network import checkpoint
from aubal_jax.network import log
from aubal_jax.network import models
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import learnt
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train

TARGETS = ('labels', 'expression', 'valence_arousal')


class Pooled(nn.Module):
  """Features of an image, of a few pixels."""

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    """Returns float[B, 8] of float[B, H, W, C]."""
    small = nn.avg_pool(image, (4, 4), (4, 4))
    return nn.relu(nn.Dense(8)(small.reshape(len(image), -1)))


@pytest.fixture(autouse=True)
def fixture_small(monkeypatch):
  known = types.MappingProxyType({**models.MODELS, 'pooled': Pooled})
  monkeypatch.setattr(models, 'MODELS', known)


def make_run(path, **options):
  config = settings.default()
  config.data.drawn_targets, config.data.drawn_apart = TARGETS, True
  config.data.image_size = 16
  config.data.num_train, config.data.num_validation = 48, 24
  config.data.num_test = 24
  config.balance.method = 'none'
  config.model.name = 'pooled'
  config.loss.name = 'bce'
  config.train.batch_size = 12
  config.train.num_epochs = 1.5
  config.train.eval_every_steps = 2
  config.train.checkpoint_every_steps = 2
  config.train.keep_checkpoints = 9
  for name, value in options.items():
    section, _, key = name.partition('__')
    config[section][key] = value
  settings.check(config)
  return run_lib.load(config, path, progress.Watch(time.perf_counter()))


def do_train(path, **options):
  """Returns the last state on disk, and the lines of the log."""
  run = make_run(path, **options)
  balance.run(run)
  train.run(run)
  return state_of(path), log.read_lines(path / 'metrics.jsonl')


def state_of(path):
  description = bundle.read(path / 'checkpoints')
  model, optimizer = bundle.make_network(description)
  like = jax.eval_shape(
    lambda: bundle.first_state(model, optimizer, description)
  )
  with checkpoint.open_checkpoints(path / 'checkpoints', read_only=True) as c:
    return checkpoint.restore(c, like)


@pytest.mark.parametrize(
  'batching', [pytest.param('mixed', marks=pytest.mark.long), 'per_task']
)
def test_a_stopped_run_ends_as_the_straight_one(tmp_path, batching):
  """Of which the best is the best of all targets."""
  options = {
    'multitask__batching': batching,
    'multitask__heads': 'deng' if batching == 'per_task' else 'dense',
    'multitask__weights': (8.0, 1.0, 1.0),
  }
  state, lines = do_train(tmp_path / 'straight', **options)
  assert state.step == 6  # An epoch is as many rows with either batching.
  do_train(tmp_path / 'other', **options, train__num_steps=2)
  found, again = do_train(tmp_path / 'other', **options, train__num_steps=6)
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(found), strict=True):
    np.testing.assert_array_equal(a, b)
  looks = [line for line in lines if 'validation' in line]
  assert looks == [line for line in again if 'validation' in line]
  best = max(line['validation']['overall'] for line in looks)
  assert state.best == np.float32(best)
  trained = bundle.load(tmp_path / 'straight/checkpoints')
  steps = [x['step'] for x in looks if x['validation']['overall'] == best]
  assert trained.step == steps[-1]
  assert {'expression_f1_macro', 'valence_arousal_ccc_mean', 'f1_macro'} <= {
    *looks[0]['validation']
  }
  evaluate.run(make_run(tmp_path / 'straight', **options))
  report = json.loads((tmp_path / 'straight/report.json').read_text())
  assert {*report['targets']} == {*TARGETS[1:]}


def test_patience_goes_by_all_targets(tmp_path, capsys):
  options = {'train__num_steps': 40, 'train__patience': 1}
  options['train__learning_rate'] = 1e-9  # Nothing gets better.
  state, _ = do_train(tmp_path, **options)
  assert state.step == 4
  assert 'no better score of all targets than' in capsys.readouterr().out


@pytest.mark.parametrize('size', [10, 5, 2])
def test_tasks_that_cannot_share_a_batch_are_told(tmp_path, size):
  run = make_run(
    tmp_path, multitask__batching='per_task', train__batch_size=size
  )
  with pytest.raises(errors.UserError, match=f'3 x 1; it is {size}: take'):
    learnt.check_batch_size(run.config, run.dataset, 1)


def test_an_epoch_of_tasks_is_the_shortest_of_them(tmp_path):
  for batching, name in (('mixed', ''), ('per_task', 'labels')):
    run = make_run(tmp_path, multitask__batching=batching, data__num_train=50)
    sizes = [len(run.dataset.rows('train', name)) for name in TARGETS]
    rows = 3 * min(sizes) if name else 50
    assert learnt.rows_of_epoch(run.config, run.dataset) == rows
    assert run.num_steps == -(-rows * 3 // 24)
