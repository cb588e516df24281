"""EmotioNet (Fabian Benitez-Quiroz et al. 2016): faces from the web, by URL.

  EmotioNet_FACS_aws_2020_24600.csv (or .xlsx)   coded by hand
  dataFile_0001.txt, dataFile_0002.txt, ...      coded automatically
  .../N_0000000001_00001.jpg                     the images, at any depth

The table has the columns URL, URL orig, AU 1 to AU 60, in quotes and blanks
that do not count. The lists have no header: URL, original URL and AU 1 to 60
with tabs between. 0 is absent, 1 present, 999 (or -1, 9, nothing) not scored.
An image is called as the last part of the URL, whatever its suffix. Many URLs
are dead, so many rows have no image. There are no subjects and no splits.
"""

import dataclasses
import os
import re
import types
from collections.abc import Callable

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import readers
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import table

# Kind -> what its files are called, in any case.
FILES = types.MappingProxyType(
  {
    'manual': r'EmotioNet_FACS.*\.(csv|xlsx)',
    'automatic': r'dataFile_.*\.txt',
  }
)
_NUM_AUS = 60  # Of a list.
_UNKNOWN, _BAD = 2, 3  # Beside 0 and 1.
_MEANINGS = types.MappingProxyType(
  {'': _UNKNOWN}
  | {
    f'{value}{point}': meaning
    for value, meaning in (
      (0, 0),
      (1, 1),
      *((code, _UNKNOWN) for code in (-1, 9, 999)),
    )
    for point in ('', '.0')
  }
)
_RULE = 'An AU is 0, 1, or 999, -1, 9 or nothing for not scored. Correct it.'


@dataclasses.dataclass(frozen=True)
class _Codes:
  """What one file says of R images.

  Attributes:
    names: R, the last parts of the URLs.
    aus: L, numbers of the columns.
    cells: uint8[R, L], 0, 1 or _UNKNOWN.
    place: row -> where it stands.
  """

  names: list[str]
  aus: list[int]
  cells: np.ndarray
  place: Callable[[int], str]

  def __len__(self):
    return len(self.names)


def read(folder: str, kind: str = 'manual') -> annotations.Annotations:
  """Reads the codes and looks which images there are.

  Args:
    folder: what holds the files (or holds a folder with them) and the images.
    kind: 'manual' or 'automatic', see above.

  Returns:
    A row for each row of the files. AUs that no row scores are left out, with
    a note. Of several rows for one image the first counts.

  Raises:
    FileNotFoundError: files or images are not there; says what is.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  paths = _find_files(folder, kind)
  images = folders.list_names(folder)
  found = [
    _read_list(p) if kind == 'automatic' else _read_table(p) for p in paths
  ]
  names = [name for codes in found for name in codes.names]
  files = np.array([images.get(os.path.splitext(n)[0], '') for n in names])
  if not (files != '').any():
    raise folders.missing(
      folder,
      f'image of {paths[0]}, such as {names[0]},',
      'Load the images from their URLs first.',
    )
  cells = np.concatenate([codes.cells for codes in found])
  scored = (cells != _UNKNOWN).any(0)
  aus = np.array(found[0].aus)
  kept = cells[:, scored]

  return annotations.Annotations(
    files=files,
    labels=(kept == 1).astype(np.uint8),
    known=kept != _UNKNOWN,
    label_names=action_units.names(aus[scored]),
    ids=np.array(names),
    reasons=_reasons(names, files, (kept != _UNKNOWN).any(1)),
    notes=_notes(aus, scored),
    place=annotations.place_in_parts(found, lambda codes, n: codes.place(n)),
  )


def _reasons(names, files, annotated):
  """Returns str[N], why a row cannot be used, or ''."""
  _, first, number = np.unique(names, return_index=True, return_inverse=True)
  again = first[number] != np.arange(len(names))
  return np.select(
    [files == '', ~annotated, again],
    ['no image', 'not annotated', 'listed before'],
    '',
  )


def _notes(aus, scored):
  """Returns what is told of AUs that no row scores."""
  if scored.all():
    return ()
  absent = action_units.names(aus[~scored])
  return (
    f'{len(absent)} of {len(aus)} AUs are scored in no row and are left out: '
    f'{text.listing(absent, len(absent))}.',
  )


def _find_files(folder, kind):
  """Returns the files of a kind, of the highest level that has any."""
  for level in folders.levels(folder, skip=r'N_\d+', depth=1):
    found = [
      entry.path
      for entries in map(folders.entries, level)
      for entry in entries
      if entry.is_file() and re.fullmatch(FILES[kind], entry.name, re.I)
    ]
    tables = [path for path in found if path.lower().endswith('.csv')]
    if kind == 'manual' and len(tables or found) > 1:
      first, second = (tables or found)[:2]
      raise errors.UserError(
        f'{first} and {second} may both be meant. Move one out of the folder.'
      )
    if found:
      return tables or found
  wanted = {
    'manual': 'EmotioNet_FACS_aws_2020_24600.csv or .xlsx',
    'automatic': 'dataFile_0001.txt',
  }
  other = next(name for name in FILES if name != kind)
  raise folders.missing(
    folder,
    f'file {wanted[kind]}',
    f'Put it there, or set emotionet.kind={other!r} to read {wanted[other]}.',
  )


def _file_name(url):
  """Returns the last part of a URL that may stand in quotes."""
  return url.strip(' \'"').rpartition('/')[2]


def _read_table(path):
  """Returns the `_Codes` of a table."""
  rows = any_table.read(path)
  named = {name.strip(' \'"'): name for name in rows.columns}
  aus = {
    int(match[1]): named[name]
    for name in named
    if (match := re.fullmatch(r'AU[ _]*(\d+)', name, re.I | re.A))
  }
  urls = next((named[n] for n in named if n.casefold() == 'url'), None)
  if urls is None or not aus:
    raise errors.UserError(
      f'{path}:{rows.header_line}: there is no column '
      f'{"URL" if urls is None else "AU 1"}, only '
      f'{text.listing(map(repr, rows.columns))}. The first line names the '
      'columns: URL, AU 1, AU 2 and so on.'
    )
  cells = rows.parse(
    [*aus.values()],
    '',
    lambda cell: _MEANINGS.get(cell.strip(' \'"')),
    np.uint8,
    _RULE,
  )
  names = [_file_name(url) for url in rows.columns[urls].cells()]
  return _Codes(names, [*aus], cells, lambda row: f'{path}:{rows.lines[row]}')


def _read_list(path):
  """Returns the `_Codes` of an automatic list; costs its distinct rows."""
  with open(path, encoding='utf-8-sig', errors='replace') as file:
    lines = [line.rstrip('\r\n') for line in file]
  numbers = [n for n, line in enumerate(lines, 1) if line.strip()]
  parts = [lines[n - 1].split('\t', 2) for n in numbers]
  first = {}
  codes = [first.setdefault(p[-1], len(first)) for p in parts]
  cells = [
    [_MEANINGS.get(cell.strip(), _BAD) for cell in row.split('\t')]
    for row in first
  ]
  wrong = [len(row) != _NUM_AUS or _BAD in row for row in cells]
  bad = [k for k, p in enumerate(parts) if len(p) < 3 or wrong[codes[k]]]
  if bad or not parts:
    raise table.finding_error(
      path,
      bad or [0],
      lambda k: numbers[k] if numbers else 1,
      lambda k: _tell_row(parts[k]) if parts else 'no row',
      f'A row is URL, original URL and {_NUM_AUS} AUs with tabs between. '
      + _RULE,
    )
  return _Codes(
    [_file_name(p[0]) for p in parts],
    [*range(1, _NUM_AUS + 1)],
    np.array(cells, np.uint8)[codes],
    lambda row: f'{path}:{numbers[row]}',
  )


def _tell_row(parts):
  """Returns what is wrong with a row of a list, as parted by tabs."""
  cells = [cell.strip() for cell in parts[-1].split('\t')]
  if len(parts) < 3 or len(cells) != _NUM_AUS:
    return f'{len(parts) - 1 + len(cells)} cells'
  k = next(k for k, cell in enumerate(cells) if cell not in _MEANINGS)
  return f'AU {k + 1} is {text.quote(cells[k])}'


CARD = readers.Card(
  title='EmotioNet: faces from the web, with action units.',
  description=(
    'Faces from the web, with facial action units; AUs that the files do not '
    'score are unknown.'
  ),
  homepage='http://cbcsl.ece.ohio-state.edu/dbform_emotionet.html',
  layout="""
Ask for the lists on the homepage, and load the images from their URLs. In
manual_dir there must be

  EmotioNet_FACS_*.csv (or .xlsx)   (manual)
  dataFile_*.txt                    (automatic)
  .../N_0000000001_00001.jpg        at any depth
""",
  citation="""
@inproceedings{fabian2016emotionet,
  author = {Fabian Benitez-Quiroz, C. and Srinivasan, Ramprakash and
            Martinez, Aleix M.},
  title = {{EmotioNet}: An Accurate, Real-Time Algorithm for the Automatic
           Annotation of a Million Facial Expressions in the Wild},
  booktitle = {Computer Vision and Pattern Recognition (CVPR)},
  year = {2016},
}
""",
  variants=tuple(
    readers.Variant(
      kind,
      description,
      action_units.names(range(1, _NUM_AUS + 1)),
      {'kind': kind},
    )
    for kind, description in (
      ('manual', 'The images that were coded by hand.'),
      ('automatic', 'The images that a program coded.'),
    )
  ),
)
