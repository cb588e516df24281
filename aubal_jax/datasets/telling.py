"""What people are told of a data set, before any work on it."""

import sys

from aubal_jax.datasets import codes
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.runs import text


def tell(data: dataset_lib.Dataset) -> None:
  """Prints what its labels are and hold, and its notes; warnings on stderr."""
  if data.origin:
    print(f'Labels: {text.listing(data.label_names)} ({data.origin}).')
  print(f'Cells of labels: {codes.describe(data.counts)}.', flush=True)
  for note in data.notes:
    serious = note.startswith(dataset_lib.WARNING)
    print(
      note if serious else f'Note: {note}',
      file=sys.stderr if serious else sys.stdout,
      flush=True,
    )
