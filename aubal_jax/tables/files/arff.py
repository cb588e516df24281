"""Reads labels and features of an ARFF file, as Mulan and MEKA write them."""

import pathlib
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import foreign
from aubal_jax.runs import text
from aubal_jax.tables.files import table

# MEKA: the relation 'Music: -C 6', or -C -6 where the labels are the last.
_MEKA = re.compile(r'(?:^|[\s:])-C[\s=]*(-?\d+)')
_FILTER = re.compile(r'weka\.filters|-R\d', re.I)  # WEKA adds what it did.
# Of Mulan's splits: NAME-train.arff, NAME-train-sparse.arff.
_PART = re.compile(r'([-_](train|test))?([-_]sparse)?$', re.I)

# Lines of the header as liac-arff wants them.
_ATTRIBUTE = re.compile(
  r"""\s*@attribute\s+('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\s{]+)\s*(.*)""",
  re.I,
)
_DATE = re.compile(r'date\b.*', re.I)


def read(path: pathlib.Path, label_columns: Sequence[str] = ()) -> table.Table:
  """Reads the label attributes of a dense or sparse ARFF file.

  Which attributes are labels, say, in this order: `label_columns`; a file
  NAME.xml beside NAME.arff (and NAME-train.arff, NAME-train-sparse.arff), as
  Mulan has it; and -C n in the name of the relation, as MEKA has it: the first
  n, or the last where n is negative. A relation with several -C, or with a
  filter of WEKA behind it, which may have moved attributes, says nothing. '?'
  is an unknown label, and a cell that a sparse row leaves out is 0, or the
  first value of a nominal attribute.

  The others are features, but those that the XML or -C calls labels and
  `label_columns` does not: these are left out. A nominal attribute becomes a
  column for each of its values, one of two values a column of 0 (the first) and
  1. '?' is NaN. Strings and dates are no features.

  Args:
    path: the file.
    label_columns: names of attributes, in order; () for the others of above.

  Returns:
    The table, its columns the labels; rows are counted from 0.

  Raises:
    UserError: the file or the XML is damaged, an attribute is not there,
      nothing says what the labels are, or liac-arff is not installed.
  """
  decoded = _decode(path)
  attributes = dict(decoded['attributes'])
  called = [], ''
  try:
    called = _called_labels(path, decoded['relation'], [*attributes])
  except ValueError:
    if not label_columns:
      raise
  names = _label_names(path, [*attributes], label_columns, called)
  rows = decoded['data']
  if not rows:
    raise errors.UserError(
      f'{path}: there is no row after @data. Add one for each image.'
    )
  position = {name: k for k, name in enumerate(attributes)}
  columns = {
    name: _column(rows, position[name], attributes[name]) for name in names
  }
  features = [
    _features(rows, k, attributes[name])
    for name, k in position.items()
    if name not in {*names, *called[0]} and _is_feature(attributes[name])
  ]
  return table.Table(
    path,
    columns,
    np.arange(len(rows)),
    header_line=0,
    features=np.concatenate(features, axis=1) if features else None,
  )


def _decode(path):
  """Returns what liac-arff makes of the file: dicts or lists, one a row."""
  try:
    import arff
  except ImportError:
    raise extras.missing('arff', f'{path}: ARFF') from None
  try:
    lines = path.read_text(encoding='utf-8-sig').splitlines()
  except UnicodeDecodeError:
    raise table.encoding_error(path) from None
  form = arff.LOD if _is_sparse(lines) else arff.DENSE
  names, plain = _plain_header(lines)
  try:
    with foreign.parsing(path, 'ARFF', 'Save it again.'):
      decoded = arff.loads('\n'.join(plain), return_type=form)
  except errors.UserError as error:
    if isinstance(error.__cause__, arff.ArffException):
      raise _line_error(path, lines, error.__cause__) from None
    raise
  kinds = [kind for _, kind in decoded['attributes']]
  table.check_names(str(path), names)
  decoded['attributes'] = [*zip(names, kinds, strict=True)]
  return decoded


def _line_error(path, lines, error) -> errors.UserError:
  """Returns the error about a line that liac-arff does not take."""
  content = lines[error.line - 1] if 0 < error.line <= len(lines) else ''
  return errors.UserError(
    f'{path}:{max(error.line, 1)}: not ARFF ({_reason(error)}): '
    f'{text.quote(content)}. Correct the line; a name or a value with '
    'blanks or commas wants quotes.'
  )


def _plain_header(lines) -> tuple[list[str], list[str]]:
  """Returns the names of attributes, and the lines as liac-arff wants them.

  It knows no date, no `L1{0,1}`, no relation without a name, and of a name in
  quotes no quote in it: in the lines attributes are called by their number.
  """
  names, plain = [], []
  for number, line in enumerate(lines):
    start = line.strip().lower()
    found = _ATTRIBUTE.fullmatch(line.rstrip())
    if start.startswith('@data'):
      return names, plain + lines[number:]
    if found:
      kind = _DATE.sub('STRING', found[2])
      line = f'@ATTRIBUTE a{len(names)} {kind}'
      names.append(_unquote(found[1]))
    elif start == '@relation':
      line = "@RELATION ''"
    plain.append(line)
  return names, plain


def _unquote(name: str) -> str:
  """Returns what a name says, without quotes and what escapes them."""
  if name[0] in '\'"':
    name = re.sub(r'\\(.)', r'\1', name[1:-1])
  return name


def _is_sparse(lines):
  """Returns whether the first row after @data is written {index value, ...}."""
  rows = iter(lines)
  for line in rows:
    if line.strip().lower().startswith('@data'):
      break
  first = next((r.strip() for r in rows if r.strip() and r[0] != '%'), '')
  return first.startswith('{')


def _reason(error):
  """Returns what liac-arff has to say, without the line."""
  reason = text.first_line(error)
  return re.sub(r',? *(at|in) line +-?\d+[.:]?', '', reason).rstrip('.: ')


def _called_labels(path, relation, attributes):
  """Returns what the files call labels, and which does: names, words."""
  if xml := _find_xml(path):
    wanted = set(_read_xml(xml))
    names = [n for n in attributes if n in wanted]
    return names + sorted(wanted - {*names}), f'{xml.name} names'
  told = _MEKA.findall(relation)
  if not told or len(told) > 1 or _FILTER.search(relation):
    return [], ''
  count = int(told[0])
  if not 0 < abs(count) <= len(attributes):
    raise errors.UserError(
      f'{path}: the relation {text.quote(relation)} says that {abs(count)} '
      f'attributes are labels; there are {len(attributes)}. Correct -C.'
    )
  names = attributes[:count] if count > 0 else attributes[count:]
  return names, 'the relation names'


def _label_names(path, attributes, label_columns, called):
  """Returns the names of the label attributes."""
  names, source = called
  if label_columns:
    names, source = label_columns, 'data.label_columns names'
  if not names:
    raise errors.UserError(
      f'{path}: nothing says which of the {len(attributes)} attributes are '
      f"labels. Put Mulan's {_PART.sub('', path.stem)}.xml beside it, or add "
      "MEKA's -C to the name of the relation (@relation 'name: -C 6'; one that "
      'filters of WEKA have changed is not believed), or name the labels in '
      'data.label_columns.'
    )
  for name in names:
    if name not in attributes:
      raise errors.UserError(
        f'{path}: there is no attribute {name!r}, which {source}.'
        f'{text.suggest(name, attributes)} The attributes are '
        f'{text.listing(map(repr, attributes))}.'
      )
  return names


def _find_xml(path):
  """Returns Mulan's XML of a file, or None."""
  part = re.sub(r'[-_]sparse$', '', path.stem, flags=re.I)
  for stem in dict.fromkeys([path.stem, part, _PART.sub('', path.stem)]):
    for xml in (path.with_name(f'{stem}.xml'), path.with_name(f'{stem}.XML')):
      if xml.is_file():
        return xml
  return None


def _read_xml(path):
  """Returns the names of all label elements, nested ones too."""
  try:
    root = ElementTree.parse(path).getroot()
  except ElementTree.ParseError as error:
    line, _ = error.position
    raise errors.UserError(
      f'{path}:{line}: not XML ({error}). Mend it, move it away, or name the '
      'labels in data.label_columns.'
    ) from None
  names = [
    element.get('name', '')
    for element in root.iter()
    if element.tag.rpartition('}')[2] == 'label'
  ]
  if not names or '' in names:
    raise errors.UserError(
      f'{path}: it must hold elements <label name="...">. Mend it, move it '
      'away, or name the labels in data.label_columns.'
    )
  return names


def _cells(rows, position, kind) -> list:
  """Returns an attribute of all rows; `kind` is as liac-arff has it."""
  if isinstance(rows[0], dict):
    absent = kind[0] if isinstance(kind, list) else 0.0
    return [row.get(position, absent) for row in rows]
  return [row[position] for row in rows]


def _is_feature(kind) -> bool:
  """Whether an attribute is numeric or nominal."""
  return isinstance(kind, list) or kind in ('NUMERIC', 'REAL', 'INTEGER')


def _features(rows, position, kind) -> np.ndarray:
  """Returns float64[N, K], the columns that an attribute becomes."""
  cells = _cells(rows, position, kind)
  if not isinstance(kind, list):
    return np.array(cells, np.float64)[:, None]  # None becomes NaN.
  codes = {value: code for code, value in enumerate(kind)} | {None: -1}
  if set(kind) == {'0', '1'}:
    codes = {'0': 0, '1': 1, None: -1}  # As they say, in whatever order.
  cells = np.fromiter((codes[cell] for cell in cells), np.int64, len(cells))
  # A column for each value, but for two values one.
  first = 1 if len(kind) <= 2 else 0
  columns = cells[:, None] == np.arange(first, max(len(kind), 2))
  return np.where(cells[:, None] < 0, np.nan, columns.astype(np.float64))


def _column(rows, position, kind) -> table.Column:
  """Returns an attribute as a column."""
  cells = _cells(rows, position, kind)
  values = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
  codes = np.fromiter((values[cell] for cell in cells), np.int32, len(cells))
  texts = ['' if value is None else str(value) for value in values]
  return table.make_column(texts, codes)
