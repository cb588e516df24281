"""What a training run is made of."""

import types

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import targets
from aubal_jax.network import heads
from aubal_jax.network import losses
from aubal_jax.scoring import course
from aubal_jax.stages import train
from aubal_jax.stages import train_parts


def test_the_loss_of_labels_is_told_how_often_each_is_in_training():
  cells = np.eye(3, dtype=np.uint8)[[0, 1, 1, 2, 1, 0, 2]]
  known = np.repeat(np.array([1, 1, 1, 1, 1, 0, 1], bool)[:, None], 3, axis=1)
  target = targets.Target('binary', cells * known, known, (*'abc',))
  plan = types.SimpleNamespace(source=np.array([0, 1, 2, 3, 4, 5, 1, 1]))
  head = heads.Head('labels', 'binary', (*'abc',), loss='bce_weighted')
  loss = train_parts._make_loss(settings.default(), head, target, plan)
  # Of the five rows that train and are known.
  wanted = losses.make_loss('bce_weighted', frequency=[0.2, 0.6, 0.2])
  logits = np.array([[0.5, -1.0, 2.0], [0.0, 1.0, -3.0]], np.float32)
  batch = logits, np.eye(3)[[2, 0]], np.ones((2, 3))
  np.testing.assert_allclose(loss(*batch), wanted(*batch), rtol=1e-6)


@pytest.mark.parametrize('seed', range(8))
def test_a_line_says_where_training_looks_short_of_its_rate(capsys, seed):
  rng = np.random.default_rng(seed)
  scores = rng.random(4)
  lines = [
    {'step': i, 'validation': {'f1_macro': float(x)}}
    for i, x in enumerate(scores, 1)
  ]
  if seed % 2:
    lines.append({'step': 5, 'validation': {'f1_macro': 1.0}})
  train._tell_short(lines)
  said = capsys.readouterr().out
  short = course.seems_short(lines)
  assert bool(short) == (seed % 2 == 1 or scores.argmax() == 3)
  assert (f'train: looks short of its rate: {short};' in said) == bool(short)
  assert said.count('\n') == bool(short)
