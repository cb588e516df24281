"""compare.json and compare.csv: all that was measured, and what it says."""

from __future__ import annotations

import csv

from aubal_jax.experiments.compare import statistics
from aubal_jax.experiments.compare import trials
from aubal_jax.runs import files

_CELL = (
  *('data', 'kind', 'method', 'fraction', 'model', 'augment_rows', 'upper'),
  *('diversity', 'num_steps'),
)
_TRIAL = ('seed', 'repeat', 'fold', 'num_train', 'num_test')
_PLAN = ('rows', 'mean_ir', 'cvir', 'scumble')
_SECONDS = ('resample', 'train')
FIELDS = (
  *_CELL,
  *_TRIAL,
  *trials.SCORES,
  *_PLAN,
  *(f'{name}_seconds' for name in _SECONDS),
  'status',
)


def make_record(rows) -> dict:
  """Returns the content of compare.json, which `write_page` and `lines` take.

  Args:
    rows: the content of each cell's result.json, in the order wanted. One that
      failed has what it was to be (`data`, `method`, ...), no `trials`, and
      `status`, the reason.
  """
  rows = [{'status': ''} | row for row in rows]
  return {'rows': rows, 'statistics': statistics.summarise(rows)}


def write_csv(path, record) -> None:
  """Writes a row for each trial, and one for each cell that failed."""
  with files.write_atomically(path) as file:
    writer = csv.DictWriter(
      file, FIELDS, extrasaction='ignore', lineterminator='\n'
    )
    writer.writeheader()
    for row in record['rows']:
      cell = {key: row.get(key) for key in (*_CELL, 'status')}
      for trial in row.get('trials') or [{}]:
        writer.writerow(cell | _flat(trial))


def _flat(trial) -> dict:
  seconds = trial.get('seconds', {})
  return {
    **trial,
    **trial.get('scores', {}),
    **trial.get('plan', {}),
    **{f'{name}_seconds': seconds.get(name) for name in _SECONDS},
  }
