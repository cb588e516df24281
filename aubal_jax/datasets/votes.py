"""Rows that are about one image, made one: annotators, a row for each label."""

import dataclasses

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import stacked
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text


def count(
  found: annotations.Annotations, least_votes: int
) -> annotations.Annotations:
  """Returns the rows with those of one image made one, by their votes.

  A label is 1 where at least `least_votes` rows of the image say so; unknown
  where they do not, and might if all was known; else 0. Rows are of one image
  where their files are the same, or without files what they are called. They
  come in the order of their first ones, whose place and name is theirs.

  Args:
    found: one row for each annotator, or for each label of an image.
    least_votes: above 0; 0 returns the rows as they are.

  Raises:
    UserError: rows of an image differ in split, group or features.
  """
  if not least_votes:
    return found
  named = found.ids if found.files is None else found.files
  named = np.array([stacked.plain_path(name) for name in named.tolist()])
  _, first, number = np.unique(named, return_index=True, return_inverse=True)
  order = np.argsort(first)
  first = first[order]
  number = np.argsort(order)[number]
  _check_alike(found, first[number])
  shape = len(first), len(found.label_names)
  yes, unknown = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
  np.add.at(yes, number, found.labels)
  np.add.at(unknown, number, ~found.known)
  labels = yes >= least_votes
  taken = {
    name: None if getattr(found, name) is None else getattr(found, name)[first]
    for name in (
      *('files', 'ids', 'groups', 'split', 'reasons', 'features', 'frames'),
      'landmarks',
    )
  }
  few = int((np.bincount(number) < least_votes).sum())
  note = (
    f'{len(found):,} rows are {len(first):,} images: a label is there where '
    f'{least_votes} or more of the rows of an image say so (data.least_votes). '
    'Rows of plans are images, counted from 0 in the order of their first rows.'
  )
  if few and least_votes > 1:
    note += f' {few:,} images have fewer rows than that, so no label.'
  return dataclasses.replace(
    found,
    **taken,
    targets={
      name: targets_lib.pool(target, number, len(first))
      for name, target in found.targets.items()
    },
    labels=labels.astype(np.uint8),
    known=labels | (yes + unknown < least_votes),
    notes=(*found.notes, note),
    place=lambda row: found.describe(int(first[row])),
  )


def _check_alike(found, first) -> None:
  """Raises UserError where a row differs from the first of its image.

  Args:
    found: the rows.
    first: int[N], the first row of the image of each.
  """
  for name, what in (
    ('split', 'split'),
    ('groups', 'group'),
    ('features', 'features'),
  ):
    values = getattr(found, name)
    if values is None:
      continue
    same = values == values[first]
    if values.ndim == 2:
      same = (same | (np.isnan(values) & np.isnan(values[first]))).all(axis=1)
    odd = np.flatnonzero(~same)
    if len(odd):
      row = int(odd[0])
      raise errors.UserError(
        f'{found.describe(row)}: another {what} than in the first row of the '
        f'same image ({found.describe(int(first[row]))}); '
        f'{text.listing([f"{len(odd):,} rows do so"])}. Rows of one image '
        'have the same.'
      )
