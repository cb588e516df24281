"""What cells of labels say: told by settings, counted, never guessed."""

import collections

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.datasets import codes as codes_lib
from aubal_jax.datasets import labels

CELLS = ('', '-1', '0', '1', '2', '9', '999', 'true', 'false', 'y', 'n')


def write(folder, rows, names=('a', 'b')):
  path = folder / 't.csv'
  lines = [','.join(names), *(','.join(row) for row in rows)]
  path.write_text('\n'.join(lines) + '\n')
  return path


@hypothesis.settings(
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
  st.lists(st.sampled_from(range(3)), min_size=len(CELLS), max_size=len(CELLS)),
  st.lists(
    st.tuples(st.sampled_from(CELLS), st.sampled_from(CELLS)),
    min_size=1,
    max_size=20,
  ),
)
def test_any_code_means_what_the_settings_say(tmp_path, meanings, rows):
  said = [[], [], []]
  for cell, meaning in zip(CELLS, meanings, strict=True):
    said[meaning].append(cell)
  data = labels.load(
    write(tmp_path, rows),
    absent_codes=said[0],
    present_codes=said[1],
    unknown_codes=said[2],
  )
  wanted = dict(zip(CELLS, meanings, strict=True))
  table = np.array([[wanted[cell] for cell in row] for row in rows])
  np.testing.assert_array_equal(data.labels, table == 1)
  np.testing.assert_array_equal(data.known, table != 2)
  counted = collections.Counter(cell for row in rows for cell in row)
  assert data.counts == {
    cell: (codes_lib.MEANINGS[wanted[cell]], count)
    for cell, count in counted.items()
  }


@pytest.mark.parametrize('meaning', codes_lib.MEANINGS)
@pytest.mark.parametrize('code', ['', '-1', '0', '0.0', '1', 'TRUE', '9'])
def test_a_code_that_is_named_leaves_the_default_it_was_in(code, meaning):
  usual = (
    codes_lib.ABSENT_CODES,
    codes_lib.PRESENT_CODES,
    codes_lib.UNKNOWN_CODES,
  )
  others = dict(zip(codes_lib.MEANINGS, usual, strict=True))
  named = {meaning: (*others[meaning], code)}
  found = codes_lib.Codes(**named).meanings
  assert found[codes_lib.normal(code)] == codes_lib.MEANINGS.index(meaning)
  for name, usual in others.items():
    for other in usual:
      if codes_lib.normal(other) != codes_lib.normal(code):
        assert found[other] == codes_lib.MEANINGS.index(name)


def test_a_code_named_twice_is_an_error():
  both = codes_lib.Codes(present=('1', 'x'), absent=('0', 'X'))
  with pytest.raises(
    ValueError, match=r"absent_codes and data\.present_codes both name 'x'"
  ):
    assert both.meanings


@hypothesis.settings(
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(
  st.lists(
    st.one_of(st.floats(0, 5, width=32), st.sampled_from(['', '999', '-1'])),
    min_size=1,
    max_size=30,
  ),
  st.floats(0.01, 5),
)
def test_scores_are_present_from_the_threshold_on(tmp_path, cells, threshold):
  path = write(tmp_path, [(str(cell), '0') for cell in cells])
  data = labels.load(path, threshold=threshold, label_columns=('a',))
  known = [not isinstance(cell, str) for cell in cells]
  yes = [k and c >= threshold for c, k in zip(cells, known, strict=True)]
  assert data.known[:, 0].tolist() == known
  assert data.labels[:, 0].tolist() == yes
  counted = collections.Counter(
    m for m, n in data.counts.values() for _ in range(n)
  )
  assert counted['present'] == sum(yes)
  assert counted['unknown'] == known.count(False)


@pytest.mark.parametrize(
  ('cells', 'code'), [(('3', '9', '55'), '9'), (('-2.5', '-1', '0.5'), '-1')]
)
def test_an_unknown_code_amid_scores_is_asked_about(tmp_path, cells, code):
  path = write(tmp_path, [(cell,) for cell in cells], ('a',))
  with pytest.raises(
    ValueError, match=f': {code} is one of data.unknown_codes'
  ):
    labels.load(path, threshold=2.0)
  data = labels.load(path, threshold=2.0, unknown_codes=('',))
  assert data.known.all()


def test_what_is_no_score_is_named(tmp_path):
  path = write(tmp_path, [('0.5',), ('high',), ('inf',)], ('a',))
  with pytest.raises(ValueError, match=r"t\.csv:3: .*'high'; line 4: .*'inf'"):
    labels.load(path, threshold=0.5)


@pytest.mark.parametrize(
  ('cells', 'mend'),
  [
    (('1', ''), "absent_codes=\"('0','')\""),
    (('1', '-1'), '--config.data.absent_codes=-1'),
    (('1', '-1', '-1', '0'), 'absent_codes=-1 --config.data.unknown_codes=0'),
  ],
)
def test_codes_that_may_mean_something_else_are_asked_about(
  tmp_path, cells, mend
):
  path = write(tmp_path, [(cell, '1') for cell in cells])
  (note, *_) = labels.load(path).notes
  assert note.startswith('Warning: ') and note.endswith(mend)
  said = labels.load(path, unknown_codes=('', '-1')).notes
  assert not any('If it means' in n or 'If -1 means' in n for n in said)


@pytest.mark.parametrize('cells', [('1', '0', '-1'), ('0', '', ''), ('1', '0')])
def test_usual_tables_are_read_without_a_question(tmp_path, cells):
  notes = labels.load(write(tmp_path, [(cell, '1') for cell in cells])).notes
  assert not any('If ' in note for note in notes)


def test_labels_of_one_value_are_named(tmp_path):
  path = write(tmp_path, [('1', ''), ('1', '0'), ('', '0')])
  data = labels.load(path)
  assert data.constant_labels() == {
    'known to be 0': ['a'],
    'known to be 1': ['b'],
  }
  assert any('never known to be 0: a' in note for note in data.notes)


@pytest.mark.parametrize(
  'name', ['fold', 'kfold', 'is_valid', 'ID', 'image_id', 'age', 'Sex', 'index']
)
def test_labels_called_like_something_else_are_asked_about(tmp_path, name):
  path = write(tmp_path, [('1', '0'), ('0', '1')], ('cat', name))
  data = labels.load(path)
  assert data.origin == 'all columns' and data.label_names == ('cat', name)
  (note,) = data.notes
  assert note.endswith(f'--config.data.exclude_columns={name}')
  named = labels.load(path, label_columns=('cat', name))
  assert named.notes == () and named.origin == ''
  left = labels.load(path, exclude_columns=(name,))
  assert left.label_names == ('cat',) and left.notes == ()
  assert left.origin == f'all columns but {name}'
  with pytest.raises(ValueError, match=r'Set data\.exclude_columns'):
    labels.load(path, exclude_columns=('dog',))


def test_columns_that_are_excluded_may_hold_anything(tmp_path):
  path = write(tmp_path, [('1', 'x'), ('0', 'y')])
  assert labels.load(path, exclude_columns=('b',)).label_names == ('a',)
  np.savez(tmp_path / 't.npz', labels=[[0, 7], [1, 8]], label_names=['a', 'b'])
  found = labels.load(tmp_path / 't.npz', exclude_columns=('b',))
  assert found.label_names == ('a',)
  assert found.labels.tolist() == [[0], [1]]
