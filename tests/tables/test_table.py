import csv
import io

import hypothesis
import pytest
from hypothesis import strategies as st

from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import csv as csv_files

# Text as a file can hold it; blanks around a cell are not kept.
CELL = st.text(
  st.characters(codec='utf-8', exclude_characters='\0'), max_size=6
).map(str.strip)


def write(folder, content, name='t.csv'):
  path = folder / name
  data = content if isinstance(content, bytes) else content.encode()
  path.write_bytes(data)
  return path


@st.composite
def tables(draw):
  names = draw(st.lists(CELL.filter(bool), min_size=2, max_size=4, unique=True))
  # A BOM at the start of the file is not part of the first name.
  hypothesis.assume(not names[0].startswith('\ufeff'))
  # A header of cells alone, or with the name of an image, is none.
  hypothesis.assume(not all(map(csv_files._CELL.fullmatch, names)))
  row = st.lists(CELL, min_size=len(names), max_size=len(names))
  return names, draw(st.lists(row, min_size=1, max_size=9))


@hypothesis.settings(
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
  tables(), st.sampled_from(['\n', '\r\n']), st.booleans(), st.booleans()
)
def test_reads_back_what_csv_writes(tmp_path, made, end, bom, chunked):
  names, rows = made
  text = io.StringIO(newline='')
  quoted = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
  quoted.writerows([names, *rows])
  content = text.getvalue().encode('utf-8-sig' if bom else 'utf-8')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(csv_files, 'CHUNK_ROWS', 2 if chunked else 1000)
    read = any_table.read(write(tmp_path, content))

  assert list(read.columns) == names
  for k, name in enumerate(names):
    column = read.columns[name]
    cells = [column.values[code] for code in column.codes]
    assert cells == [row[k] for row in rows]
    assert len(set(column.values)) == len(column.values)


def test_bom_crlf_quotes_blanks_and_blank_lines(tmp_path):
  path = write(
    tmp_path,
    b'\xef\xbb\xbf path , "a, b" ,c\r\n\r\n x.jpg, "1" ,"q""q"\r\ny.jpg,1 ,\r\n'
    b'\r\n',
  )
  # The blank after a closing quote is not CSV.
  with pytest.raises(ValueError, match=r't\.csv:1: .*quotes are closed'):
    any_table.read(path)
  path.write_bytes(path.read_bytes().replace(b'" ,', b'",'))
  read = any_table.read(path)
  assert list(read.columns) == ['path', 'a, b', 'c']
  assert read.columns['path'].cells().tolist() == ['x.jpg', 'y.jpg']
  assert read.columns['a, b'].values == ('1',)
  assert read.columns['a, b'].codes.tolist() == [0, 0]
  assert read.columns['c'].cells().tolist() == ['q"q', '']
  assert read.lines.tolist() == [3, 4]


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_lines_are_those_of_an_editor(tmp_path, end):
  lines = ['a,b', '1,2', '', '"x', 'y","p', 'q"', '3,4']
  read = any_table.read(write(tmp_path, end.join(lines)))
  # The row that starts on line 4 ends on line 6.
  assert read.lines.tolist() == [2, 4, 7]
  for row, line in enumerate(read.lines):
    first = read.columns['a'].cells()[row].split(end)[0]
    assert first in lines[line - 1]


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('', r't\.csv:1: the table is empty.*must name the columns'),
    ('\n\n', r't\.csv:1: the table is empty'),
    ('\na,b\n', r't\.csv:2: .*no row. Add one line'),
    (
      '1,0\n0,1\n',
      r"t\.csv:1: there is no header: the first line holds '1', '0'\. Add a",
    ),
    ('1\n0\n', r't\.csv:1: there is no header'),
    ('0,,1\n0,1,1\n', r't\.csv:1: there is no header'),
    ('1,1\n0,1\n', r't\.csv:1: there is no header'),
    ('True,-1.0,nan,2e3\n0,1,1,0\n', r't\.csv:1: there is no header'),
    ('a,,b\n1,2,3\n', r't\.csv:1: column 2 of 3 has no name. Name it'),
    (
      'a,b, a\n1,2,3\n',
      r"t\.csv:1: columns 1 and 3 are both called 'a'.*rename",
    ),
    ('a|b\n1|2\n', r"t\.csv:1: .*'a\|b'.*commas, tabs or semicolons: save"),
    (
      'a,b\n1,2\n1\n1,2,3\n',
      r"t\.csv:3: 1 cells '1'; line 4: 3 cells '1,2,3' \(2 in all\)\. .*there "
      r'are columns, 2\. Add or remove',
    ),
    ('a,b\n"x\ny",2\n1\n', r"t\.csv:4: 1 cells '1'\. "),
    ('a\n1\n\n2\n', r't\.csv:3: 0 cells'),
    ('a,b\n1,2\n3,"4\n5,6\n', r't\.csv:3: .*not CSV.*quotes are closed'),
    (b'a,b\n1,2\n\xe9,3\n', r't\.csv:3: byte 0xe9 .*in UTF-8'),
    ('a,b\n1,2\n'.encode('utf-16'), r't\.csv:1: byte 0xff .*in UTF-8'),
  ],
)
def test_bad_tables(tmp_path, content, message):
  with pytest.raises(ValueError, match=message):
    any_table.read(write(tmp_path, content))


def test_lists_five_bad_rows_and_the_total(tmp_path):
  path = write(tmp_path, 'a,b\n' + '1\n' * 7)
  with pytest.raises(
    ValueError, match=r"line 6: 1 cells '1'; \.\.\. \(7 in all"
  ):
    any_table.read(path)


def test_missing_table(tmp_path):
  write(tmp_path, 'a\n1\n', 'manifest.csv')
  with pytest.raises(FileNotFoundError, match=r"mean 'manifest\.csv'.*data\.p"):
    any_table.read(tmp_path / 'manifets.csv')
  write(tmp_path, 'a\n1\n', 'one.csv')
  with pytest.raises(FileNotFoundError, match=r'does not exist\. Set'):
    any_table.read(tmp_path / 'nope.csv')
  with pytest.raises(FileNotFoundError, match=r'is a folder.*data\.path'):
    any_table.read(tmp_path)
  with pytest.raises(FileNotFoundError, match=r'data\.path is empty'):
    any_table.read('')


def test_column_that_does_not_exist(tmp_path):
  read = any_table.read(write(tmp_path, 'Path,Split,cat\nx,train,1\n'))
  message = r"t\.csv:1: .*no column 'path'; .*'cat'.*mean 'Path'\?.*data\.p"
  with pytest.raises(ValueError, match=message):
    read.column('path', 'data.path_column')
  assert read.optional('', 'split', 'data.split_column') is None
  assert read.optional('subject', 'subject', 'data.group_column') is None
  assert read.optional('cat', 'split', 'key') is read.columns['cat']
  for name in ('split', 'fold'):  # One in another case; one asked for.
    with pytest.raises(ValueError, match=rf'no column {name!r}.*Set data\.s'):
      read.optional(name, 'split', 'data.split_column')


def test_one_name_is_enough_for_a_header(tmp_path):
  read = any_table.read(write(tmp_path, '1,2,cat\n0,1,0\n'))
  assert list(read.columns) == ['1', '2', 'cat']
