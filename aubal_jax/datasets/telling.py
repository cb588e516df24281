"""What people are told of a data set, before any work on it."""

import sys

from aubal_jax.datasets import codes
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import targets
from aubal_jax.runs import text


def tell(data: dataset_lib.Dataset) -> None:
  """Prints what its labels are and hold, and its notes; warnings on stderr."""
  if data.origin:
    print(f'Labels: {text.listing(data.label_names)} ({data.origin}).')
  if data.label_names:
    print(f'Cells of labels: {codes.describe(data.counts)}.', flush=True)
  for name, target in _others(data).items():
    known = int(target.rows_known.sum())
    print(
      f'Target {name}: {targets.describe(target)}, known in {known:,} of '
      f'{len(target):,} rows.'
    )
  for note in data.notes:
    serious = note.startswith(dataset_lib.WARNING)
    print(
      note if serious else f'Note: {note}',
      file=sys.stderr if serious else sys.stdout,
      flush=True,
    )


def _others(data) -> dict[str, targets.Target]:
  """Returns the targets beside the labels; a table in parts has none."""
  held = getattr(data, 'targets', {})
  return {k: v for k, v in held.items() if k != dataset_lib.LABELS}
