"""Columns of tables that are classes or numbers, in every form of a table."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from aubal_jax.datasets import labels
from aubal_jax.datasets import splits
from aubal_jax.datasets import target_columns
from aubal_jax.runs import errors
from aubal_jax.stages import run
from tests.makers import fake_data

MOODS = ('sad', 'Calm', 'glad')
COLUMNS = {
  'class_columns': ('mood:sad|Calm|glad', 'site'),
  'real_columns': ('valence', 'arousal', 'age:0:100'),
}


def drawn(rng, size):
  """Columns of a table: codes of moods and sites, numbers, a label."""
  return {
    'smile': rng.integers(0, 2, size),
    'mood': np.append(rng.integers(-1, 3, size - 3), [0, 1, 2]),
    'site': np.append(rng.choice([-1, 2, 10], size - 2), [2, 10]),
    'valence': np.where(rng.random(size) < 0.3, -5, rng.uniform(-1, 1, size)),
    'arousal': np.append(rng.uniform(-1, 1, size - 1), -1.0),
    'age': np.where(rng.random(size) < 0.3, -1, rng.integers(0, 101, size)),
  }


def written(folder, suffix, columns, rng):
  """Writes the columns, moods as names in any case, or as numbers."""
  path = folder / f't{suffix}'
  if suffix == '.npz':
    columns = {**columns}
    names = np.array([columns.pop('smile')]).T
    np.savez(path, labels=names, label_names=['smile'], **columns)
    return path
  texts = {name: values.tolist() for name, values in columns.items()}
  said = [*MOODS, '']  # The last of them is -1.
  texts['mood'] = [
    rng.choice([said[k], said[k].upper(), str(k) if k >= 0 else '-1'])
    for k in texts['mood']
  ]
  if suffix == '.parquet':
    parquet.write_table(pa.table(texts), path)
    return path
  path.write_text(csv_of(texts))
  return path


def csv_of(columns):
  """The text of a table of these columns."""
  lines = zip(*columns.values(), strict=True)
  return '\n'.join(','.join(map(str, line)) for line in (columns, *lines))


@pytest.mark.parametrize('suffix', ['.csv', '.parquet', '.npz'])
@given(seed=st.integers(0, 2**31))
def test_every_form_of_a_table_has_the_same_targets(
  tmp_path_factory, suffix, seed
):
  rng = np.random.default_rng(seed)
  columns = drawn(rng, int(rng.integers(4, 12)))
  path = written(tmp_path_factory.mktemp('table'), suffix, columns, rng)
  data = labels.load(path, **COLUMNS)
  assert data.label_names == ('smile',)
  np.testing.assert_array_equal(data.labels[:, 0], columns['smile'])
  assert {*data.targets} == {
    *('labels', 'mood', 'site', 'valence_arousal', 'age')
  }
  mood, site = data.targets['mood'], data.targets['site']
  assert (mood.names, site.names) == (MOODS, ('2', '10'))
  np.testing.assert_array_equal(
    np.where(mood.known, mood.values, -1), columns['mood']
  )
  np.testing.assert_array_equal(
    np.where(site.known, np.array([2, 10])[site.values], -1), columns['site']
  )
  both = data.targets['valence_arousal']
  assert (both.names, both.low, both.high) == (('valence', 'arousal'), -1, 1)
  numbers = np.where(both.known, both.values, -5)
  for k, name in enumerate(both.names):
    np.testing.assert_allclose(numbers[:, k], columns[name], atol=1e-6)
  age = data.targets['age']
  assert (age.low, age.high) == (0, 100)
  known = np.where(age.known, age.values, -1)[:, 0]
  np.testing.assert_array_equal(known, columns['age'])


@given(seed=st.integers(0, 2**31))
def test_a_table_may_have_no_label_at_all(tmp_path_factory, seed):
  rng = np.random.default_rng(seed)
  columns = drawn(rng, 12)
  del columns['smile']
  folder = tmp_path_factory.mktemp('table')
  (folder / 't.csv').write_text(csv_of(columns))
  np.savez(folder / 't.npz', **columns)
  prints = set()
  for name in ('t.csv', 't.npz'):
    data = labels.load(folder / name, **COLUMNS)
    assert data.labels.shape == (12, 0)
    with pytest.raises(errors.UserError, match=r'no 0/1 labels, only .*age, m'):
      run.need_labels(data)
    assert not any('label' in note for note in data.notes)
    prints.add(data.fingerprint())
  assert len(prints) == 1


def test_a_manifest_has_them_and_draws_splits_even_in_classes(tmp_path):
  fake_data.write_image(tmp_path / 'a.png', 9)
  lines = ['path,x,mood,valence,arousal']
  for k in range(40):
    (tmp_path / f'{k}.png').write_bytes((tmp_path / 'a.png').read_bytes())
    lines.append(f'{k}.png,{k % 2},{"glad" if k % 4 else "sad"},.5,-5')
  (tmp_path / 't.csv').write_text('\n'.join(lines))
  options = {
    'class_columns': ('mood',),
    'real_columns': ('valence', 'arousal'),
  }
  for seed in range(5):
    draw = splits.Draw(seed=seed)
    data = fake_data.load_manifest(tmp_path / 't.csv', draw=draw, **options)
    mood = data.targets['mood']
    for split in ('validation', 'test'):
      sad = mood.values[data.split == split] == mood.names.index('sad')
      assert sad.sum() in (1, 2), (seed, split)
  assert data.label_names == ('x',)
  both = data.targets['valence_arousal']
  assert both.known.tolist() == [[True, False]] * 40
  assert any("'arousal' of" in note for note in data.notes)


def bad(**changes):
  """A table with one column changed."""
  columns = {
    'x': [*'0101'],
    'mood': ['sad', 'glad', 'sad', ''],
    'age': [*'1234'],
  }
  return columns | changes


@pytest.mark.parametrize(
  ('columns', 'options', 'message'),
  [
    (bad(mood=['sad'] * 4), {'class_columns': ('mood',)},
     r"t\.csv:1: .*'mood' .*has 1 classes \(sad\).*2 to 32,767"),
    (bad(mood=[''] * 4), {'class_columns': ('mood',)}, r'has 0 classes'),
    (bad(mood=['sad', 'Sad', 'a', 'b']), {'class_columns': ('mood',)},
     r'distinct in any case'),
    (bad(), {'class_columns': ('mood:sad|mad',)},
     r"t\.csv:3: column 'mood' holds 'glad'\. A class is one of 'sad', 'mad'"),
    (bad(mood=[*'0127']), {'class_columns': ('mood:a|b|c',)},
     r"t\.csv:5: column 'mood' holds '7'\. .*number from 0"),
    (bad(), {'class_columns': ('mod',)}, r"'mod'.*Did you mean 'mood'"),
    (bad(), {'class_columns': ('mood', 'mood')}, 'distinct columns'),
    (bad(), {'class_columns': ('age',), 'real_columns': ('age:0:9',)},
     'distinct columns'),
    (bad(), {'real_columns': ('age',)},
     r"t\.csv:3: column 'age' holds '2'.*\[-1, 1\].*'age:LOW:HIGH'"),
    (bad(age=['1', '-5', 'nan', 'inf']), {'real_columns': ('age:0:9',)},
     r"t\.csv:5: column 'age' holds 'inf'"),
    (bad(), {'real_columns': ('age:9:0',)}, r'LOW below HIGH'),
    (bad(), {'real_columns': ('age:a:b',)}, r'LOW below HIGH'),
    (bad(), {'real_columns': ('ag',)}, r"'ag'.*Did you mean 'age'"),
    (bad(), {'real_columns': ('age:0:9',), 'label_columns': ('age',)},
     r"label_columns names 'age'"),
  ],
)  # fmt: skip
def test_bad_columns_are_one_message(tmp_path, columns, options, message):
  (tmp_path / 't.csv').write_text(csv_of(columns))
  with pytest.raises(errors.UserError, match=message):
    labels.load(tmp_path / 't.csv', **options)


def test_files_without_columns_take_none(tmp_path):
  np.save(tmp_path / 't.npy', np.eye(3))
  with pytest.raises(errors.UserError, match=r"t\.npy: .*'mood'.*out"):
    labels.load(tmp_path / 't.npy', class_columns=('mood',))
  np.savez(tmp_path / 't.npz', labels=np.eye(3), mood=np.eye(3))
  with pytest.raises(errors.UserError, match=r"'mood' must be .*\[3\]"):
    labels.load(tmp_path / 't.npz', class_columns=('mood',))


def test_a_column_may_be_called_like_an_entry():
  columns = ('a:0:9', 'b')
  assert target_columns.column_of('a:0:9', columns) == 'a:0:9'
  assert target_columns.column_of('b:0:9', columns) == 'b'
