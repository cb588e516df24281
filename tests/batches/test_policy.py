"""A user's pipeline: the same for (seed, epoch, row), and refused if bad."""

from concurrent import futures

import albumentations as A
import numpy as np
import pytest

from aubal_jax.batches import pipeline
from aubal_jax.batches import policy as policy_lib
from aubal_jax.datasets import streams
from aubal_jax.datasets import targets
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib

PYTHON = """
import albumentations as A

policy = A.Compose([
  A.HorizontalFlip(p=0.5),
  A.OneOf([A.RandomBrightnessContrast(p=1), A.GaussNoise(p=1)], p=0.9),
  A.Affine(rotate=(-20, 20), p=0.7),
])
other = A.Compose([A.Resize(8, 8)])
floats = A.Compose([A.ToFloat(max_value=255)])
number = 3
"""


@pytest.fixture(name='file')
def fixture_file(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(PYTHON)
  return path


def images(seed, count=6, channels=1):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (count, 20, 20, channels), np.uint8)


@pytest.mark.parametrize('channels', [1, 3])
def test_an_image_is_of_seed_epoch_and_row_alone(file, channels):
  rng = np.random.default_rng(channels)
  found = policy_lib.load(str(file), seed=5)
  for seed in range(3):
    x = images(seed, channels=channels)
    before = x.copy()
    epochs, rows = rng.integers(0, 9, 6), rng.permutation(100)[:6]
    whole = found(x, epochs, rows)
    np.testing.assert_array_equal(x, before)
    assert whole.shape == x.shape
    # Alone, in another order, by another that was loaded anew.
    again = policy_lib.load(str(file), seed=5)
    for i in rng.permutation(6):
      one = again(x[i : i + 1], int(epochs[i]), rows[i : i + 1])
      np.testing.assert_array_equal(one[0], whole[i])
    for other in (
      found(x, epochs + 1, rows),
      found(x, epochs, rows + 1),
      policy_lib.load(str(file), seed=6)(x, epochs, rows),
    ):
      assert (other != whole).any()


def test_threads_do_not_disturb_each_other(file):
  found = policy_lib.load(str(file), seed=1)
  x = images(0, 8)
  rows = [np.arange(8) + 8 * i for i in range(6)]
  alone = [found(x, 0, one) for one in rows]
  with futures.ThreadPoolExecutor(4) as pool:
    together = list(pool.map(lambda one: found(x, 0, one), rows))
  for a, b in zip(alone, together, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('ending', ['yaml', 'json'])
def test_a_serialised_pipeline_is_the_same(ending, tmp_path, file):
  source = policy_lib.load(f'{file}:policy', seed=2)
  path = tmp_path / f'saved.{ending}'
  A.save(source._pipeline, path, data_format=ending)
  found = policy_lib.load(str(path), seed=2)
  x, rows = images(3), np.arange(6)
  np.testing.assert_array_equal(found(x, 1, rows), source(x, 1, rows))
  assert policy_lib.digest(str(path)) != policy_lib.digest(f'{file}:policy')


def test_batches_are_augmented_by_it(file):
  """Rows that are to be, by any threads or processes; the others stay."""
  n = 12
  x = images(0, n)
  labels = np.ones((n, 1), np.uint8)
  plan = plan_lib.Plan(
    source=np.arange(n),
    augment=np.arange(n) % 2 == 0,
    partner=np.full(n, -1),
    label_names=('a',),
  )
  found = policy_lib.load(str(file), seed=3)
  batches = {}
  for workers, processes in ((1, 0), (3, 0), (1, 2)):
    made = pipeline.train_batches(
      plan,
      [streams.of_images(x.__getitem__, x.shape[1:])],
      {'labels': targets.Target('binary', labels, labels == 1, ('a',))},
      batch_size=4,
      seed=3,
      num_steps=6,
      num_workers=workers,
      num_processes=processes,
      policy=found,
    )
    batches[workers, processes] = [batch['image'] for batch in made]
  rows_of = pipeline.row_stream(n, batch_size=4, seed=3)
  for step, (one, *others) in enumerate(zip(*batches.values(), strict=True)):
    for other in others:
      np.testing.assert_array_equal(one, other)
    epochs, rows = rows_of(step)
    expected = x[rows].copy()
    chosen = plan.augment[rows]
    expected[chosen] = found(expected[chosen], epochs[chosen], rows[chosen])
    np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('absent.py', r"must be a file \.py, \.yaml or \.json.*'.*absent\.py'"),
    ('mine.txt', r'must be a file \.py'),
    ('mine.py:number', r"'number' in .*mine\.py must be a pipeline.*it is 3"),
    ('mine.py:absent', r"'absent' in .*it is None"),
    ('broken.py', r'cannot be loaded \(ZeroDivisionError'),
    ('broken.yaml', r'broken\.yaml cannot be loaded'),
    ('broken.json', r'broken\.json cannot be loaded'),
  ],
)
def test_what_is_no_pipeline_is_refused(spec, message, tmp_path, file):
  (tmp_path / 'mine.txt').write_text('')
  (tmp_path / 'broken.py').write_text('1 / 0')
  (tmp_path / 'broken.yaml').write_text('transform: {__class_fullname__: os}')
  (tmp_path / 'broken.json').write_text('{')
  with pytest.raises(errors.UserError, match=message):
    policy_lib.load(str(tmp_path / spec), seed=0)
  if spec in ('absent.py', 'mine.txt'):
    with pytest.raises(errors.UserError, match=message):
      policy_lib.digest(str(tmp_path / spec))


@pytest.mark.parametrize('name', ['other', 'floats'])
def test_images_of_another_form_are_refused(name, file):
  found = policy_lib.load(f'{file}:{name}', seed=0)
  with pytest.raises(errors.UserError, match=r'must give images uint8\[20, 20'):
    found(images(0), 0, np.arange(6))
