"""Actor Study: a table of images, or the folder that holds one."""

import random

import cv2
import numpy as np
import pytest

from aubal_jax.datasets.readers import actor_study


def make(folder, rng, called='t.csv'):
  """A table and the images of it that are there; the rows as written."""
  rows = []
  for k in range(rng.randint(2, 6)):
    if there := not k or rng.random() < 0.7:
      cv2.imwrite(str(folder / f'{k}.png'), np.zeros((4, 4), np.uint8))
    rows.append((f'{k}.png', rng.choice('ab'), k % 2, there))
  lines = ['path,subject,AU01', *(f'{p},{s},{a}' for p, s, a, _ in rows)]
  (folder / called).write_text('\n'.join(lines) + '\n')
  return rows


def test_rows_without_an_image_are_dropped_and_none_is_lost(tmp_path):
  rng = random.Random(0)
  for k in range(12):
    folder = tmp_path / str(k)
    folder.mkdir()
    rows = make(folder, rng, rng.choice(['t.csv', 'T.CSV']))
    for path in (
      folder,
      next(p for p in folder.iterdir() if p.suffix.lower() == '.csv'),
    ):
      found = actor_study.read(str(path))
      assert found.label_names == ('AU01',)
      assert found.labels[:, 0].tolist() == [a for _, _, a, _ in rows]
      assert found.groups.tolist() == [s for _, s, _, _ in rows]
      assert (~found.dropped).tolist() == [there for *_, there in rows]


def test_one_table_is_looked_for_and_what_is_there_told(tmp_path):
  rng = random.Random(1)
  names = ['a.csv', 'b.csv', 'notes.txt', 'c.png']
  for k in range(16):
    folder = tmp_path / str(k)
    folder.mkdir()
    held = [name for bit, name in enumerate(names) if k >> bit & 1]
    rng.shuffle(held)
    for name in held:
      (folder / name).touch()
    tables = [name for name in held if name.endswith('.csv')]
    if len(tables) == 1:
      continue
    with pytest.raises(FileNotFoundError, match=r'actor_study\.path') as told:
      actor_study.read(str(folder))
    message = str(told.value)
    assert ('found nothing' in message) == (not held)
    for name in held:
      assert (name in message) == (name in tables or not tables)
