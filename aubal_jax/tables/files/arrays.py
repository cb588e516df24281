"""Label tables that NumPy or SciPy saved: .npz and .npy."""

import pathlib
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import foreign
from aubal_jax.runs import text
from aubal_jax.tables.files import table

_MEND = 'Save it with numpy.savez(path, labels=labels, label_names=names).'
_MEMBERS = ('labels', 'label_names', 'patterns', 'counts', 'features')

_MOST_CELLS = 2e10  # Of labels that are written out.

# Of a sparse matrix that SciPy saved: those that must be there.
_SPARSE = ('format', 'shape', 'data')


def read(path: pathlib.Path, others: Sequence[str] = ()) -> table.Table:
  """Returns the table of an .npz or .npy file; rows are counted from 0.

  An .npz holds `labels` [N, L], or labelsets: `patterns` [S, L] and `counts`
  [S], or [K, S] of K sources, which are added up. Of those each pattern makes
  as many rows as it is counted, one pattern after the other. Beside `labels`
  there may be `features` [N, F], numbers, NaN where one is missing. A sparse
  matrix [N, L] that SciPy saved is the labels alone.

  Args:
    path: the file.
    others: names of arrays [N] that are columns, too, where they are there; if
      one is, there need be no labels.

  Raises:
    UserError: the file is damaged, or not of this form; names it.
  """
  arrays, held = _load(path, others)
  columns = {name: arrays[name] for name in others if name in arrays}
  if 'labels' not in arrays and {'patterns', 'counts'} <= {*arrays}:
    arrays['labels'] = _rows_of_labelsets(path, **arrays)
  if 'labels' not in arrays and columns:
    size = len(np.atleast_1d(next(iter(columns.values()))))
    arrays['labels'] = np.zeros((size, 0), np.uint8)
  if 'labels' not in arrays:
    raise errors.UserError(
      f"{path}: there is no array 'labels', only "
      f'{text.listing(map(repr, held))}. {_MEND}'
    )
  labels = arrays['labels']
  if labels.dtype.kind not in 'biufU':
    raise errors.UserError(
      f"{path}: 'labels' must be numbers or text, not {labels.dtype}. {_MEND}"
    )
  if labels.ndim != 2 or not (labels.size or (len(labels) and columns)):
    raise errors.UserError(
      f"{path}: 'labels' must be [N, L], one row for each image and one column "
      f'for each label, not {list(labels.shape)}. {_MEND}'
    )
  names = _names(path, arrays.get('label_names'), labels)
  columns = dict(zip(names, _columns(labels), strict=True)) | {
    name: _columns(_checked_column(path, name, array, len(labels)))[0]
    for name, array in columns.items()
  }
  features = arrays.get('features')
  if features is not None:
    features = _checked_features(path, features, len(labels))
  return table.Table(path, columns, np.arange(len(labels)), 0, features)


def read_features(path: pathlib.Path) -> np.ndarray:
  """Returns `features` float64[N, F] of an .npz, whatever else it holds.

  Raises:
    UserError: the file is damaged, or has none.
  """
  arrays, held = _load(path, ())
  features = arrays.get('features')
  if features is None or features.ndim != 2:
    raise errors.UserError(
      f"{path}: there is no array 'features' [N, F], only "
      f'{text.listing(map(repr, held))}. Save it with numpy.savez(path, '
      'features=features).'
    )
  return _checked_features(path, features, len(features))


def _columns(cells) -> list[table.Column]:
  """Returns the columns of cells [N, K]."""
  distinct = np.unique(cells)  # NaN is the last of them.
  texts = [str(value) for value in distinct]
  codes = np.searchsorted(distinct, cells).astype(np.int32)
  return [table.make_column(texts, column) for column in codes.T]


def _checked_column(path, name, array, num_rows):
  """Returns an array [N, 1]; raises UserError unless it is one [N]."""
  if array.dtype.kind not in 'biufU' or array.shape != (num_rows,):
    raise errors.UserError(
      f'{path}: {name!r} must be numbers or text [{num_rows}], one for each '
      f'row, not {array.dtype}{list(array.shape)}. Correct it, or take it out '
      'of data.class_columns and data.real_columns.'
    )
  return array[:, None]


def _load(path, others) -> tuple[dict, list[str]]:
  """Returns the arrays of a file that are read, and the names of all."""
  with (
    foreign.parsing(path, 'NumPy', _MEND, _reason),
    open(path, 'rb') as file,
  ):
    loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      return {'labels': loaded}, ['labels']
    if {*_SPARSE} <= {*loaded.files}:
      return {'labels': _dense(path)}, loaded.files
    names = dict.fromkeys((*_MEMBERS, *others))
    members = [name for name in names if name in loaded]
    return {name: loaded[name] for name in members}, loaded.files


def _dense(path) -> np.ndarray:
  """Returns a sparse matrix as an array, once its places are known to be."""
  from scipy import sparse  # A table that is none starts faster without.

  matrix = sparse.load_npz(path)
  if hasattr(matrix, 'check_format'):
    matrix.check_format(full_check=True)
  return matrix.toarray()


def _names(path, names, labels):
  """Returns the names of the labels; raises UserError unless they are L."""
  num_labels = labels.shape[1]
  width = len(str(num_labels - 1))
  if names is None:
    names = [f'label_{k:0{width}}' for k in range(num_labels)]
  names = np.asarray(names).astype(str)
  if names.shape != (num_labels,) or len(set(names.tolist())) != num_labels:
    raise errors.UserError(
      f"{path}: 'label_names' must be {num_labels} distinct names, one for "
      f"each column of 'labels', not {list(names.shape)}: "
      f'{text.listing(names.ravel())}. {_MEND}'
    )
  table.check_names(f"{path}: 'label_names'", names.tolist())
  return names.tolist()


def _checked_features(path, features, num_rows):
  """Returns features as float64; raises UserError unless they are [N, F]."""
  if features.dtype.kind not in 'biuf' or features.shape[:-1] != (num_rows,):
    raise errors.UserError(
      f"{path}: 'features' must be numbers [{num_rows}, F], one row for each "
      f"row of 'labels', not {features.dtype}{list(features.shape)}. Correct "
      'it, or leave it out.'
    )
  return features.astype(np.float64)


def _rows_of_labelsets(path, patterns, counts, **_):
  """Returns labels [N, L], each of the patterns [S, L] as often as counted."""
  whole = counts.dtype.kind in 'iu' and (counts >= 0).all()
  fits = patterns.ndim == 2 and patterns.size and counts.ndim in (1, 2)
  if not (whole and fits and counts.shape[-1] == len(patterns)):
    raise errors.UserError(
      f"{path}: 'counts' must be whole numbers, one for each row of 'patterns' "
      f'[S, L]; they are {counts.dtype}{list(counts.shape)} and '
      f'{list(patterns.shape)}.'
    )
  if counts.sum(dtype=np.float64) * patterns.shape[1] > _MOST_CELLS:
    raise errors.UserError(
      f"{path}: 'counts' add up to {counts.sum(dtype=np.float64):.3g} rows, "
      'more than memory has room for.'
    )
  return np.repeat(patterns, counts.reshape(-1, len(patterns)).sum(0), axis=0)


def _reason(error):
  """Returns in our words why NumPy could not read a file."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  if isinstance(error, MemoryError):
    return 'it names a size that memory has no room for'
  if 'object arrays' in str(error).casefold():
    return 'it holds Python objects, which are not loaded, for safety'
  return 'it is damaged, or no file that NumPy saved'
