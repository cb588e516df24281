"""A run that begins with the weights of another, from settings to a bundle."""

import dataclasses
import time

import jax
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import annotations
from aubal_jax.datasets import loading
from aubal_jax.network import bundle
from aubal_jax.network import log
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train

MODULE = """
from flax import linen as nn

class Small(nn.Module):
  @nn.compact
  def __call__(self, image, *, train=False):
    x = nn.relu(nn.Dense(6, name='block1')(image.reshape(len(image), -1)))
    x = nn.BatchNorm(use_running_average=not train, name='norm')(x)
    return nn.Dense(4, name='block2')(x)
"""
N = 24


@pytest.fixture(name='make_run')
def fixture_make_run(monkeypatch, tmp_path):
  """Returns f(folder, section__key=value) -> a run on drawn images."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'small_network_of_mine.py').write_text(MODULE)

  def make(folder, *, names=('a', 'b'), seed=0, **changes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (N, len(names)), np.uint8)
    labels[:4, :2] = [[0, 1], [1, 0], [1, 1], [0, 0]]
    images = rng.integers(0, 256, (N, 8, 8, 1), np.uint8)
    found = annotations.Annotations(
      files=None,
      labels=labels,
      known=np.ones(labels.shape, bool),
      label_names=names,
      ids=np.arange(N).astype(str),
      split=np.resize(['train', 'train', 'validation', 'test'], N),
    )
    data = annotations.to_dataset(found, where='here')
    data = dataclasses.replace(data, load_images=images.__getitem__)
    monkeypatch.setattr(loading, 'load', lambda config: data)
    config = settings.default()
    config.data.image_size = 8
    config.balance.method = 'none'
    config.model.name = 'small_network_of_mine:Small'
    config.train.batch_size = 8
    config.train.num_steps = 2
    config.train.eval_every_steps = 2
    config.train.checkpoint_every_steps = 1
    for name, value in changes.items():
      section, _, key = name.partition('__')
      config[section][key] = value
    watch = progress.Watch(time.perf_counter())
    run = run_lib.load(config, tmp_path / folder, watch)
    if not run.path.exists():
      balance.run(run)
    return run

  return make


def trunk_of(found):
  params = {k: v for k, v in found.params.items() if k != 'logits'}
  return jax.tree.leaves((params, found.batch_stats))


def load(run):
  return bundle.load(run.path / 'checkpoints')


def test_a_run_begins_with_the_trunk_of_another(make_run, capsys):
  first = make_run('first', data__mean=(0.4,), data__std=(0.2,))
  train.run(first)
  before = load(first)
  assert before.description.model['mean'] == [0.4]
  # Of normalised images: the weights want them so.
  other = {'names': ('x', 'y', 'z'), 'seed': 1}
  plain = make_run('plain', **other, model__init_from=str(first.path))
  with pytest.raises(errors.UserError, match=r'data\.mean must be that of the'):
    train.run(plain)
  tuned = {
    **{'data__mean': (0.4,), 'data__std': (0.2,)},
    **{'model__init_from': str(first.path), 'model__freeze': ('trunk',)},
    **{'train__accumulate_steps': 2, 'train__backbone_learning_rate': 1e-5},
    **{'train__optimizer': 'adamw', 'train__weight_decay': 0.1},
    'loss__label_smoothing': 0.1,
  }
  capsys.readouterr()
  second = make_run('second', **other, **tuned)
  train.run(second)
  said = capsys.readouterr().out
  assert f'8 arrays of {first.path}, by the names of aubal_jax' in said
  assert 'left there: params.logits.bias, params.logits.kernel' in said
  assert 'drawn anew: logits' in said
  after = load(second)
  assert after.params['logits']['kernel'].shape == (4, 3)
  for one, two in zip(trunk_of(before), trunk_of(after), strict=True):
    np.testing.assert_array_equal(one, two)
  # It goes on from its own checkpoint, and not from the weights again.
  longer = make_run('second', **other, **tuned, train__num_steps=4)
  train.run(longer)
  said = capsys.readouterr().out
  assert 'steps 3 to 4' in said
  assert 'arrays of' not in said
  for one, two in zip(trunk_of(before), trunk_of(load(longer)), strict=True):
    np.testing.assert_array_equal(one, two)
  evaluate.run(longer)
  assert (longer.path / 'report.json').exists()


@pytest.mark.long
def test_weights_of_other_faces_are_a_better_beginning(tmp_path):
  """The same few steps, from a trunk of other drawn faces and from none."""

  def trained(folder, seed, num_steps, init_from=''):
    config = settings.default()
    config.seed, config.model.init_from = seed, init_from
    config.data.image_size, config.model.name = 32, 'resnet8_16'
    config.data.num_train, config.data.num_validation = 600, 300
    config.data.num_test = 8
    config.loss.name, config.balance.method = 'bce', 'none'
    config.train.batch_size, config.train.num_steps = 32, num_steps
    config.train.learning_rate = 2e-3
    config.train.eval_every_steps = num_steps
    config.train.checkpoint_every_steps = num_steps
    watch = progress.Watch(time.perf_counter())
    run = run_lib.load(config, tmp_path / folder, watch)
    balance.run(run)
    train.run(run)
    lines = log.read_lines(run.path / 'metrics.jsonl')
    return [x['validation']['map'] for x in lines if 'validation' in x][-1]

  trained('first', seed=0, num_steps=300)
  for seed in (1, 2):
    begun = trained(f'begun{seed}', seed, 40, str(tmp_path / 'first'))
    random = trained(f'random{seed}', seed, 40)
    assert begun > random + 0.02, (seed, begun, random)
