"""Rows with targets of every kind, drawn."""

import dataclasses

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import targets


def classes(names):
  """The form of a class target: a target of no rows."""
  return targets.of_codes(np.empty(0, int), [*names])


def numbers(low, high, names=('age',)):
  """The form of a real target."""
  return targets.of_numbers(np.empty((0, len(names))), names, low, high)


def form(name, rng):
  """The form of 'mood' (classes), 'va' (numbers) or 'tags' (labels)."""
  if name == 'mood':
    return classes([f'mood{k}' for k in range(rng.integers(3, 8))])
  if name == 'va':
    return numbers(-1, 1, ('valence', 'arousal'))
  return targets.Target(
    *('binary', np.zeros((0, 3), np.uint8), np.zeros((0, 3), bool), (*'xyz',))
  )


def some_names(form, rng):
  """The form with two or more of its names, in another order."""
  count = rng.integers(2, len(form.names) + 1)
  names = tuple(map(str, rng.permutation(form.names)[:count]))
  columns = form.values.shape[1:] and (len(names),)
  return dataclasses.replace(
    form,
    values=form.values[:, : len(names)] if columns else form.values,
    known=form.known[:, : len(names)] if columns else form.known,
    names=names,
  )


def draw(form, size, rng):
  """A target of that form of `size` rows, a third of it unknown."""
  shape = (size, *(form.values.shape[1:] and (len(form.names),)))
  known = rng.random(shape) < 2 / 3
  if form.kind == 'real':
    values = rng.uniform(form.low, form.high, shape).round(2)
  else:
    most = 2 if form.kind == 'binary' else len(form.names)
    values = rng.integers(0, most, shape)
  values = np.where(known, values, 0).astype(form.values.dtype)
  return dataclasses.replace(form, values=values, known=known)


def annotations_of(rng, size, forms):
  """Rows of two labels, 'A' and 'B', and of targets of these forms."""
  known = rng.random((size, 2)) < 0.8
  labels = (rng.integers(0, 2, (size, 2)) * known).astype(np.uint8)
  return annotations.Annotations(
    files=np.array([f'{k}.png' for k in range(size)]),
    labels=labels,
    known=known,
    label_names=('A', 'B'),
    ids=np.array([f'{k}' for k in range(size)]),
    targets={name: draw(one, size, rng) for name, one in forms.items()},
  )


def cells_of(found):
  """(target, id, name) -> value, of all that is known; a class is its name."""
  cells = {}
  for name, target in found.targets.items():
    for place in np.argwhere(target.known):
      row, *column = place.tolist()
      value = target.values[tuple(place)].item()
      if target.kind == 'class':
        cells[name, str(found.ids[row]), ''] = target.names[value]
      else:
        cells[name, str(found.ids[row]), target.names[column[0]]] = value
  return cells
