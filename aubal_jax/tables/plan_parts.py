"""The plan of a table in parts: a Parquet file for each, and what is in them.

A file holds what plan.npz does, with `source` counted within the part, and
says what it was made of: made of the same, it is not made again.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.tables import parts as parts_lib
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import plan_file
from aubal_jax.tables.files import parquet

SEAL = 'plan.json'  # Written when all parts are.
_FORMAT = 1
_KEY = b'aubal_jax.plan'
_COLUMNS = ('source', 'augment', 'partner')


def write(
  parts: parts_lib.Parts,
  counts: np.ndarray,
  folder: os.PathLike | str,
  *,
  seed: int,
  executor: Any = None,
) -> list[pathlib.Path]:
  """Writes the plan in which labelset s has `counts[s]` rows, part by part.

  Each part draws on its own, from the seed and its place among the parts. A
  part that is there, made of the same, stays as it is.

  Args:
    parts: the `Parts`.
    counts: int64[S].
    folder: where the files go, each called as its part is; with plan.json,
      which is there when all of them are whole.
    seed: of the draws.
    executor: see `labelsets.find_labelsets`.

  Returns:
    The files, in the order of the parts.

  Raises:
    UserError: a part has changed since it was counted, or another process
      writes there.
  """
  folder = pathlib.Path(folder).absolute()
  folder.mkdir(parents=True, exist_ok=True)
  quotas = parts_lib.share_out(parts, counts)
  numbered = enumerate(zip(parts.parts, quotas, strict=True))
  jobs = (
    (part.path, parts.reading, part.sum, quota, folder, (seed, number))
    for number, (part, quota) in numbered
  )
  busy = f'Another process writes a plan in {folder}; wait for it'
  with files.locked(folder / '.lock', busy):
    files.remove_left(folder)
    (folder / SEAL).unlink(missing_ok=True)
    paths = [folder / part.path.name for part in parts.parts]
    _remove_others(folder, paths)
    told = [*parts_lib.in_order(executor, _write_part, jobs)]
    files.write_json(folder / SEAL, _sealed(parts, paths, told, seed))
  return paths


def _sealed(parts, paths, told, seed) -> dict:
  """Returns the content of plan.json."""
  rows, added = np.array(told, np.int64).sum(axis=0).tolist()
  return {
    'format': _FORMAT,
    'label_names': [*parts.reading.label_names],
    'seed': seed,
    'rows': rows,
    'added': added,
    'parts': {
      path.name: {'rows': rows, 'added': added}
      for path, (rows, added) in zip(paths, told, strict=True)
    },
  }


def _remove_others(folder, paths: Sequence[pathlib.Path]) -> None:
  """Removes the plans of parts that are no more; nothing else."""
  for path in {*folder.glob(f'*{parts_lib.SUFFIX}')} - {*paths}:
    try:
      read(path)
    except errors.UserError:
      continue
    path.unlink()


def _write_part(path, reading, total, quota, folder, seed) -> tuple[int, int]:
  """Writes the plan of one part; returns its rows, and the added ones.

  Args:
    path: of the part.
    reading: how its labels are read.
    total: its checksum, as counted.
    quota: int64[K], rows wanted of each of its labelsets.
    folder: where the plan goes.
    seed: whole numbers to draw from.
  """
  pins = {
    'part': path.name,
    'labels': total,
    'counts': plan_file.checksum({'counts': quota}),
    'unknown': reading.unknown,
    'seed': [*seed],
  }
  out = folder / path.name
  plan = _read_same(out, pins)
  if plan is None or plan.label_names != reading.label_names:
    found = parts_lib.read(path, reading)
    if found.sum != total:
      raise errors.UserError(
        f'{path} has changed since its rows were counted. Run it again when '
        'nothing writes there.'
      )
    plan = plan_lib.spread(
      found.labelsets.index,
      quota,
      label_names=reading.label_names,
      rows=found.rows,
      seed=np.random.default_rng(seed),
    )
    _write(out, plan, pins)
  return len(plan), int(plan.augment.sum())


def _read_same(path, pins: dict) -> plan_lib.Plan | None:
  """Returns the plan in a file that was made of these; None: there is none."""
  try:
    plan, own = _read(path)
  except (FileNotFoundError, errors.UserError):
    return None
  return plan if own == pins else None


def _write(path, plan: plan_lib.Plan, pins: dict) -> None:
  """Writes the plan of a part, whole or not at all."""
  pa, pq = parquet.need(path)
  arrays = {name: getattr(plan, name) for name in _COLUMNS}
  told = {
    'format': _FORMAT,
    'label_names': [*plan.label_names],
    'sum': plan_file.checksum(arrays),
    'pins': pins,
  }
  table = pa.table(arrays).replace_schema_metadata({_KEY: json.dumps(told)})
  with files.write_atomically(path, 'wb') as file:
    pq.write_table(table, file)


def read(path: os.PathLike | str) -> plan_lib.Plan:
  """Returns the plan of one part, which `write` wrote.

  Raises:
    FileNotFoundError: there is no such file.
    UserError: it is not a whole plan, or of a later version.
  """
  return _read(pathlib.Path(path))[0]


def _read(path: pathlib.Path) -> tuple[plan_lib.Plan, dict]:
  _, pq = parquet.need(path)
  with open(path, 'rb') as file:
    try:
      table = pq.read_table(file)
      told = json.loads((table.schema.metadata or {}).get(_KEY, b'{}'))
      number = told.get('format', 0)
      arrays = {
        name: table.column(name).to_numpy() for name in table.column_names
      }
      is_whole = number > _FORMAT or told['sum'] == plan_file.checksum(arrays)
    except Exception as error:  # Parsers raise what comes.
      raise plan_file.not_whole(path, error) from error
  if number > _FORMAT:
    raise plan_file.too_new(path, number, _FORMAT)
  if not is_whole:
    raise plan_file.not_whole(path, ValueError('its checksum is wrong'))
  return plan_lib.Plan(**arrays, label_names=(*told['label_names'],)), told[
    'pins'
  ]
