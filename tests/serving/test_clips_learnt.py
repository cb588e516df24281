"""A network that learnt drawn faces finds what is drawn in a clip."""

import csv
import shutil
import time

import numpy as np
import pytest
from sklearn import metrics

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.datasets import action_units
from aubal_jax.datasets.drawn import films
from aubal_jax.datasets.drawn import write_films
from aubal_jax.network import bundle
from aubal_jax.runs import files
from aubal_jax.scoring import smoothing


def read(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


@pytest.mark.long
def test_drawn_labels_are_found_in_a_clip(tmp_path):
  pytest.importorskip('av')
  drawn = films.draw(
    {'train': 10 * 240, 'validation': 480, 'test': 480}, seed=1
  )
  tree = write_films.write(
    tmp_path / 'tree', drawn, image_size=48, suffix='.mp4'
  )
  c = settings_lib.default()
  c.data.name, c.data.path = 'manifest', str(tree.table)
  c.data.label_columns = action_units.CODES
  c.data.group_column, c.data.frame_column = 'subject', 'frame'
  c.data.image_size = 48
  c.balance.method = 'none'
  c.augment.rows = 'none'
  c.model.name = 'resnet8_16'
  c.train.batch_size, c.train.num_steps = 32, 400
  c.train.eval_every_steps = 100
  run = tmp_path / 'run'
  for task in ('balance', 'train'):
    c.task = task
    commands.run_task(c, run, started=time.perf_counter())
  kept = bundle.load(run / 'checkpoints').thresholds[bundle.LABELS]
  assert kept.smooth in smoothing.WIDTHS
  truth = [row for row in read(tree.table) if row['split'] == 'test']
  names = sorted({row['subject'] for row in truth})
  (tmp_path / 'in').mkdir()
  for name in names:
    shutil.copy(tree.clips / f'{name}.mp4', tmp_path / 'in')
  scores = {}
  for width in (-1, 0):
    c = settings_lib.default()
    c.data.name, c.task = 'manifest', 'predict'
    c.predict.path = str(tmp_path / 'in')
    c.predict.out = str(tmp_path / f'{width}.csv')
    c.predict.smooth = width
    commands.run_task(c, run, started=time.perf_counter())
    rows = read(c.predict.out)
    # A row for each frame, in order, of clip after clip.
    assert len(rows) == len(truth) == 480
    label, found, said = (
      np.array([[float(row[f'{n}{end}']) for n in action_units.CODES]
        for row in of])
      for of, end in ((truth, ''), (rows, ''), (rows, '_decision'))
    )  # fmt: skip
    varied = np.flatnonzero(np.ptp(label, axis=0) > 0)
    auc = metrics.roc_auc_score(label[:, varied], found[:, varied])
    f1 = metrics.f1_score(label, said, average='macro', zero_division=0)
    scores[width] = auc, f1
    record = files.read_json(f'{c.predict.out}.json')
    assert record['smooth'] == (kept.smooth if width else 1)
  chance = metrics.f1_score(
    label, np.ones_like(label), average='macro', zero_division=0
  )
  assert min(auc for auc, _ in scores.values()) > 0.75
  assert min(f1 for _, f1 in scores.values()) > chance
