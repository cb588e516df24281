"""A second stream: two numbers beside each image, from a reader to a report."""

import dataclasses
import time
import types

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import annotations
from aubal_jax.datasets import loading
from aubal_jax.datasets import streams
from aubal_jax.network import bundle
from aubal_jax.network import models
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.serving import predict
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train

N = 24


class Listener(nn.Module):
  """Features of the mean of an image, and of two numbers."""

  @nn.compact
  def __call__(self, image, audio, *, train: bool = False):
    """Returns float[B, 4] of float[B, H, W, C] and float[B, 2]."""
    both = jnp.concatenate([image.mean(axis=(1, 2)), audio], axis=1)
    return nn.tanh(nn.Dense(4, name='both')(both))


def make_dataset():
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 2, (N, 2), np.uint8)
  labels[:4] = [[0, 1], [1, 0], [1, 1], [0, 0]]
  images = rng.integers(0, 256, (N, 8, 8, 1), np.uint8)
  audio = rng.standard_normal((N, 2)).astype(np.float32)
  stream = streams.Stream('audio', audio.dtype, (2,), audio.__getitem__)
  found = annotations.Annotations(
    files=None,
    labels=labels,
    known=np.ones((N, 2), bool),
    label_names=('loud', 'bright'),
    ids=np.arange(N).astype(str),
    split=np.resize(['train', 'train', 'validation', 'test'], N),
    streams=(stream,),
  )
  data = annotations.to_dataset(found, where='here')
  return dataclasses.replace(data, load_images=images.__getitem__)


@pytest.fixture(name='dataset')
def fixture_dataset(monkeypatch):
  """What a reader and a network add, each in one place."""
  dataset = make_dataset()
  monkeypatch.setattr(loading, 'load', lambda config: dataset)
  known = types.MappingProxyType({**models.MODELS, 'listener': Listener})
  monkeypatch.setattr(models, 'MODELS', known)
  return dataset


def make_run(path, num_steps=2, model='listener'):
  config = settings.default()
  config.data.image_size = 8
  config.balance.method = 'none'
  config.model.name = model
  config.train.batch_size = 8
  config.train.num_steps = num_steps
  config.train.eval_every_steps = num_steps
  config.train.checkpoint_every_steps = 1
  return run_lib.load(config, path, progress.Watch(time.perf_counter()))


def test_a_network_sees_what_the_reader_brings(dataset, tmp_path, capsys):
  run = make_run(tmp_path / 'run')
  balance.run(run)
  train.run(run)
  said = files.read_json(run.path / 'checkpoints/model.json')['streams']
  assert said['audio'] == {'dtype': 'float32', 'shape': [2]}
  assert said['image']['image_size'] == 8
  evaluate.run(run)
  assert files.read_json(run.path / 'report.json')['num_images'] == N // 4
  trained = bundle.load(run.path / 'checkpoints')
  assert trained.params['both']['kernel'].shape == (3, 4)
  rows = dataset.rows('test')
  batch = {s.name: s.take(rows) for s in run.streams(trained.description)}
  assert {*batch} == {'image', 'audio'}
  seen = trained.make_predict()
  here = np.asarray(seen(batch)['labels'])
  silent = np.asarray(seen({**batch, 'audio': 0 * batch['audio']})['labels'])
  assert (abs(here - silent) > 1e-3).any()
  model, optimizer = bundle.make_network(trained.description)
  seed = run.config.seed
  first = bundle.first_state(model, optimizer, trained.description, seed=seed)
  heard = [s.params['both']['kernel'][1:] for s in (first, trained)]
  assert (heard[0] != heard[1]).all()  # By the gradient.
  capsys.readouterr()
  train.run(make_run(run.path, num_steps=3))
  assert 'steps 3 to 3' in capsys.readouterr().out  # On from what was saved.
  with pytest.raises(ValueError, match='sees audio beside the image'):
    predict.run(run.config, run.path, run.watch)


def test_a_stream_that_lacks_is_told(dataset, monkeypatch, tmp_path):
  silent = dataclasses.replace(dataset, streams=())
  monkeypatch.setattr(loading, 'load', lambda config: silent)
  run = make_run(tmp_path / 'run')
  balance.run(run)
  with pytest.raises(ValueError, match=r"'audio'.* does not have.*\['image'\]"):
    train.run(run)


def test_a_stream_has_a_name_of_its_own(dataset):
  (audio,) = dataset.streams
  for name in ('image', 'labels', 'labels_known', 'augment'):
    with pytest.raises(ValueError, match='streams must have distinct names'):
      bad = (dataclasses.replace(audio, name=name),)
      dataclasses.replace(dataset, streams=bad)
  with pytest.raises(ValueError, match='streams must have distinct names'):
    dataclasses.replace(dataset, streams=(audio, audio))


def test_which_streams_there_are_is_pinned(dataset):
  (audio,) = dataset.streams
  wider = dataclasses.replace(audio, shape=(3,))
  prints = {
    dataclasses.replace(dataset, streams=some).fingerprint()
    for some in ((), (audio,), (wider,))
  }
  assert len(prints) == 3
