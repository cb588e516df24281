"""Balances a table in parts: the answer of one machine, a part at a time."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

from aubal_jax.balancing import advice
from aubal_jax.balancing import solve as solve_lib
from aubal_jax.runs import errors
from aubal_jax.tables import arguments
from aubal_jax.tables import parts as parts_lib
from aubal_jax.tables import plan_parts

PLAN = 'plan'  # The folder beside the parts, where no other is named.


def balance_parts(
  folder: os.PathLike[str] | str,
  out: os.PathLike[str] | str | None = None,
  *,
  label_columns: Sequence[str] = (),
  seed: int = 0,
  executor: Any = None,
  **settings: Any,
) -> tuple[list[pathlib.Path], solve_lib.Solution]:
  """As `balance`, of a folder of Parquet files, parts of one table.

  The parts are counted, and their plans made, one at a time each, wherever the
  executor runs; no more than one is in a worker's memory. Labelsets, counts and
  solution are those of the whole table. So are the rows that the plan has of
  each labelset, exactly: they are shared out over the parts by largest
  remainder, and each part draws its own.

  A plan that was stopped goes on where it was: a part whose plan is there, made
  of the same labels, counts and seed, is not made again.

  Args:
    folder: of .parquet files, all of the same label columns (extra `tables`).
    out: folder of the plan, which the workers see, too; None: `plan` in the
      folder of the parts. It has a Parquet file for each part, called as the
      part is, with the columns `source` (row of the part, from 0), `augment`
      and `partner`, as a `Plan` has them; and plan.json, when all are there.
    label_columns: names of the labels, in order; (): all columns.
    seed: of the draws of which images are repeated once more.
    executor: what does the work: anything that has
      `submit(function, *arguments).result()`, such as an executor of
      `concurrent.futures`, or of Dask; None: this process.
    **settings: of `solve`.

  Returns:
    The files of the plan, in the order of the parts, and the `Solution`.

  Raises:
    UserError: a part is damaged, or has other columns than the first; or as
      `find_labelsets` and `solve` do.
  """
  arguments.check_seed(seed)
  if not isinstance(seed, int):
    raise errors.UserError(
      f'seed must be a whole number, of which each part draws; it is {seed!r}.'
    )
  reading = parts_lib.read_columns(label_columns)
  if not os.path.isdir(folder):
    raise errors.UserError(
      f'folder must be a folder of .parquet files; {os.fspath(folder)!r} is '
      'none. One file is balanced by aubal.balance.'
    )
  parts = parts_lib.survey(folder, reading, executor)
  labelsets = parts.labelsets
  solve = functools.partial(
    solve_lib.solve, labelsets.patterns, labelsets.counts
  )
  solution = dataclasses.replace(
    solve(**settings), label_names=parts.reading.label_names
  )
  why = advice.why_unchanged(solve, labelsets.counts, solution, settings)
  if why:
    warnings.warn(why, UserWarning, stacklevel=2)
  paths = plan_parts.write(
    parts,
    solution.counts,
    pathlib.Path(folder) / PLAN if out is None else out,
    seed=seed,
    executor=executor,
  )
  return paths, solution
