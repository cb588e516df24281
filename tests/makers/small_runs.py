"""Images with a table, and runs of a few steps on them."""

import contextlib
import json
import pathlib
import time

import cv2
import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.report import style
from tests.makers import small_network

_TIMED = ('images_per_second', 'input_wait_fraction')


def write_manifest(folder, num_images=60, size=20):
  """Images whose label `bright` and `edge` can be seen; `rare` cannot."""
  rng = np.random.default_rng(0)
  lines = ['path,split,bright,edge,rare']
  (folder / 'images').mkdir(parents=True)
  for i in range(num_images):
    bright, edge, rare = rng.random(3) < [0.5, 0.3, 0.1]
    image = rng.integers(0, 80, (size, size), np.uint8) + 100 * bright
    image[:, size // 2 :] += np.uint8(70 * edge)
    cv2.imwrite(str(folder / f'images/{i}.png'), image.astype(np.uint8))
    split = ('train', 'train', 'validation', 'test')[i % 4]
    unknown = '' if i == 4 else int(edge)
    lines.append(f'images/{i}.png,{split},{bright:d},{unknown},{rare:d}')
  (folder / 'table.csv').write_text('\n'.join(lines) + '\n')
  return folder / 'table.csv'


def configure(folder):
  """Returns a configuration of six steps on images that it writes."""
  c = settings.default()
  c.data.name = 'manifest'
  c.data.path = str(write_manifest(folder / 'data'))
  c.data.image_size = 32
  c.balance.optimizer = 'newton'
  c.balance.lam_images = 100
  c.model.name = small_network.NAME
  c.train.batch_size = 8
  c.train.num_steps = 6
  c.train.eval_every_steps = 3
  c.train.checkpoint_every_steps = 2
  c.train.log_every_steps = 1
  return c


def configure_cells(folder):
  """Returns one of four steps, for `search` and `compare`."""
  c = configure(folder)
  c.data.image_size = 16
  c.balance.method = 'none'
  c.train.batch_size = 4
  c.train.num_steps = 4
  c.train.eval_every_steps = 2
  c.train.checkpoint_every_steps = 1
  c.search.losses = ('bce',)
  c.compare.methods = ('none', 'ml_ros')
  c.compare.models = (small_network.NAME,)
  c.compare.seeds = 1
  return c


def run(config, path, task='run', **options):
  """Runs a task; returns the folder."""
  config.task = task
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return pathlib.Path(path)


def strip_times(path):
  """Returns the lines of metrics.jsonl without what a clock says."""
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  return [{k: v for k, v in line.items() if k not in _TIMED} for line in lines]


@contextlib.contextmanager
def without_pictures():
  """Has pages without what takes them longest, where nobody looks at them."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(style, 'draw', lambda *_, **__: b'<svg></svg>')
    yield
