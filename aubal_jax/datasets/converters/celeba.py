"""CelebA: 40 attributes of faces, in lists.

  list_attr_celeba.txt      their number, the names, 000001.jpg -1 1 ...
  list_eval_partition.txt   000001.jpg 0       may be absent
  identity_CelebA.txt       000001.jpg 2880    may be absent
  img_align_celeba/000001.jpg

Each list may be the .csv of Kaggle, with a header, instead. 1 is present, -1
absent. Of partitions 0 is train, 1 validation and 2 test; without them the
manifest has no split. The identity is the subject. Images that are not there
are left out and counted.
"""

import os

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.datasets.converters import lists
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import errors
from aubal_jax.runs import text

_SPLITS = {'0': 'train', '1': 'validation', '2': 'test'}
_VALUES = {'-1': 0, '1': 1}
# Column -> the file without suffix, and what a line says of an image.
_OTHERS = {
  'split': ('list_eval_partition', 'its partition: 0, 1 or 2'),
  'subject': ('identity_CelebA', 'the number of a person'),
}


def convert(
  folder: os.PathLike | str,
  out: os.PathLike | str,
  *,
  images: str = 'img_align_celeba',
) -> tuple[str, ...]:
  """Writes the manifest of CelebA (Liu et al. 2015).

  Args:
    folder: what holds the lists and the images.
    out: the .csv to write.
    images: the folder of the images; their suffix does not matter.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: attributes or images are not there; says what is.
    UserError: a list breaks a rule; names it, the line and the mend.
  """
  out = writing.check_out(out)
  path = folders.find_file(
    folder, ('list_attr_celeba.txt', 'list_attr_celeba.csv')
  )
  lines, label_names, labels = _read_attributes(path)
  split, split_note = _read_list(folder, 'split', lines, path)
  subjects, subject_note = _read_list(folder, 'subject', lines, path)
  found = folders.list_names(folders.find_folder(folder, (images,)))
  files = [found.get(os.path.splitext(name)[0], '') for name in lines]
  there = np.array(files, str) != ''
  left_out = {} if there.all() else {'no image': int(np.sum(~there))}
  kept = np.flatnonzero(there).tolist()
  rows = writing.Rows(
    [files[n] for n in kept],
    label_names,
    labels[there],
    split=split and [split[n] for n in kept],
    subjects=subjects and [subjects[n] for n in kept],
  )
  written = writing.write_rows(out, rows, left_out, path, folder)
  return (*written, *split_note, *subject_note)


def _read_attributes(path):
  """Returns image -> line, the L names and bool[N, L]."""
  rows = lists.read_cells(path)
  is_csv = path.lower().endswith('.csv')
  count = '' if is_csv else ' '.join(next(rows, (1, ()))[1])
  header_line, names = next(rows, (2 - is_csv, []))
  names = names[1:] if is_csv else names
  _check_header(path, header_line, names)
  lines, values = {}, []
  for line, (name, *cells) in rows:
    try:
      values.append(bytes([_VALUES[cell] for cell in cells]))
    except KeyError:
      cells = ()
    if not name or len(cells) != len(names):
      raise errors.UserError(
        f'{path}:{line}: the line of {text.quote(name)} is no name of an image '
        f'with a 1 or -1 for each of the {len(names)} names in line '
        f'{header_line}. Correct it.'
      )
    lists.check_new(path, line, name, lines)
    lines[name] = line
  if not lines or (not is_csv and count != str(len(lines))):
    first = '' if is_csv else f', and its first line is {text.quote(count)}'
    raise errors.UserError(
      f'{path}: it has {len(lines)} images{first}. There must be some, and a '
      '.txt begins with their number. It may not have been copied whole: copy '
      'it again.'
    )
  labels = np.frombuffer(b''.join(values), np.uint8).astype(bool)
  return lines, names, labels.reshape(len(lines), len(names))


def _check_header(path, line, names):
  """Raises UserError on names of attributes that cannot be labels."""
  if not names or len({*names}) < len(names) or {*names} & {*_VALUES}:
    raise errors.UserError(
      f'{path}:{line}: the names of the attributes are '
      f'{text.listing(map(text.quote, names)) or "not there"}. Each has a name '
      'of its own. Take the list as its authors hand it out.'
    )
  writing.check_labels(dict.fromkeys(names, f'{path}:{line}'))


def _read_list(folder, column, lines, source):
  """Returns N values, None without the list, and notes.

  Args:
    folder: of the data set.
    column: of the manifest, one of _OTHERS.
    lines: image -> line of the list of attributes.
    source: that list.

  Raises:
    UserError: a line is wrong, or an image has none.
  """
  stem, what = _OTHERS[column]
  names = (f'{stem}.txt', f'{stem}.csv')
  try:
    path = folders.find_file(folder, names)
  except FileNotFoundError:
    return None, (f'There is no {names[0]}, so the manifest has no {column}.',)
  rule = f'A line is the name of an image and {what}. Correct it.'
  pairs = lists.read_pairs(path, rule)
  values = []
  for name, line in lines.items():
    if name not in pairs:
      raise errors.UserError(
        f'{path}: {text.quote(name)} ({source}:{line}) has no line. {rule}'
      )
    values.append(pairs[name][0])
  if column == 'split':
    for name, (value, line) in pairs.items():
      if value not in _SPLITS:
        raise errors.UserError(
          f'{path}:{line}: {text.quote(name)} has {text.quote(value)}. {rule}'
        )
    values = [_SPLITS[value] for value in values]
  more = len(pairs) - len(lines)
  note = f'{path}: {more:,} lines are of no image in {source}, and not used.'
  return values, (note,) * (more > 0)
