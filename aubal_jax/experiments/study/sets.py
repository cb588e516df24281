"""The sets of a study: where each is found, and who does a cell of it."""

from __future__ import annotations

from aubal_jax.experiments.study import plan as plan_lib


def find(name: str, folders: str) -> str | None:
  """Returns the file of a set, '' of one that is drawn, or None.

  Args:
    name: of images, see `images.SETS`, or of a table, see `tables.find`.
    folders: to look in, one after the other, with commas between.
  """
  kind = _kind(name)
  places = [kind.find(name, folder) for folder in folders.split(',')]
  return next((place for place in places if place is not None), None)


def run(cell: plan_lib.Cell, path: str) -> dict:
  """Trains, and returns the line of a cell, see `scores.line`.

  Args:
    cell: it.
    path: from `find`.

  Raises:
    UserError: the set or what is asked of it is wrong.
  """
  return _kind(cell.data).run(cell, path)


def _kind(name):
  from aubal_jax.experiments.study import images
  from aubal_jax.experiments.study import tables

  return images if name in images.SETS else tables
