"""Drawn faces, each known to one task, teach all of them."""

import importlib.util
import json
import pathlib
import time

import pytest

from aubal_jax.network import log
from aubal_jax.runs import progress
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train

CONFIG = pathlib.Path(__file__).parents[2] / 'configs/multitask.py'


def make_run(path, **options):
  spec = importlib.util.spec_from_file_location('multitask', CONFIG)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  for name, value in options.items():
    section, _, key = name.partition('__')
    config[section][key] = value
  run = run_lib.load(config, path, progress.Watch(time.perf_counter()))
  balance.run(run)
  train.run(run)
  return run


@pytest.mark.long
def test_all_tasks_are_learnt(tmp_path):
  """In a few steps, not well: what no task is to be is guessing."""
  run = make_run(
    tmp_path,
    augment__rows='none',
    data__image_size=32,
    data__num_train=900,
    data__num_validation=210,
    data__num_test=0,
    distill__students=0,
    multitask__batching='mixed',
    train__num_steps=120,
    train__eval_every_steps=1000,
    train__checkpoint_every_steps=1000,
    train__learning_rate=3e-3,
  )
  lines = log.read_lines(tmp_path / 'metrics.jsonl')
  (found,) = (x['validation'] for x in lines if 'validation' in x)
  share = run.dataset.labels[run.dataset.rows('validation')].mean(axis=0)
  assert found['f1_macro'] > (2 * share / (1 + share)).mean()  # All positive.
  assert found['expression_accuracy'] > 0.2  # Of seven.
  assert found['valence_arousal_ccc_mean'] > 0.15


@pytest.mark.long
def test_the_small_form_learns_what_it_should(tmp_path):
  evaluate.run(make_run(tmp_path, distill__students=0))
  report = json.loads((tmp_path / 'report.json').read_text())
  targets = report['targets']
  assert report['f1_macro'] > 0.7
  assert targets['expression']['accuracy'] > 0.55
  affect = targets['valence_arousal']['of_each']
  assert min(affect[name]['ccc'] for name in ('valence', 'arousal')) > 0.6
