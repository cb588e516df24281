"""Targets beside the labels, as features of a prepared set."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import targets as targets_lib


def features(targets: Mapping[str, targets_lib.Target]) -> dict:
  """Returns name -> feature: the number of a class, or D numbers."""
  import tensorflow_datasets as tfds

  found = {}
  for name, target in targets.items():
    names = ', '.join(target.names)
    if target.kind == 'class':
      doc = f'-1 where unknown, else from 0: {names}'
      found[name] = tfds.features.Scalar(np.int16, doc=doc)
    else:
      doc = f'in [{target.low:g}, {target.high:g}], NaN: unknown: {names}'
      shape = (len(target.names),)
      found[name] = tfds.features.Tensor(shape=shape, dtype=np.float32, doc=doc)
  return found


def values(targets: Mapping[str, targets_lib.Target], row: int) -> dict:
  """Returns name -> what a row of `features` holds."""
  return {
    name: np.where(
      target.known[row],
      target.values[row],
      np.int16(-1) if target.kind == 'class' else np.float32(np.nan),
    ).astype(target.values.dtype)
    for name, target in targets.items()
  }


def as_json(targets: Mapping[str, targets_lib.Target]) -> dict[str, list]:
  """Returns name -> kind, names, low and high."""
  return {
    name: [target.kind, list(target.names), target.low, target.high]
    for name, target in targets.items()
  }


def from_json(metadata: Mapping) -> dict[str, list]:
  """Returns what `as_json` gave, of the metadata of a set; {} without."""
  held = metadata.get('targets')  # Of others' sets it may be anything.
  if not isinstance(held, Mapping):
    return {}
  return {
    name: form
    for name, form in held.items()
    if isinstance(form, Sequence) and form[0] in targets_lib.KINDS
  }


def parse(form: Sequence, cells: Sequence[np.ndarray]) -> targets_lib.Target:
  """Returns a target of the rows of its feature.

  Args:
    form: kind, names, low and high.
    cells: N rows, as `values` has them.
  """
  kind, names, low, high = form
  if kind == 'class':
    return targets_lib.of_codes(np.array(cells, np.int64), names)
  numbers = np.array(cells, np.float64).reshape(-1, len(names))
  return targets_lib.of_numbers(numbers, names, low, high)
