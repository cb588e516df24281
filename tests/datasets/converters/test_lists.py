"""Lists as data sets come with them, written at random and read again."""

import random

import pytest

from aubal_jax.datasets.converters import lists
from aubal_jax.runs import errors

RULE = 'A line is a name and a number.'


def write(path, lines, end, bom):
  text = end.join(lines) + end
  path.write_bytes((b'\xef\xbb\xbf' if bom else b'') + text.encode())


@pytest.mark.parametrize('suffix', ['.csv', '.CSV', '.txt', ''])
def test_cells_have_the_line_they_stand_on(tmp_path, suffix):
  rng = random.Random(0)
  path = tmp_path / f'list{suffix}'
  comma = suffix.lower() == '.csv'
  for _ in range(60):
    lines, wanted = [], []
    for line in range(1, rng.randint(1, 7)):
      if rng.random() < 0.3:
        lines.append(rng.choice(['', '  ', '\t']))
        continue
      cells = [
        rng.choice(['a', 'é', '1', 'x.jpg']) for _ in range(rng.randint(1, 4))
      ]
      wanted.append((line, cells))
      if comma:
        forms = ['{}', ' {} ', '"{}"', ' "{}"']
        lines.append(','.join(rng.choice(forms).format(c) for c in cells))
      else:
        gap = rng.choice([' ', '   ', '\t'])
        lines.append(f'{rng.choice(["", gap])}{gap.join(cells)} ')
    write(path, lines, rng.choice(['\n', '\r\n']), rng.random() < 0.5)
    assert [*lists.read_cells(path)] == wanted


def test_a_quoted_cell_may_hold_commas_and_lines(tmp_path):
  path = tmp_path / 'list.csv'
  rng = random.Random(1)
  for _ in range(20):
    breaks = rng.randint(0, 3)
    cell = 'a' + '\n' * breaks + ',b'
    path.write_text(f'"{cell}",x\n\ny,z\n')
    assert [*lists.read_cells(path)] == [
      (1, [cell, 'x']),
      (breaks + 3, ['y', 'z']),
    ]


@pytest.mark.parametrize('suffix', ['.csv', '.txt'])
def test_pairs_are_read_or_the_line_is_told(tmp_path, suffix):
  rng = random.Random(2)
  path = tmp_path / f'list{suffix}'
  gap, header = (',', 1) if suffix == '.csv' else (' ', 0)
  for _ in range(60):
    rows = [
      [rng.choice('abcdefgh'), str(rng.randint(0, 9))]
      for _ in range(rng.randint(0, 4))
    ]
    if rows and rng.random() < 0.3:
      row = rng.choice(rows)
      row[:] = rng.choice([row[:1], [*row, '7'], row + row])
    write(
      path,
      ['name' + gap + 'value'] * header + [gap.join(r) for r in rows],
      '\n',
      False,
    )
    pairs, bad, words = {}, None, RULE
    for line, row in enumerate(rows, 1 + header):
      if len(row) != 2 or row[0] in pairs:
        bad = line
        words = RULE if len(row) != 2 else 'a second time'
        break
      pairs[row[0]] = row[1], line
    if bad is None:
      assert lists.read_pairs(path, RULE) == pairs
      continue
    with pytest.raises(errors.UserError, match=words) as told:
      lists.read_pairs(path, RULE)
    assert str(told.value).startswith(f'{path}:{bad}: ')


def test_what_is_no_text_or_no_csv_is_told(tmp_path):
  path = tmp_path / 'list.csv'
  for before in range(5):
    good = b'a,b\n' * before
    for bad, words in (
      (b'c,\xff\n', 'is not UTF-8'),
      (b'c,"x" y\n', 'not CSV'),
      (b'c,"x\n\n', 'not CSV'),
    ):
      path.write_bytes(good + bad)
      with pytest.raises(errors.UserError, match=words) as told:
        [*lists.read_cells(path)]
      assert str(told.value).startswith(f'{path}:{before + 1}: ')
