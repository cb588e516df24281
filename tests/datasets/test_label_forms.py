"""Labels as names, indices and lists in one column; several rows an image."""

import json

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from pyarrow import parquet

from aubal_jax.datasets import label_forms
from aubal_jax.datasets import labels
from aubal_jax.datasets import manifest

NAMES = ('cat', 'big dog', 'émeu', '10', '9')
SETS = st.lists(
  st.lists(st.sampled_from(NAMES), unique=True, max_size=4),
  min_size=1,
  max_size=12,
).filter(any)


def write(folder, cells, column='tags'):
  """Writes a table of ids and cells; quotes are doubled, as CSV has it."""
  path = folder / 't.csv'
  quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
  rows = [f'i{n}.png,{cell}' for n, cell in enumerate(quoted)]
  path.write_text('\n'.join([f'path,{column}', *rows]) + '\n')
  return path


def table_of(sets):
  """Returns the names in order, and the 0/1 table, by sets alone."""
  used = {name for names in sets for name in names}
  names = sorted(
    used, key=lambda n: (not n.isdigit(), n.isdigit() and int(n), n)
  )
  return tuple(names), [[int(n in s) for n in names] for s in sets]


FORMS = {
  '|': lambda names: '|'.join(names),
  '; ': lambda names: '; '.join(names),
  'json': json.dumps,
  'python': repr,
  'tuple': lambda names: repr(tuple(names)) if names else '[]',
}


@hypothesis.settings(
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(SETS, st.sampled_from([*FORMS, 'parquet']))
def test_every_form_says_the_same(tmp_path, sets, form):
  if form == 'parquet':
    path = tmp_path / 't.parquet'
    parquet.write_table(pa.table({'tags': pa.array(sets)}), path)
  else:
    path = write(tmp_path, [FORMS[form](names) for names in sets])
  separator = form.strip() if form in ('|', '; ') else ''
  data = labels.load(path, label_column='tags', separator=separator)
  names, table = table_of(sets)
  assert data.label_names == names
  assert data.labels.tolist() == table
  assert data.known.all()
  assert data.origin == "the names in the column 'tags'"
  assert data.counts['named'] == ('present', int(np.sum(table)))


@hypothesis.settings(
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(SETS, st.sampled_from(['\t', ' ']), st.booleans())
def test_indices_and_words_between_blanks(tmp_path, sets, blank, of_numbers):
  words = [[str(NAMES.index(n)) for n in names] for names in sets]
  if not of_numbers:
    words = [[f'w{n}' for n in names] for names in words]
  path = write(tmp_path, [blank.join(names) for names in words])
  data = labels.load(path, label_column='tags', separator=' ')
  assert (data.label_names, data.labels.tolist()) == table_of(words)


def test_lists_of_numbers_in_parquet(tmp_path):
  path = tmp_path / 't.parquet'
  parquet.write_table(pa.table({'t': pa.array([[3, 11], [], None])}), path)
  data = labels.load(path, label_column='t')
  assert data.label_names == ('3', '11')
  assert data.labels.tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
  ('cells', 'words'),
  [
    (['a|b', 'a'], ['label_column=tags', "separator='|'"]),
    (['a b', 'a'], ['label_column=tags', "separator=' '"]),
    (['0 1', '0'], ['indices', 'label_column=tags', "separator=' '"]),
    (['a', 'b', 'a'], ['label_column=tags', 'separator=none']),
    (["['a']", '[]'], ['lists', 'label_column=tags']),
    (['.1', '.2', '.7'], ['numbers', 'data.threshold']),
  ],
)
def test_a_form_that_no_setting_names_is_named(tmp_path, cells, words):
  path = write(tmp_path, cells)
  with pytest.raises(ValueError, match=r"t\.csv:2: column 'tags'") as caught:
    labels.load(path)
  for word in words:
    assert word in str(caught.value)


@pytest.mark.parametrize('separator', ['', 'none', '|'])
def test_a_cell_that_may_be_several_names_is_asked_about(tmp_path, separator):
  path = write(tmp_path, ['a|b', 'a'])
  if not separator:
    with pytest.raises(ValueError, match=r":2: .*data\.separator='\|'"):
      labels.load(path, label_column='tags')
    return
  data = labels.load(path, label_column='tags', separator=separator)
  assert data.label_names == (('a', 'b') if separator == '|' else ('a', 'a|b'))


def test_words_for_no_label(tmp_path):
  path = write(tmp_path, ['No Finding', 'Mass', 'mass|edema', ''])
  read = {'label_column': 'tags', 'separator': '|'}
  notes = labels.load(path, **read).notes
  assert any("none_names='No Finding'" in note for note in notes)
  assert any("'Mass' and 'mass'" in note for note in notes)
  data = labels.load(path, none_names=('no finding',), **read)
  assert data.label_names == ('Mass', 'edema', 'mass')
  assert data.labels.sum(1).tolist() == [0, 1, 2, 0]
  path = write(tmp_path, ['No Finding|Mass'])
  with pytest.raises(ValueError, match=r't\.csv:2: .*data\.none_names'):
    labels.load(path, none_names=('No Finding',), **read)


@pytest.mark.parametrize('cell', ["['a'", '[1.5]', '[{}]', '[0 1]', '["a",]x]'])
def test_damaged_lists_are_named(tmp_path, cell):
  if cell.endswith("'"):
    cell += ' ]]'
  path = write(tmp_path, ["['a']", cell])
  with pytest.raises(ValueError, match=r't\.csv:3: .*as in Python or JSON'):
    labels.load(path, label_column='tags')


def test_names_are_chosen_in_order(tmp_path):
  path = write(tmp_path, ['a|b', 'c'])
  read = {'label_column': 'tags', 'separator': '|'}
  data = labels.load(path, label_columns=('c', 'a'), **read)
  assert data.label_names == ('c', 'a')
  assert data.labels.tolist() == [[0, 1], [1, 0]]
  with pytest.raises(ValueError, match=r"no label 'x'; .*'a', 'b', 'c'"):
    labels.load(path, label_columns=('x',), **read)
  with pytest.raises(ValueError, match='names no label'):
    labels.load(write(tmp_path, ['', '[]']), label_column='tags')


@hypothesis.settings(
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
  st.lists(
    st.tuples(
      st.sampled_from('abc'),
      st.sampled_from(['0', '1', '']),
      st.sampled_from(['0', '1', '']),
    ),
    min_size=1,
    max_size=15,
  ),
  st.integers(1, 3),
)
def test_votes_are_those_of_the_book(tmp_path, rows, least):
  path = tmp_path / 't.csv'
  lines = [f'{name}.png,{x},{y}' for name, x, y in rows]
  path.write_text('\n'.join(['path,x,y', *lines]) + '\n')
  data = labels.load(path, least_votes=least, absent_codes=('0',))
  names = list(dict.fromkeys(name for name, *_ in rows))
  assert data.ids.tolist() == [f'{name}.png' for name in names]
  for n, name in enumerate(names):
    for k in range(2):
      cells = [row[k + 1] for row in rows if row[0] == name]
      yes, unknown = cells.count('1'), cells.count('')
      assert data.labels[n, k] == (yes >= least)
      sure = yes >= least or yes + unknown < least
      assert data.known[n, k] == sure
  assert f'{len(rows)} rows are {len(names)} images' in ''.join(data.notes)


@pytest.mark.parametrize('column', ['split', 'subject'])
def test_rows_of_one_image_agree(tmp_path, column):
  path = tmp_path / 't.csv'
  path.write_text(f'path,{column},x\na,train,1\nb,train,0\na,test,1\n')
  with pytest.raises(ValueError, match=r't\.csv:4: another .*t\.csv:2'):
    labels.load(path, least_votes=1)


def test_a_row_for_each_label_of_an_image(tmp_path):
  for name in 'abc':
    (tmp_path / f'{name}.png').write_bytes(b'')
  path = tmp_path / 't.csv'
  path.write_text('path,label\na.png,x\nb.png,y\n./a.png,y\nc.png,x\n')
  read = {'label_column': 'label', 'separator': label_forms.WHOLE}
  with pytest.raises(ValueError, match=r't\.csv:4: .*data\.least_votes=1'):
    manifest.read(path, **read)
  found = manifest.read(path, least_votes=1, **read)
  assert found.label_names == ('x', 'y')
  assert found.labels.tolist() == [[1, 1], [0, 1], [1, 0]]
  assert found.describe(2) == f'{path}:5'
