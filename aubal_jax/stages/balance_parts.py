"""balance, of a folder of Parquet files: the plan is a folder of them, too.

plan/ has a file for each part (see `tables.plan_parts`), in the place of
plan.npz, plan.csv and rows.csv, which would be as long as the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import codes
from aubal_jax.datasets import labels as labels_lib
from aubal_jax.datasets import loading
from aubal_jax.datasets import reading as reading_lib
from aubal_jax.runs import errors
from aubal_jax.runs import executors
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.runs import workdir
from aubal_jax.stages import balance
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import solving
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import parts as parts_lib
from aubal_jax.tables import plan_parts
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import parquet_labels

# What a table in parts cannot be asked for.
_WHOLE = (
  *('data.validation_path', 'data.test_path', 'data.feature_columns'),
  *('data.class_columns', 'data.real_columns'),
  *('data.label_column', 'data.least_votes', 'data.threshold'),
  *('balance.method', 'balance.diversity', 'balance.redraw_each_epoch'),
  'multitask.balance',
)


@dataclasses.dataclass(frozen=True)
class PartedTable:
  """What a `Run` has in the place of a `Dataset`.

  Attributes:
    parts: the `Parts`.
    origin: where the names of labels are from, if nobody named them; else ''.
    counts: of the cells, by what they mean.
    notes: for people.
  """

  parts: parts_lib.Parts
  origin: str
  counts: codes.Counts
  notes: tuple[str, ...]

  @property
  def label_names(self) -> tuple[str, ...]:
    """The names of the L labels."""
    return self.parts.reading.label_names

  def fingerprint(self) -> str:
    """Returns 16 hex digits that tell one table from another."""
    return self.parts.fingerprint()


def is_meant(config) -> bool:
  """Whether the configuration balances a folder of Parquet files."""
  path = pathlib.Path(config.data.path)
  return (
    config.task == 'balance'
    and config.data.name == 'labels'
    and bool(config.data.path)
    and path.is_dir()
    and any(map(any_table.is_part, path.iterdir()))
  )


def check(config) -> None:
  """Raises UserError for what only a table in memory can have."""
  balance.check(config)
  executors.check(config.experiments.executor, config.experiments.address)
  for name in _WHOLE:
    given, usual = settings.value(config, name), settings.SETTINGS[name].default
    if given != usual:
      raise errors.UserError(
        f'{name} must be {usual!r} where data.path is a folder of parts, whose '
        f'rows are never together; it is {given!r}.'
      )


def load(config, path, watch: progress.Watch) -> run_lib.Run:
  """Returns the run of a configuration in a folder; the parts are counted.

  Raises:
    UserError: a setting or a part has to be mended.
  """
  reading, origin = _reading(config)
  with _handing_out(config, path) as executor:
    parts = parts_lib.survey(config.data.path, reading, executor)
  watch.lap('counting labelsets')
  table = PartedTable(parts, origin, _count_cells(parts), _notes(parts))
  num_rows = int(parts.labelsets.counts.sum())
  epochs = math.ceil(
    num_rows * config.train.num_epochs / config.train.batch_size
  )
  steps = config.train.num_steps or max(epochs, 1)
  pinned = run_lib.pin(config, table, steps)
  return run_lib.Run(config, path, table, steps, pinned, watch)


@contextlib.contextmanager
def _handing_out(config, path) -> Iterator:
  """Yields who works on the parts; a worker's death is told of."""
  given = config.experiments
  folder = path / workdir.JOBS[0]
  try:
    with executors.open(
      given.executor, given.address, given.num_workers, folder=folder
    ) as executor:
      yield executor
  except executors.WorkerDied as error:
    raise errors.UserError(
      f'{config.data.path}: {error}. The same command goes on where it was; a '
      'worker needs some 130 bytes for each row of a part: fewer at once '
      '(experiments.num_workers), or smaller parts, take less.'
    ) from error


def _reading(config) -> tuple[parts_lib.Reading, str]:
  """Returns how parts are read, and where the names of labels are from."""
  how = reading_lib.Reading(**loading.reading(config))
  first = parts_lib.find(config.data.path)[0]
  parquet_labels.find_columns(first, how.exclude_columns)
  columns = parquet_labels.find_columns(first, ())
  if how.split_column in {*columns} - {*how.label_columns}:
    raise errors.UserError(
      f'{first}: all rows of parts train, and the column {how.split_column!r} '
      'says that some do not. Keep those of the training split, or say that it '
      "is none by data.split_column=''."
    )
  names = labels_lib.names_of_labels(
    str(first),
    [*columns],
    how,
    images=[name for name, kind in columns.items() if 'binary' in kind],
  )
  reading = parts_lib.Reading(
    names, how.codes.meaning, unknown=config.data.unknown
  )
  return reading, '' if how.label_columns else f'columns of {first.name}'


def _count_cells(parts) -> codes.Counts:
  """Returns how many cells mean what; of rows that stay, or are unknown."""
  labelsets = parts.labelsets
  present = int(labelsets.class_counts.sum())
  unknown = sum(part.num_unknown for part in parts.parts)
  cells = int(labelsets.counts.sum()) * labelsets.patterns.shape[1]
  if parts.reading.unknown != 'drop':
    cells -= unknown
  found = {'absent': cells - present, 'present': present, 'unknown': unknown}
  return {name: (name, count) for name, count in found.items() if count}


def _notes(parts) -> tuple[str, ...]:
  rows = sum(part.num_rows for part in parts.parts)
  left_out = rows - int(parts.labelsets.counts.sum())
  notes = labels_lib.odd_notes(parts.reading.label_names)
  notes += (f'{len(parts.parts):,} parts of {rows:,} rows; all of them train.',)
  if left_out:
    notes += (f'Dropped {left_out:,} rows: a label is unknown.',)
  return notes


def run(run) -> None:
  """Solves, and writes the plan part by part."""
  parts, path = run.dataset.parts, run.path
  labelsets, names = parts.labelsets, run.dataset.label_names
  if not labelsets.class_counts.any():
    raise errors.UserError(
      f'{run.config.data.path}: no label has a positive in any part; nothing '
      'to balance. Are data.label_columns and data.unknown_codes right?'
    )
  uneven = balance.measure(labelsets)
  solution = solving.solve(run.config, labelsets, run.config.balance.upper)
  after = solution.counts
  content = balance.labelsets_json(names, labelsets, uneven, after)
  content['codes'] = codes.as_json(run.dataset.counts)
  content['plan'] = plan = _plan_json(labelsets, after)
  solved = balance.solution_json(solution)
  run.begin('balance')
  files.write_json(path / 'labelsets.json', content)
  files.write_json(path / 'solution.json', solved)
  with _handing_out(run.config, path) as executor:
    plan_parts.write(
      parts, after, path / 'plan', seed=run.config.seed, executor=executor
    )
  shown = {
    'images': plan['rows'],
    'augmented': plan['added'],
    'class_counts': plan['class_counts'],
  }
  balance.write_page(run, content, solved, shown)
  run.finish('balance')
  print(
    f'balance: {path / "plan"}, {plan["rows"]:,} rows in {len(parts.parts):,} '
    f'files, {plan["added"]:,} of them added; {path / "balance.html"}',
    flush=True,
  )
  run.watch.lap('balance')


def _plan_json(labelsets, after) -> dict:
  """Returns what the plan is, as labelsets.json has it."""
  before = labelsets.counts
  uneven = labelsets_lib.imbalance(dataclasses.replace(labelsets, counts=after))
  content = {
    'method': 'aubal',
    'epochs': 1,
    'rows': int(after.sum()),
    'added': int(np.maximum(after - before, 0).sum()),
    'mixed': 0,
    'left_out': int(np.maximum(before - after, 0).sum()),
  }
  for name in ('class_counts', 'mean_ir', 'cvir', 'scumble'):
    content[name] = balance.plain(uneven[name])
  return content
