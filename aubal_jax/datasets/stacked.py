"""Tables of one data set, one below the other: each is a split."""

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import codes as codes_lib
from aubal_jax.datasets import splits
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text


def stack(
  read: Callable[[os.PathLike | str, str], annotations.Annotations],
  path: os.PathLike | str,
  path_key: str,
  others: Mapping[str, os.PathLike | str] | None,
) -> annotations.Annotations:
  """Returns the rows of a table, and those of the tables of other splits below.

  A name of a label that one table lacks, and another has in a column of names
  (see `label_forms`), is absent there.

  Args:
    read: path, setting that names it -> its rows.
    path: the table; its rows train, if there are others.
    path_key: the setting that names it.
    others: split -> its table; or None.

  Raises:
    UserError: a table says something else of splits, the labels of two differ,
      or an image is in both.
  """
  if not others:
    return read(path, path_key)
  paths = {'train': path, **others}
  keys = {'train': path_key}
  parts = {
    split: read(one, keys.get(split, f'data.{split}_path'))
    for split, one in paths.items()
  }
  for split, part in parts.items():
    if part.split is not None and (part.split != split).any():
      raise errors.UserError(
        f'{paths[split]}: its rows are the split {split}, and a column says '
        "otherwise. Set data.split_column='', or name one table alone."
      )
  _check_apart(parts, paths)
  names = _stacked_names(parts, paths)
  return _stack(list(parts.values()), [*parts], names)


def plain_path(file: str) -> str:
  """Returns the path as compared with another spelling of it."""
  return os.path.normpath(file) if './' in file or '//' in file else file


def _check_apart(parts, paths) -> None:
  """Raises UserError where two tables name one image."""
  seen = {}
  for split, part in parts.items():
    if part.files is None:
      continue
    for row, file in enumerate(part.files.tolist()):
      other, place = seen.setdefault(
        plain_path(file), (split, part.describe(row))
      )
      if file and other != split:
        raise errors.UserError(
          f'{part.describe(row)}: the image {file} is in {paths[other]} as '
          f'well ({place}). An image has one split: remove one of the rows.'
        )


def _stacked_names(parts, paths) -> tuple[str, ...]:
  """Returns the labels of all tables; UserError where columns differ."""
  (first, found), *others = parts.items()
  names = [*found.label_names]
  for split, part in others:
    new = [name for name in part.label_names if name not in names]
    lacking = [name for name in names if name not in part.label_names]
    if (new or lacking) and 'named' not in (part.counts or ()):
      raise errors.UserError(
        f'{paths[split]} and {paths[first]} have other label columns: '
        f'{text.listing(map(repr, [*new, *lacking]))}. Give them the same, or '
        'name those to take in data.label_columns.'
      )
    names += new
  return tuple(names)


def _stack(parts, split_names, names) -> annotations.Annotations:
  """Returns the parts, one below the other, over all of the labels."""
  parts = [_widen(part, names) for part in parts]
  sizes = [len(part) for part in parts]
  fields = ('labels', 'known', 'ids', 'files', 'groups', 'features', 'frames')
  fields += ('landmarks',)
  joined = {
    name: np.concatenate([getattr(part, name) for part in parts])
    for name in fields
    if all(getattr(part, name) is not None for part in parts)
  }
  joined.setdefault('files', None)
  return annotations.Annotations(
    **joined,
    label_names=names,
    targets=targets_lib.stack_all(
      dict(zip(split_names, (part.targets for part in parts), strict=True)),
      sizes,
    ),
    split=np.repeat(np.array(split_names, splits.DTYPE), sizes),
    reasons=np.concatenate([np.where(p.dropped, p.reasons, '') for p in parts]),
    notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    place=annotations.place_in_parts(parts, annotations.Annotations.describe),
    counts=_add_counts(parts),
    origin=parts[0].origin,
    contents=_contents_of(parts),
  )


def _widen(part, names) -> annotations.Annotations:
  """Returns the rows over these labels; those they lack are absent."""
  take = {name: k for k, name in enumerate(part.label_names)}
  labels = np.zeros((len(part), len(names)), np.uint8)
  known = np.ones(labels.shape, bool)
  for k, name in enumerate(names):
    if name in take:
      labels[:, k] = part.labels[:, take[name]]
      known[:, k] = part.known[:, take[name]]
  return dataclasses.replace(
    part, labels=labels, known=known, label_names=names
  )


def _add_counts(parts) -> codes_lib.Counts | None:
  """Returns how many cells hold which code, in all of the parts."""
  total = {}
  for part in parts:
    for code, (meaning, count) in (part.counts or {}).items():
      total[code] = meaning, total.get(code, (meaning, 0))[1] + count
  if 'named' in total:  # Of names that a part lacks, too.
    size = sum(part.labels.size for part in parts)
    total['not named'] = 'absent', size - total['named'][1]
  return total or None


def _contents_of(parts):
  """Returns `Annotations.contents` of stacked parts."""
  if any(part.contents is None for part in parts):
    return None
  starts = np.cumsum([0, *map(len, parts)])

  def contents(rows):
    for part, start, stop in zip(parts, starts, starts[1:], strict=False):
      mine = rows[slice(*np.searchsorted(rows, (start, stop)))]
      yield from part.contents(mine - start)

  return contents
