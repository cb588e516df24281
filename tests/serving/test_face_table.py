"""Tables of faces: columns, cells, CSV and Parquet, py-feat's names."""

import csv
import re

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from aubal_jax.network import heads as heads_lib
from aubal_jax.serving import clips
from aubal_jax.serving import face_table

HEADS = (
  heads_lib.Head('expression', 'class', ('Neutral', 'Anger', '=1+1'), loss=''),
  heads_lib.Head('va', 'real', ('valence', 'arousal'), loss=''),
  heads_lib.Head('more', 'binary', ('glasses',), loss=''),
)
WIDTH = 2 + 3 + 2 + 1
NAMES = ('AU1', 'AU25')
THRESHOLDS = np.array([0.3, 0.7])


def made_blocks(seed=0, names=('a.mp4', '=b.png', 'ü,"c".avi')):
  """Blocks of a clip, an image and a clip, with faces and without."""
  rng = np.random.default_rng(seed)
  for item, name in enumerate(names):
    rows = []
    for frame in range(1 if name.endswith('png') else 9):
      number = None if name.endswith('png') else 2 * frame
      time = None if number is None else number / 30
      count = int(rng.integers(0, 3))
      rows += [
        clips.Row(
          *(item, number, time, face, (100 * rng.random(4)).tolist()),
          rng.random(),
        )
        for face in range(1, count + 1)
      ] or [clips.Row(item, number, time, status='no face found')]
    values = rng.random((len(rows), WIDTH)).astype(np.float32)
    # Some are a threshold, or the float32 next to it.
    for k in range(2):
      near = rng.random(len(rows)) < 0.2
      t = np.float32(THRESHOLDS[k])
      values[near, k] = rng.choice([t, np.nextafter(t, 0, dtype=np.float32)])
    values[[row.status != 'ok' for row in rows]] = np.nan
    yield face_table.Block(name, rows, values)


def written(path, form='faces', seed=0, names=NAMES, raw=False, others=HEADS):
  columns = face_table.columns(form, names, THRESHOLDS, others)
  face_table.write(path, made_blocks(seed), columns, raw=raw)
  return columns


def read_csv(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


@pytest.mark.parametrize('seed', range(5))
def test_cells_are_what_was_predicted(tmp_path, monkeypatch, seed):
  monkeypatch.setattr(face_table, '_SLICE_ROWS', 4)
  written(tmp_path / 'x.csv', seed=seed)
  rows = read_csv(tmp_path / 'x.csv')
  assert [*rows[0]] == [
    *('file', 'frame', 'timestamp', 'face', 'face_x', 'face_y', 'face_width'),
    *('face_height', 'confidence', 'status', 'AU1', 'AU1_decision', 'AU25'),
    *('AU25_decision', 'expression', 'expression_Neutral', 'expression_Anger'),
    *("expression_=1+1", 'valence', 'arousal', 'more_glasses'),
    'more_glasses_decision',
  ]  # fmt: skip
  at = 0
  for block in made_blocks(seed):
    for row, values in zip(block.rows, block.values, strict=True):
      cells = rows[at]
      at += 1
      assert cells['file'].removeprefix("'") == block.name
      assert cells['frame'] == ('' if row.frame is None else str(row.frame))
      assert cells['status'] == row.status
      if row.status != 'ok':
        assert set(list(cells.values())[10:]) == {''}
        assert cells['face'] == cells['face_x'] == cells['confidence'] == ''
        continue
      for k, name in enumerate(NAMES):
        p = float(cells[name])
        assert np.float32(p) == values[k]
        assert cells[f'{name}_decision'] == str(int(p >= THRESHOLDS[k]))
        assert int(values[k] >= THRESHOLDS[k]) == int(p >= THRESHOLDS[k])
      said = HEADS[0].names[values[2:5].argmax()]
      assert cells['expression'].removeprefix("'") == said
      assert np.float32(cells['valence']) == values[5]
      assert cells['more_glasses_decision'] == str(int(values[7] >= 0.5))
      assert float(cells['face_width']) == pytest.approx(row.box[2], abs=0.006)
  assert at == len(rows)


@pytest.mark.parametrize('form', face_table.FORMS)
def test_parquet_says_the_same(tmp_path, monkeypatch, form):
  monkeypatch.setattr(face_table, '_GROUP_ROWS', 10)
  columns = written(tmp_path / 'x.parquet', form)
  written(tmp_path / 'again.parquet', form)
  once = (tmp_path / 'x.parquet').read_bytes()
  assert once == (tmp_path / 'again.parquet').read_bytes()
  written(tmp_path / 'x.csv', form, raw=True)
  table = parquet.read_table(tmp_path / 'x.parquet')
  kinds = {c.name: c.kind for c in columns}
  for name, kind in kinds.items():
    field = table.schema.field(name).type
    assert (kind == 'text') == (field == pyarrow.string())
    assert (kind == 'float32') == (field == pyarrow.float32())
  rows = read_csv(tmp_path / 'x.csv')
  assert table.num_rows == len(rows)
  shows = {c.name: c.show for c in columns}
  for held, cells in zip(table.to_pylist(), rows, strict=True):
    for name, value in held.items():
      shown = '' if value is None else shows[name](value)
      assert shown == cells[name]


@given(
  st.lists(
    st.sampled_from(
      ['file', 'frame', 'AU1', 'AU1_decision', 'face_x', 'AU04_r', 'valence']
    ),
    unique=True,
    min_size=1,
  )
)
def test_columns_differ_and_no_probability_is_called_an_intensity(names):
  half = np.full(len(names), 0.5)
  for form in face_table.FORMS:
    columns = face_table.columns(form, names, half, HEADS)
    found = [column.name for column in columns]
    assert len({*found}) == len(found)
    for column in columns:
      assert not re.fullmatch(r'AU\d+_r', column.name)


def test_py_feat_has_its_names(tmp_path):
  """As in feat/utils/__init__.py of py-feat, and in what its detectors give."""
  names = ('AU1', 'au_25', 'AU04_r', 'Blink')
  emotions = ('Neutral', 'Happy', 'SAD', 'Contempt')
  heads = (heads_lib.Head('e', 'class', emotions, loss=''), HEADS[1])
  columns = face_table.columns('pyfeat', names, np.full(4, 0.5), heads)
  assert [column.name for column in columns] == [
    *('frame', 'input', 'FaceRectX', 'FaceRectY', 'FaceRectWidth'),
    *('FaceRectHeight', 'FaceScore', 'AU01', 'AU25', 'AU04', 'Blink'),
    *('neutral', 'happiness', 'sadness', 'e_Contempt', 'valence', 'arousal'),
  ]
  written(tmp_path / 'x.csv', 'pyfeat')
  rows = read_csv(tmp_path / 'x.csv')
  blocks = [*made_blocks()]
  assert len(rows) == sum(len(block.rows) for block in blocks)
  first = next(row for row in rows if row['AU01'])
  assert 'status' not in first and first['input'] == 'a.mp4'
  assert {row['frame'] for row in rows if 'png' in row['input']} == {'0'}
