"""Which features of a TFDS set are labels, and what their values say."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text


@dataclasses.dataclass(frozen=True)
class Source:
  """A feature that gives one or more labels.

  Attributes:
    path: where it is, such as 'attributes/Male'.
    kind: 'flag' (true or false), 'integer' (0 or 1), 'vector' (one 0 or 1 for
      each label), 'classes' (those that are there), 'class' (the one it is).
    names: of its labels.
    known: path of the vector that says which labels are known, or ''.
    asked: taken only where it is named.
  """

  path: str
  kind: str
  names: tuple[str, ...]
  known: str = ''
  asked: bool = False


def flatten(features) -> dict[str, tuple[object, bool]]:
  """Returns path -> (feature, whether it repeats within a row), sorted.

  TFDS keeps no order of its own: what it restores may differ by process.
  """
  import tensorflow_datasets as tfds

  def walk(feature, path, repeats):
    if type(feature) is tfds.features.Sequence and not repeats:
      yield from walk(feature.feature, path, True)
    elif type(feature) is tfds.features.FeaturesDict:
      for name, inner in feature.items():
        yield from walk(inner, f'{path}/{name}' if path else name, repeats)
    else:
      yield path, (feature, repeats)

  return dict(sorted(walk(features, '', False)))


def find_sources(features, metadata: Mapping | None) -> dict[str, Source]:
  """Returns path -> source, of all features that can be labels.

  Args:
    features: of the set.
    metadata: its entry 'label_names', where there is one, names the labels of
      the vector 'labels'.
  """
  import tensorflow_datasets as tfds

  flat = flatten(features)
  found = []
  for path, (feature, repeats) in flat.items():
    if isinstance(feature, tfds.features.ClassLabel):
      if feature.num_classes:
        kind = 'classes' if repeats else 'class'
        found.append(Source(path, kind, tuple(feature.names)))
    elif not repeats and _is_whole(feature):
      is_bool = feature.np_dtype == np.bool_
      if feature.shape == ():
        kind = 'flag' if is_bool else 'integer'
        name = path.rpartition('/')[2]
        found.append(Source(path, kind, (name,), asked=not is_bool))
      elif len(feature.shape) == 1 and feature.shape[0]:
        found.append(_vector(path, feature, flat, metadata or {}))
  beside = {source.known for source in found}
  return {s.path: s for s in found if s.path not in beside}


def _is_whole(feature):
  """Returns whether the values of a feature are numbers, and no pictures."""
  import tensorflow_datasets as tfds

  plain = (tfds.features.Tensor, tfds.features.Scalar)
  return type(feature) in plain and (
    feature.np_dtype == np.bool_ or np.issubdtype(feature.np_dtype, np.integer)
  )


def _vector(path, feature, flat, metadata):
  """Returns the source of a vector, with the names that the set has for it."""
  names = metadata.get('label_names', ()) if path == 'labels' else ()
  named = len(names) == feature.shape[0]
  if not named:
    names = [f'{path}_{k}' for k in range(feature.shape[0])]
  folder, _, _ = path.rpartition('/')
  beside = f'{folder}/known' if folder else 'known'
  other = flat.get(beside, (None, True))[0] if beside != path else None
  has_known = (
    other is not None
    and not flat[beside][1]
    and other.np_dtype == np.bool_
    and other.shape == feature.shape
  )
  return Source(
    path,
    'vector',
    tuple(names),
    known=beside if has_known else '',
    asked=not (named or has_known or feature.np_dtype == np.bool_),
  )


def select(
  sources: Mapping[str, Source], wanted: Sequence[str], where: str
) -> tuple[list[tuple[Source, int]], tuple[str, ...]]:
  """Returns which label of which source each column is, and its name.

  Args:
    sources: path -> source.
    wanted: features, folders of features or single labels: the whole path or
      the end of it ('attributes', 'attributes/Male', 'Male'); () takes all
      flags, or the one feature that holds several labels, or the one class.
    where: the set, for messages.

  Raises:
    UserError: there is none, or more than one, that is called so.
  """
  columns = []
  choices = _choices(sources)
  for name in wanted:
    columns += choices[_resolve(name, choices, where)]
  if not wanted:
    columns = _all(sources, where)
  if len(set(columns)) < len(columns):
    raise errors.UserError(
      f'{where}: data.label_columns={tuple(wanted)!r} names a label '
      'twice. Name each once.'
    )
  names = [source.names[k] for source, k in columns]
  return columns, tuple(
    name if names.count(name) == 1 else _full_name(*column)
    for name, column in zip(names, columns, strict=True)
  )


def _full_name(source, k):
  """Returns the path of a label."""
  alone = source.kind in ('flag', 'integer')
  return source.path if alone else f'{source.path}/{source.names[k]}'


def _choices(sources):
  """Returns name -> columns: of labels, of features, of folders of flags."""
  choices = {}
  for source in sources.values():
    columns = [(source, k) for k in range(len(source.names))]
    for column in columns:
      choices[_full_name(*column)] = [column]
    choices[source.path] = columns
  for source in sources.values():
    folder = source.path.rpartition('/')[0]
    if folder and source.kind == 'flag':
      choices.setdefault(folder, []).append((source, 0))
  return choices


def _resolve(name, choices, where):
  """Returns the choice that ends like `name`."""
  if name in choices:
    return name
  alike = [choice for choice in choices if choice.endswith(f'/{name}')]
  if len(alike) == 1:
    return alike[0]
  if alike:
    raise errors.UserError(
      f'{where}: the label {name!r} is {len(alike)} features: '
      f'{text.listing(map(repr, alike))}. Name one of them in '
      'data.label_columns.'
    )
  ends = [choice.rpartition('/')[2] for choice in choices]
  raise errors.UserError(
    f'{where}: there is no label {name!r}; there are '
    f'{text.listing(map(repr, choices)) or "no labels"}.'
    f'{text.suggest(name, [*choices, *ends])} Set data.label_columns.'
  )


def _all(sources, where):
  """Returns the columns that are meant where none are named."""
  offered = [source for source in sources.values() if not source.asked]
  flags = [(s, 0) for s in offered if s.kind == 'flag']
  several = [s for s in offered if s.kind in ('vector', 'classes')]
  single = [s for s in offered if s.kind == 'class']
  if flags and not several:
    return flags
  if not flags:
    for some in (several, single):
      if len(some) == 1:
        return [(some[0], k) for k in range(len(some[0].names))]
      if some:
        break
  paths = [s.path for s in offered] or list(sources)
  what = 'more than one feature can be' if offered else 'no feature is plainly'
  raise errors.UserError(
    f'{where}: {what} the labels. Name some in data.label_columns; there are '
    f'{text.listing(map(repr, paths)) or "none that are labels"}.'
  )


def parse(
  source: Source, values: Sequence, known: Sequence | None, where: str, row: int
) -> tuple[np.ndarray, np.ndarray]:
  """Converts the values of B rows.

  A class -1 is unknown, as TFDS has it in test splits without labels; among
  other classes, it leaves those unknown that are not named.

  Args:
    source: of the values.
    values: one for each row.
    known: bool[B, l] of the feature `source.known`, or None.
    where: the split, for messages.
    row: the number of the first row in it, for messages.

  Returns:
    uint8[B, l] labels, 0 where unknown, and bool[B, l] known.

  Raises:
    UserError: a number is not 0 or 1; names its row.
  """
  shape = (len(values), len(source.names))
  labels = np.zeros(shape, np.uint8)
  if source.kind in ('class', 'classes'):
    known = np.ones(shape, bool)
    lists = [np.atleast_1d(value).astype(np.int64) for value in values]
    owner = np.repeat(np.arange(len(lists)), [len(some) for some in lists])
    number = np.concatenate([*lists, np.zeros(0, np.int64)])
    known[owner[number < 0]] = False
    labels[owner[number >= 0], number[number >= 0]] = 1
    return labels, known | (labels == 1)
  cells = np.asarray(values).reshape(shape)
  known = np.ones(shape, bool) if known is None else np.asarray(known, bool)
  bad = np.argwhere(known & (cells != 0) & (cells != 1))
  if len(bad):
    n, k = bad[0]
    raise errors.UserError(
      f'{where}, row {row + n}: {_full_name(source, k)!r} is {cells[n, k]}; a '
      'label is 0 or 1. Leave it out of data.label_columns.'
    )
  return ((cells == 1) & known).astype(np.uint8), known
