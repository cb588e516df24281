"""Sheets of a spreadsheet, written by openpyxl and read again."""

import random

import openpyxl
import pytest

from aubal_jax.runs import errors
from aubal_jax.tables.files import xlsx

FORMS = [None, 0, 1, 2.5, True, 'x', ' y ', 'é', '']


def write(path, *sheets):
  book = openpyxl.Workbook()
  book.remove(book.active)
  for k, rows in enumerate(sheets):
    sheet = book.create_sheet(f's{k}')
    for row in rows:
      sheet.append(row)
  book.save(path)


def text_of(cell):
  return '' if cell is None else str(cell).strip()


def test_cells_are_those_of_the_sheet_and_lines_its_rows(tmp_path):
  rng = random.Random(0)
  path = tmp_path / 't.xlsx'
  for _ in range(25):
    width = rng.randint(1, 4)
    names = [f'n{k}' for k in range(width)]
    blank = rng.randint(0, 2)
    rows = [[None]] * blank + [[*names, *[None] * rng.randint(0, 2)]]
    wanted = []
    for _ in range(rng.randint(1, 6)):
      cells = [rng.choice(FORMS) for _ in range(width)]
      rows.append(cells)
      if any(map(text_of, cells)):
        wanted.append((len(rows), [*map(text_of, cells)]))
    empty = [[[None]], []][: rng.randint(0, 2)]
    write(path, *empty, rows)
    if not wanted:
      with pytest.raises(errors.UserError, match='with column names and rows'):
        xlsx.read(path)
      continue
    found = xlsx.read(path)
    assert [*found.columns] == names and found.header_line == blank + 1
    assert found.lines.tolist() == [line for line, _ in wanted]
    for k, name in enumerate(names):
      cells = [row[k] for _, row in wanted]
      assert found.columns[name].cells().tolist() == cells


def test_what_is_no_one_table_is_told(tmp_path):
  path = tmp_path / 't.xlsx'
  table = [['a', 'b'], [1, 0]]
  for sheets, words in (
    ([], None),
    ([[]], 'there are 0 with any'),
    ([[['a', 'b']]], "there are 1 with any: 's0'"),
    ([table, [], table], "there are 2 with any: 's0', 's2'"),
    ([[['a', 'a'], [1, 0]]], "both called 'a'"),
    ([[['a', None, 'c'], [1, 0, 1]]], 'column 2 of 3 has no name'),
    (
      [[*table, [1, 0], [1, 0, None, 1]]],
      r'xlsx:4: a cell stands beside the 2',
    ),
  ):
    if words is None:
      path.write_bytes(b'no spreadsheet')
      words = 'not readable as XLSX .*save the table there as CSV'
    else:
      write(path, *sheets)
    with pytest.raises(errors.UserError, match=words) as told:
      xlsx.read(path)
    assert str(told.value).startswith(str(path))
