"""NIH ChestX-ray14: findings in chest X-rays, as a CSV file.

  Data_Entry_2017.csv (or ..._v2020.csv)   Image Index, Finding Labels, Patient
                                           ID, and columns that are not used
  train_val_list.txt, test_list.txt        may be absent, both
  images_001/images/00000001_000.png       images, in any folders

A label is a finding; several have | between, and "No Finding" is none of them.
The patient is the subject. The lists part off the test split; they do not part
training from validation, so what train_val_list.txt names is for training.
Images that are not there are left out and counted.
"""

import os

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.datasets.converters import lists
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import errors
from aubal_jax.runs import text

_FILES = tuple(f'Data_Entry_2017{more}.csv' for more in ('', '_v2020'))
_COLUMNS = ('Image Index', 'Finding Labels', 'Patient ID')
_LISTS = {'train_val_list.txt': 'train', 'test_list.txt': 'test'}
_NONE = 'No Finding'
_RULE = (
  'A row has the name of an image, findings with | between (or No Finding '
  'alone) and a patient. Correct it.'
)


def convert(
  folder: os.PathLike | str, out: os.PathLike | str
) -> tuple[str, ...]:
  """Writes the manifest of ChestX-ray14 (Wang et al. 2017).

  Args:
    folder: what holds the table, the lists and the images.
    out: the .csv to write.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: the table or images are not there; says what is.
    UserError: a file breaks a rule; names it, the line and the mend.
  """
  out = writing.check_out(out)
  path = folders.find_file(folder, _FILES)
  entries, places = _read_entries(path)
  label_names = sorted(places)
  column = {name: k for k, name in enumerate(label_names)}
  split, notes = _read_split(folder, path, entries)
  found = folders.list_names(folder)
  files = {name: found.get(os.path.splitext(name)[0]) for name in entries}
  kept = [name for name in entries if files[name]]
  labels = np.zeros((len(kept), len(label_names)), bool)
  for n, name in enumerate(kept):
    labels[n, [column[finding] for finding in entries[name][1]]] = True
  missing = len(entries) - len(kept)
  rows = writing.Rows(
    [files[name] for name in kept],
    label_names,
    labels,
    split=split and [split[name] for name in kept],
    subjects=[entries[name][2] for name in kept],
  )
  left_out = {'no image': missing} if missing else {}
  return writing.write_rows(out, rows, left_out, path, folder) + notes


def _read_entries(path):
  """Returns image -> (line, findings, patient), and finding -> where it is."""
  rows = lists.read_cells(path)
  line, header = next(rows, (1, []))
  for name in _COLUMNS:
    if header.count(name) != 1:
      raise errors.UserError(
        f'{path}:{line}: the columns are '
        f'{text.listing(map(text.quote, header))}; {name!r} must be among '
        'them, once. Take the table as its authors hand it out.'
      )
  at = [header.index(name) for name in _COLUMNS]
  width = len(_without_end(header))
  entries, places = {}, {}
  for line, row in rows:
    is_whole = len(row) >= width >= len(_without_end(row))
    name, cell, patient = [row[k] if is_whole else '' for k in at]
    findings = [writing.clean_name(part) for part in cell.split('|')]
    findings = [] if findings == [_NONE] else findings
    if not all([name, patient, *findings]) or _NONE in findings:
      raise errors.UserError(
        f'{path}:{line}: {text.quote(",".join(row))}. {_RULE}'
      )
    lists.check_new(path, line, name, entries)
    entries[name] = line, findings, patient
    for finding in findings:
      places.setdefault(finding, f'{path}:{line}')
  writing.check_labels(places)
  if not places:
    raise errors.UserError(f'{path}:{line}: no row has a finding. {_RULE}')
  return entries, places


def _without_end(cells):
  """Returns the cells without blank ones at the end, as the table has one."""
  while cells and not cells[-1]:
    cells = cells[:-1]
  return cells


def _read_split(folder, source, entries):
  """Returns image -> split, None without lists, and notes."""
  split, files = {}, []
  for list_name, part in _LISTS.items():
    try:
      path = folders.find_file(folder, (list_name,))
    except FileNotFoundError:
      continue
    files.append(path)
    for line, cells in lists.read_cells(path):
      name = ' '.join(cells)
      lists.check_new(path, line, name, split)
      split[name] = part
  if not files:
    return None, ('There is neither train_val_list.txt nor test_list.txt.',)
  for name, (line, *_) in entries.items():
    if name not in split:
      raise errors.UserError(
        f'{source}:{line}: {text.quote(name)} is not in '
        f'{" or ".join(files)}. An image is in one of {" and ".join(_LISTS)}: '
        'add it, or remove both lists.'
      )
  notes = []
  if more := len(split) - len(entries):
    notes.append(f'{more:,} names in the lists are of no image in {source}.')
  return split, (
    *notes,
    'train_val_list.txt names no images for validation: all of it is for '
    "training. data.split_column='' draws all splits anew, by patient.",
  )
