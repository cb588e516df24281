"""Runs of two streams: a row of a plan is a frame, clip and sound follow it."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from aubal_jax.batches import pipeline
from aubal_jax.datasets.drawn import films as films_lib
from aubal_jax.datasets.drawn import write_films
from aubal_jax.network import log
from aubal_jax.runs import progress
from aubal_jax.stages import balance
from aubal_jax.stages import learnt
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train
from aubal_jax.tables import plan as plan_lib

CONFIG = pathlib.Path(__file__).parents[2] / 'configs/two_stream.py'


def configuration(**options):
  spec = importlib.util.spec_from_file_location('two_stream', CONFIG)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  for name, value in options.items():
    section, _, key = name.rpartition('__')
    (config[section] if section else config)[key] = value
  return config


def load(path, **options):
  config = configuration(**options)
  return run_lib.load(config, path, progress.Watch(time.perf_counter()))


TINY = {
  'data__image_size': 16,
  'data__num_train': 300,
  'data__num_validation': 24,
  'data__num_test': 24,
}


@pytest.mark.parametrize(
  'method',
  [
    *('lp_ros', 'keep_random'),
    *(pytest.param(name, marks=pytest.mark.long) for name in ('aubal', 'keep')),
  ],
)
def test_a_row_of_a_plan_is_a_frame(tmp_path, method):
  run = load(tmp_path, **TINY, balance__method=method, keep__share=0.25)
  balance.run(run)
  data = run.dataset
  plan = plan_lib.load(
    tmp_path / 'plan.npz', num_rows=len(data), label_names=data.label_names
  )
  if method.startswith('keep'):
    assert len(plan) == 75
  else:
    assert len(plan) > 300
    assert plan.augment.any()
  streams = [data.stream(name) for name in ('clip', 'sound')]
  batches = pipeline.train_batches(
    *(plan, streams, {'labels': data.targets['labels']}),
    **{'batch_size': 25, 'seed': 0, 'num_steps': 3, 'augment_rows': 'none'},
  )
  clip, sound = streams
  everything = clip.take(np.arange(300)), sound.take(np.arange(300))
  rows_of = pipeline.row_stream(len(plan), batch_size=25, seed=0)
  index = np.arange(300)[:, None] - 6 * np.arange(3, -1, -1)
  for step, batch in enumerate(batches):
    rows = plan.source[rows_of(step)[1]]
    np.testing.assert_array_equal(batch['sound'], everything[1][rows])
    np.testing.assert_array_equal(batch['clip'], everything[0][rows])
    # Frames of a clip are seen, whether they are kept or not.
    for one, row in zip(batch['clip'], rows, strict=True):
      first = 240 if row >= 240 else 0
      for k, frame in enumerate(index[row]):
        picture = data.load_images(np.array([max(frame, 0)]))[0]
        wanted = picture if frame >= first else 0 * picture
        np.testing.assert_array_equal(one[k, ..., :1], wanted)


def test_an_epoch_is_every_kth_frame(tmp_path):
  run = load(tmp_path, **TINY, train__num_steps=0, train__num_epochs=3.0)
  assert learnt.stride(run.config) == 4
  assert run.num_steps == -(-3 * 75 // 32)
  other = dataclasses.replace(
    run, config=configuration(model__name='resnet8_16')
  )
  assert learnt.stride(other.config) == 1


def test_a_row_that_is_dropped_is_seen_in_clips(tmp_path):
  """Its labels disagree; its face is there, read once like the others."""
  drawn = films_lib.draw({'train': 240, 'validation': 40, 'test': 40}, 3)
  tree = write_films.write(tmp_path / 'tree', drawn, image_size=16)
  settings = {
    name.replace('.', '__'): value
    for name, value in write_films.SETTINGS.items()
  }
  run = load(
    tmp_path / 'run',
    **settings,
    data__path=str(tree.table),
    data__image_size=16,
    data__drawn_sound=False,
    data__drawn_targets=('labels',),
    data__cache_dir=str(tmp_path / 'cache'),
    two_stream__sound_dir=str(tree.sounds),
    two_stream__filter=True,
    multitask__targets=(),
  )
  dropped = run.dataset.split == 'dropped'
  assert dropped.any()
  earlier = np.flatnonzero(dropped[:234] & ~dropped[6:240])
  assert len(earlier)
  stream = run._stream('clip')
  assert np.isin(earlier, stream.pictures).all()
  clips = stream.take(earlier + 6)
  pictures = run.dataset.load_images(earlier)
  np.testing.assert_array_equal(clips[:, -2, ..., :1], pictures)
  assert len(stream.take(run.dataset.rows('train'))) == 240 - dropped.sum()


def test_streams_are_those_of_the_modalities(tmp_path):
  for modalities, names in (
    *(('both', ['clip', 'sound']), ('video', ['clip']), ('audio', ['sound'])),
  ):
    run = load(tmp_path, **TINY, two_stream__modalities=modalities)
    assert [stream.name for stream in run.dataset.streams] == names
    assert sorted(run.sees) == names
    run.need_streams()
    assert (run.images_seen() is None) == (modalities == 'audio')


def train_in_steps(path, modalities, *stops):
  """Trains a tiny run up to each of some steps; returns what it logs."""
  for stop in stops:
    run = load(
      path,
      **TINY,
      data__drawn_targets=('labels', 'expression', 'valence_arousal'),
      two_stream__frames=2,
      two_stream__modalities=modalities,
      train__batch_size=8,
      train__num_steps=stop,
      train__schedule='constant',  # A cosine would end at each stop.
      train__eval_every_steps=4,
      train__checkpoint_every_steps=2,
      train__log_every_steps=2,
    )
    if not (path / 'plan.npz').exists():
      balance.run(run)
    train.run(run)
  return [
    {k: v for k, v in line.items() if k not in TIMES}
    for line in log.read_lines(path / 'metrics.jsonl')
  ]


TIMES = ('images_per_second', 'input_wait_fraction')


@pytest.mark.long
@pytest.mark.parametrize('modalities', ['both', 'audio'])
def test_what_is_resumed_is_what_goes_straight_on(tmp_path, modalities):
  straight = train_in_steps(tmp_path / 'straight', modalities, 8)
  resumed = train_in_steps(tmp_path / 'resumed', modalities, 3, 8)
  # What is logged is a mean over steps; that of a stop is one more.
  ends = [[line for line in x if line['step'] > 4] for x in (straight, resumed)]
  assert ends[0] == ends[1]
  assert [line['step'] for line in ends[0]] == [6, 8, 8]


def train_apart(path, *flags):
  """Runs the small form in a process of its own; returns its report."""
  env = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  subprocess.run(
    [
      *(sys.executable, '-m', 'aubal_jax.main', f'--config={CONFIG}'),
      *(f'--workdir={path}', *flags),
    ],
    check=True,
    env=env | {'PYTHONPATH': str(CONFIG.parents[1])},
  )
  return json.loads((path / 'report.json').read_text())


@pytest.mark.long
@pytest.mark.parametrize('seed', range(3))
def test_no_sense_tells_more_than_it_can(tmp_path, seed):
  """And both together tell what neither does."""
  found = {}
  for modalities in ('video', 'audio', 'both'):
    report = train_apart(
      tmp_path / modalities,
      f'--config.seed={seed}',
      f'--config.two_stream.modalities={modalities}',
    )
    affect = report['targets']['valence_arousal']['of_each']
    found[modalities] = affect['arousal']['ccc']
  c = configuration()
  sizes = {
    name: c.data[f'num_{name}'] for name in ('train', 'validation', 'test')
  }
  bounds = films_lib.ceilings(films_lib.draw(sizes, seed))['test']
  assert found['video'] <= bounds['video'] + 0.03
  assert 0.6 < found['audio'] <= bounds['audio'] + 0.03
  assert found['both'] > 0.8


def test_guesses_are_in_training_alone(tmp_path):
  run = load(tmp_path, **TINY, two_stream__pseudo_labels=True)
  data = run.dataset
  lacking = np.arange(len(data)) % 2 == 0
  data = dataclasses.replace(
    data,
    targets={
      **data.targets,
      'expression': data.targets['expression'].where(~lacking),
    },
  )
  found = learnt.in_training(run.config, data)
  assert {*found} == {*data.targets}
  assert not data.targets['expression'].known[lacking].any()
  rows = np.flatnonzero(lacking)
  _, known = found['expression'].drawn(rows, np.zeros((len(rows), 2)))
  assert (known == (data.split[rows] == 'train')).all()
