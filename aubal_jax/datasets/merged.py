"""Several data sets as one.

What a merged set does not label is unknown there, not absent; the paper's own
reading, absent, is an option.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text


def merge(
  sets: Mapping[str, annotations.Annotations],
  *,
  label_columns: tuple[str, ...] = (),
  unlabelled: str = 'unknown',
) -> annotations.Annotations:
  """Puts data sets one below the other.

  Rows are called 'set/id' and groups 'set/group', so that those of two sets
  never meet; a row without a group is one of its own where another set has
  groups. Either all sets have splits, or none. Targets that a set lacks are
  unknown there. What is seen is the image: other streams are left out.

  Args:
    sets: name -> what its reader found, in order.
    label_columns: labels to take, in order; () takes the union, sorted.
    unlabelled: what an entry is that its set does not label: 'unknown', or
      'absent', which also takes the unknown codes of the sets as absent.

  Raises:
    UserError: there is no set, some have splits and some not, or no set has a
      label that is asked for; or two have a target of one name in two forms.
  """
  if not sets:
    raise errors.UserError(
      "data.sources is empty; name the sets to merge: ('ck_plus', 'disfa')."
    )
  lacking = [name for name, found in sets.items() if found.split is None]
  if 0 < len(lacking) < len(sets):
    raise errors.UserError(
      f'{", ".join(lacking)} has no official split, and other merged sets '
      f'have; set {lacking[0]}.split to train.'
    )
  names = _merged_names(sets, label_columns)
  parts = [
    _over(found, names, name, unlabelled) for name, found in sets.items()
  ]
  fields = ['files', 'labels', 'known', 'ids', 'groups', 'reasons', 'sources']
  fields += [] if lacking else ['split']
  if all(part.frames is not None for part in parts):
    fields.append('frames')
  return annotations.Annotations(
    **{
      field: np.concatenate([getattr(part, field) for part in parts])
      for field in fields
    },
    label_names=names,
    targets=targets_lib.stack_all(
      {name: found.targets for name, found in sets.items()},
      [len(found) for found in sets.values()],
    ),
    splits=_merged_splits(sets, names),
    corners=_merged_corners(sets),
    notes=tuple(
      note if note.startswith(dataset.WARNING) else f'{name}: {note}'
      for name, found in sets.items()
      for note in found.notes
    ),
    place=annotations.place_in_parts(parts, annotations.Annotations.describe),
  )


def _merged_names(sets, label_columns):
  """Returns the labels of merged sets; UserError on one that none has."""
  union = sorted(
    {name for found in sets.values() for name in found.label_names}
  )
  for name in label_columns:
    if name not in union:
      raise errors.UserError(
        f'data.label_columns names {name!r}, which none of '
        f'{", ".join(sets)} labels; they label {", ".join(union)}.'
        f'{text.suggest(name, union)}'
      )
  return tuple(label_columns or union)


def _merged_corners(sets) -> np.ndarray | None:
  """Returns the pieces of images, whole ones where a set has none."""
  if all(found.corners is None for found in sets.values()):
    return None
  return np.concatenate(
    [
      np.full((len(found), 3, 2), np.nan, np.float32)
      if found.corners is None
      else found.corners
      for found in sets.values()
    ]
  )


def _merged_splits(sets, names) -> dict[str, np.ndarray]:
  """Returns the splits of each target, where a set has such; else {}."""
  if not any(found.splits for found in sets.values()):
    return {}
  others = (name for found in sets.values() for name in found.targets)
  targets = dict.fromkeys((*([dataset.LABELS] if names else []), *others))

  def split_of(found, target):
    held = {*found.targets} | ({dataset.LABELS} if found.label_names else set())
    if target not in held:
      return np.full(len(found), dataset.DROPPED, splits.DTYPE)
    return found.splits.get(target, found.split)

  return {
    target: np.concatenate([split_of(one, target) for one in sets.values()])
    for target in targets
  }


def _over(found, names, source, unlabelled):
  """Returns the rows over other labels, with names that carry the source."""
  labels = np.zeros((len(found), len(names)), np.uint8)
  known = np.full(labels.shape, unlabelled == 'absent')
  for k, name in enumerate(names):
    if name in found.label_names:
      column = found.label_names.index(name)
      labels[:, k] = found.labels[:, column]
      if unlabelled == 'unknown':
        known[:, k] = found.known[:, column]
  groups = found.ids if found.groups is None else found.groups
  return dataclasses.replace(
    found,
    labels=labels,
    known=known,
    label_names=names,
    ids=np.char.add(f'{source}/', found.ids),
    groups=np.char.add(f'{source}/', groups),
    reasons=np.where(found.dropped, found.reasons, ''),
    sources=np.full(len(found), source),
  )


def table_of_sources(data: dataset.Dataset) -> dict[str, dict]:
  """Returns the left half of Table I: per source, images that show each label.

  Args:
    data: with `sources`.

  Returns:
    source -> `images` (rows that are used), `dropped`, and `class_counts`, one
    a label; the counts are of all splits together.
  """
  table = {}
  for source in dict.fromkeys(data.sources.tolist()):
    rows = data.sources == source
    used = rows & (data.split != dataset.DROPPED)
    table[source] = {
      'images': int(used.sum()),
      'dropped': int(rows.sum() - used.sum()),
      'class_counts': data.labels[used].sum(axis=0, dtype=np.int64).tolist(),
      'known': data.known[used].sum(axis=0, dtype=np.int64).tolist(),
    }
  return table
