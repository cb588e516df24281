"""The whole line on drawn faces with labels, an expression and two numbers."""

import csv
import time

import flax.linen as nn
import numpy as np
import pytest
from sklearn import metrics as sk

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.datasets import loading
from aubal_jax.network import models
from aubal_jax.runs import files

TARGETS = ('labels', 'expression', 'valence_arousal')


class Flat(nn.Module):
  """A network that is compiled at once."""

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    del train
    return nn.Dense(8)(image.reshape(image.shape[0], -1)).astype('float32')


def configuration(network='flat'):
  c = settings_lib.default()
  c.task = 'run'
  c.data.name, c.data.image_size = 'synthetic', 32
  c.data.drawn_targets, c.data.drawn_apart = TARGETS, True
  c.data.num_train, c.data.num_validation, c.data.num_test = 45, 30, 30
  c.balance.method = 'none'
  c.model.name = network
  c.train.batch_size, c.train.num_steps = 16, 3
  c.train.eval_every_steps = c.train.checkpoint_every_steps = 3
  c.evaluate.batch_size = c.predict.batch_size = 30
  return c


@pytest.fixture(
  name='whole',
  scope='module',
  params=['flat', pytest.param('resnet8_16', marks=pytest.mark.long)],
)
def fixture_whole(request, tmp_path_factory):
  """A run, and what it predicts."""
  path = tmp_path_factory.mktemp('whole') / 'run'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(models, 'MODELS', {**models.MODELS, 'flat': Flat})
    config = configuration(request.param)
    commands.run_task(config, path, started=time.perf_counter())
    config = settings_lib.default()
    config.task, config.data.name = 'predict', 'manifest'
    config.predict.batch_size = 30
    commands.run_task(config, path, started=time.perf_counter())
  return path


def test_what_is_predicted_scores_as_the_report_says(whole):
  report = files.read_json(whole / 'report.json')
  with open(whole / 'predictions.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  dataset = loading.load(configuration())
  test = dataset.rows('test')
  assert [row['path'] for row in rows] == dataset.ids[test].tolist()
  mood, affect = (dataset.targets[name] for name in TARGETS[1:])
  truth = mood.values[test]
  said = [mood.names.index(row['expression']) for row in rows]
  entry = report['targets']['expression']
  accuracy = sk.accuracy_score(truth, said)
  assert entry['accuracy'] == round(accuracy, 6)
  f1 = sk.f1_score(
    *(truth, said), labels=range(7), average='macro', zero_division=0
  )
  assert entry['f1_macro'] == pytest.approx(f1, abs=1e-6)
  np.testing.assert_array_equal(
    entry['confusion'], sk.confusion_matrix(truth, said, labels=range(7))
  )
  entry, cccs = report['targets']['valence_arousal'], []
  for k, name in enumerate(affect.names):
    x, y = np.array([float(r[name]) for r in rows]), affect.values[test, k]
    shared = np.cov(x, y.astype(float), bias=True)
    apart = (x.mean() - y.astype(float).mean()) ** 2
    cccs.append(2 * shared[0, 1] / (np.trace(shared) + apart))
    assert entry['of_each'][name]['ccc'] == pytest.approx(cccs[-1], abs=2e-6)
  labels = 0.5 * report['f1_macro'] + 0.5 * report['accuracy']
  mood = report['targets']['expression']
  all_of_them = labels + 0.67 * f1 + 0.33 * mood['accuracy'] + sum(cccs)
  assert report['challenge']['overall'] == pytest.approx(all_of_them, abs=1e-5)


def test_the_page_and_the_card_show_every_target(whole):
  page = (whole / 'report.html').read_text(encoding='utf-8')
  card = (whole / 'checkpoints/card.md').read_text(encoding='utf-8')
  for name in TARGETS[1:]:
    assert f'Target {name}' in page
    assert f'The target {name.replace("_", chr(92) + "_")}, on 30' in card
