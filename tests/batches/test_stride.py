"""One of each k rows an epoch, by (seed, epoch, row), and drawn targets."""

import numpy as np
import pytest

from aubal_jax.batches import pipeline
from aubal_jax.datasets import streams
from aubal_jax.datasets import targets
from aubal_jax.tables import plan as plan_lib


def rows_of_batches(num_rows, num_steps, *, learnt=None, **arguments):
  """Returns the rows of a plan that batches show, and the batches."""
  plan = plan_lib.Plan(
    source=np.arange(num_rows),
    augment=np.zeros(num_rows, bool),
    partner=np.full(num_rows, -1),
    label_names=('a',),
  )
  labels = np.zeros((num_rows, 1), np.uint8)
  known = np.ones((num_rows, 1), bool)
  learnt = learnt or {}
  learnt['labels'] = targets.Target('binary', labels, known, ('a',))
  row = streams.Stream(
    'sound', np.dtype('f4'), (1,), lambda x: x[:, None].astype(np.float32)
  )
  batches = [
    *pipeline.train_batches(
      plan, [row], learnt, num_steps=num_steps, **arguments
    )
  ]
  shown = [batch['sound'][:, 0].astype(int) for batch in batches]
  return np.concatenate(shown), batches


@pytest.mark.parametrize('seed', range(6))
def test_an_epoch_has_one_of_each_k_rows_that_follow(seed):
  rng = np.random.default_rng(seed)
  num_rows, stride = int(rng.integers(9, 60)), int(rng.integers(2, 9))
  order = rng.permutation(num_rows)
  place = np.argsort(order)
  per_epoch = -(-num_rows // stride)
  shown, _ = rows_of_batches(
    *(num_rows, 5),
    **{'batch_size': per_epoch, 'seed': seed, 'stride': stride, 'order': order},
  )
  epochs = shown.reshape(5, per_epoch)
  for epoch in epochs:
    assert sorted(place[epoch] // stride) == [*range(per_epoch)]
  assert len({tuple(sorted(epoch)) for epoch in epochs}) > 1
  again, _ = rows_of_batches(
    *(num_rows, 2),
    **{'batch_size': per_epoch, 'seed': seed, 'stride': stride, 'order': order},
    start_step=3,
  )
  assert again.tolist() == shown[3 * per_epoch :].tolist()


def test_each_of_the_k_rows_is_drawn_as_often():
  shown, _ = rows_of_batches(12, 400, batch_size=3, seed=1, stride=4)
  counts = np.bincount(shown, minlength=12)
  assert counts.sum() == 1200
  assert abs(counts - 100).max() < 40


def test_a_target_may_be_drawn_by_row():
  class Drawn(targets.Target):
    def drawn(self, rows, unit):
      assert unit.shape == (len(rows), 2)
      assert ((unit >= 0) & (unit < 1)).all()
      return (unit[:, 0] < 0.5).astype(np.int16), unit[:, 1] < 0.25

  target = Drawn('class', np.zeros(40, np.int16), np.ones(40, bool), ('a', 'b'))
  learnt = {'expression': target}
  options = {'batch_size': 8, 'seed': 3, 'learnt': learnt}
  _, batches = rows_of_batches(40, 60, **options)
  values = np.concatenate([batch['expression'] for batch in batches])
  known = np.concatenate([batch['expression_known'] for batch in batches])
  assert 0.4 < values.mean() < 0.6
  assert 0.2 < known.mean() < 0.3
  _, again = rows_of_batches(40, 4, start_step=50, **options)
  for one, other in zip(batches[50:54], again, strict=True):
    assert one['expression'].tolist() == other['expression'].tolist()
