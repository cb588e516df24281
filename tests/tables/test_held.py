"""Tables of labels as people hold them: each is right, or refused by name."""

import itertools
import pathlib

import hypothesis
import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import strategies as st
from scipy import sparse

import aubal_jax as aubal
from aubal_jax.runs import errors

NAMES = ('cat', 'dog', 'owl', 'ünï')


class Polars:
  """What is asked of a polars.DataFrame, and no more."""

  def __init__(self, cells):
    self._cells = np.asarray(cells)
    self.columns = [*NAMES]
    self.shape = self._cells.shape

  def __array__(self, dtype=None, copy=None):
    return self._cells.astype(dtype or self._cells.dtype)

  def to_series(self, place):
    return self._cells[:, place]


def listed(table, kind=list):
  """The names of each row's labels."""
  return [kind(NAMES[i] for i in np.flatnonzero(row)) for row in table]


def frame(table, dtype=None, columns=NAMES):
  return pd.DataFrame(np.asarray(table), columns=columns).astype(dtype or int)


def mixed(table):
  """A frame whose columns are of different types."""
  kinds = ['Int64', 'boolean', 'float64', 'int8']
  return frame(table).astype(dict(zip(NAMES, kinds, strict=True)))


# How a table is held -> whether it has names.
KINDS = {
  'list': (lambda t: t.tolist(), False),
  'objects': (lambda t: t.astype(object), False),
  'masked': (lambda t: np.ma.array(t, mask=np.zeros(t.shape, bool)), False),
  'sparse': (sparse.csr_array, False),
  'frame': (frame, True),
  'frame of numbers': (lambda t: frame(t, columns=range(4)), False),
  'frame of bool': (lambda t: frame(t, bool), True),
  'frame of Int64': (lambda t: frame(t, 'Int64'), True),
  'frame of boolean': (lambda t: frame(t, 'boolean'), True),
  'frame of objects': (lambda t: frame(t, object), True),
  'mixed frame': (mixed, True),
  'polars': (Polars, True),
  'arrow': (lambda t: pyarrow.Table.from_pandas(frame(t)), True),
  'dict': (lambda t: dict(zip(NAMES, t.T.tolist(), strict=True)), True),
  'dict of Series': (lambda t: {n: mixed(t)[n] for n in NAMES}, True),
  'names': (listed, True),
  'sets of names': (lambda t: listed(t, set), True),
  'Series of names': (lambda t: pd.Series(listed(t, tuple)), True),
}
TABLES = st.integers(0, 2**32).map(
  lambda seed: np.vstack(
    [np.eye(4, dtype=int), np.random.default_rng(seed).integers(0, 2, (9, 4))]
  )
)


@hypothesis.settings(max_examples=15)
@hypothesis.given(TABLES)
def test_what_people_hold_is_the_same_table(table):
  expected = aubal.find_labelsets(table)
  plan = aubal.resample(table, 'lp_ros', fraction=0.5)
  for kind, (hold, has_names) in KINDS.items():
    found = aubal.find_labelsets(hold(table))
    patterns = found.patterns
    if sparse.issparse(patterns):
      patterns = patterns.toarray()
    np.testing.assert_array_equal(patterns, expected.patterns, kind)
    np.testing.assert_array_equal(found.index, expected.index, kind)
    assert aubal.imbalance(hold(table))['mean_ir'] == pytest.approx(
      aubal.imbalance(table)['mean_ir']
    )
    other = aubal.resample(hold(table), 'lp_ros', fraction=0.5)
    np.testing.assert_array_equal(other.source, plan.source)
    assert other.label_names == (NAMES if has_names else ()), kind
    names = ('a', 'b', 'c', 'd')
    if 'names' not in kind:
      other = aubal.resample(hold(table), 'none', label_names=names)
      assert other.label_names == names


def missing(table, row, column):
  """Yields the table with that cell missing, in every way that there is."""
  for nothing in (None, np.nan, pd.NA, pd.NaT):
    cells = table.astype(object)
    cells[row, column] = nothing
    yield cells
    yield cells.tolist()
    yield pd.DataFrame(cells, columns=NAMES)
    yield dict(zip(NAMES, cells.T, strict=True))
  mask = np.zeros(table.shape, bool)
  mask[row, column] = True
  yield np.ma.array(table, mask=mask)
  yield dict(zip(NAMES, np.ma.array(table, mask=mask).T, strict=True))
  yield np.where(mask, np.nan, table)
  yield sparse.csr_array(np.where(mask, np.nan, table))
  for dtype in ('Int64', 'boolean', 'Float64'):
    yield frame(table).astype(dtype).mask(mask)
  yield mixed(table).mask(mask)
  yield Polars(np.where(mask, None, table.astype(object)))
  yield pyarrow.Table.from_pandas(frame(table, 'Int64').mask(mask))


def test_a_missing_cell_is_neither_0_nor_1():
  functions = itertools.cycle(
    [
      aubal.balance,
      aubal.imbalance,
      aubal.frontier,
      lambda labels: aubal.resample(labels, 'none'),
      lambda labels: aubal.find_labelsets(labels, np.ones((13, 4), bool)),
    ]
  )
  resampler = aubal.Resampler('none')
  rng = np.random.default_rng(0)
  for _ in range(4):
    table = np.vstack([np.eye(4, dtype=int), rng.integers(0, 2, (9, 4))])
    row, column = int(rng.integers(13)), int(rng.integers(4))
    place = rf'row {row}, column {column}\b.*missing.*known='
    for held_so in missing(table, row, column):
      for function in (aubal.find_labelsets, next(functions)):
        with pytest.raises(errors.UserError, match=f'labels must .*{place}'):
          function(held_so)
      with pytest.raises(errors.UserError, match=rf'patterns must .*{place}'):
        aubal.solve(held_so, np.ones(13, int))
      if not isinstance(held_so, dict):
        with pytest.raises(errors.UserError, match=place):
          resampler.fit_resample(np.zeros((13, 2)), held_so)


def test_names_and_rows_are_checked():
  table = np.eye(4, dtype=int).repeat(3, axis=0)
  for labels in (table, frame(table), listed(table)):
    for names in (('a',), 'abcd', (1, 2, 3, 4), 5, None):
      with pytest.raises(errors.UserError, match='label_names must'):
        aubal.balance(labels, label_names=names)
    for rows in ([-1] * 12, [0], [0.5] * 12, 'x', [2**64 - 1] * 12):
      with pytest.raises(errors.UserError, match='rows must'):
        aubal.balance(labels, rows=rows)
  plan, _ = aubal.balance(
    listed(table), label_names=NAMES[::-1], objective='relative'
  )
  assert plan.label_names == NAMES[::-1]
  with pytest.raises(errors.UserError, match=r"label_names .*row 0 has 'cat'"):
    aubal.balance(listed(table), label_names=('Cat', 'dog', 'owl', 'ünï'))
  chunks = iter([[['cat'], ['dog']], [['cat'], ['owl']]])
  with pytest.raises(errors.UserError, match=r'chunk 1 .*owl'):
    aubal.find_labelsets(chunks)


@pytest.mark.parametrize(
  ('labels', 'words'),
  [
    ('labels.csv', 'not the path .*read'),
    (pathlib.Path('labels.csv'), 'not the path'),
    (b'labels.csv', 'not the path'),
    ({}, 'a column for each label'),
    ({'a': [1, 0], 'b': [1]}, "columns of one length; column 'b'"),
    ({'a': 1}, "column 'a' has shape"),
    ({'a': 'x'}, "column 'a' has shape"),
    ({'a': ['cat']}, "found 'cat'"),
    ([['0', '1'], ['1']], "the texts '0', '1'"),
    ([['cat'], [3]], r'row 1 is \[3\]'),
    ([['cat'], None], 'row 1 is None'),
    ([['cat'], 'dog'], "row 1 is 'dog'"),
    ([[0, 1], [1]], 'differ in length.* by name'),
    (['cat', 'dog'], 'two axes'),
    (pd.DataFrame({'a': ['yes', 'no']}), "found 'yes'"),
    (pd.Series([1, 0]), 'two axes'),
  ],
)
def test_what_is_no_table_is_told(labels, words):
  for function in (aubal.find_labelsets, aubal.balance, aubal.imbalance):
    with pytest.raises(errors.UserError, match=f'labels must .*{words}'):
      function(labels)


@pytest.mark.parametrize('unknown', ['absent', 'separate', 'drop'])
@pytest.mark.parametrize(
  'form', ['floats', 'objects', 'masked', 'frame', 'dict']
)
def test_balance_reads_missing_cells_in_three_ways(unknown, form):
  rng = np.random.default_rng(0)
  for _ in range(2):
    labels = (rng.random((30, 3)) < 0.5).astype(float)
    known = rng.random((30, 3)) < 0.85
    missing = np.where(known, labels, np.nan)
    table = {
      'floats': lambda m=missing: m,
      'objects': lambda m=missing, k=known: np.where(k, m, None),
      'masked': lambda m=missing: np.ma.masked_invalid(m),
      'frame': lambda m=missing: pd.DataFrame(m, columns=[*'abc']),
      'dict': lambda m=missing: dict(zip('abc', m.T, strict=True)),
    }[form]()
    with pytest.raises(aubal.UserError, match='missing'):
      aubal.balance(table, optimizer='ipm')
    plan, solution = aubal.balance(table, unknown=unknown, optimizer='ipm')
    assert plan.label_names == (
      ('a', 'b', 'c') if form in ('frame', 'dict') else ()
    )
    filled = np.where(known, labels, 0).astype(int)
    whole = np.flatnonzero(known.all(axis=1))
    if unknown == 'drop':
      wanted, _ = aubal.balance(filled[whole], rows=whole, optimizer='ipm')
    elif unknown == 'absent':
      wanted, _ = aubal.balance(filled, optimizer='ipm')
    else:
      found = aubal.find_labelsets(filled, known)
      assert len(solution.growth) == len(found.counts)
      continue
    np.testing.assert_array_equal(plan.source, wanted.source)
