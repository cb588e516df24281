import csv
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from aubal_jax.runs import csv_files

CELLS = st.text(st.sampled_from('=+-@\t\r\n\'"1.e,ü a'), max_size=6)


@hypothesis.given(CELLS)
def test_no_text_is_computed_and_each_comes_back(cell):
  made = csv_files.harmless(cell)
  assert csv_files.as_given(made) == cell
  assert made in (cell, f"'{cell}")
  try:
    float(cell if cell == cell.strip() else 'no number')
  except ValueError:
    assert made[:1] not in {*'=+-@\t\r\n'}
  else:
    assert made == cell


@hypothesis.given(CELLS, CELLS)
def test_two_texts_stay_two(one, other):
  same = csv_files.harmless(one) == csv_files.harmless(other)
  assert same == (one == other)


@pytest.mark.parametrize('raw', [False, True])
def test_a_table_is_read_as_it_was_given(tmp_path, raw):
  rng = random.Random(0)
  for _ in range(50):
    rows = [
      [
        ''.join(rng.choices('=+-@\t\r\n\'",a1', k=rng.randrange(4))),
        rng.choice([-1.5, float('-inf'), -3, None]),
      ]
      for _ in range(rng.randrange(5))
    ]
    columns = ('=name', 'number')
    csv_files.write(tmp_path / 't.csv', columns, iter(rows), raw=raw)
    with open(tmp_path / 't.csv', newline='', encoding='utf-8') as file:
      head, *found = csv.reader(file)
    assert head == ['=name' if raw else "'=name", 'number']
    given = str if raw else csv_files.as_given
    assert [[given(text), number] for text, number in found] == [
      [text, '' if number is None else str(number)] for text, number in rows
    ]
