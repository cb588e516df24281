"""Actor Study (Seuss et al. 2019): 21 actors before an array of cameras.

Its per-frame intensities are handed out in no public layout, so it is read as
a generic manifest: image paths, a column `subject`, a 0/1 column for each AU.
"""

import os

from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import manifest
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table


def read(path: str) -> annotations.Annotations:
  """Reads a manifest; an image that is not there drops its row.

  Args:
    path: the table, or a folder that holds one table.

  Raises:
    FileNotFoundError, UserError: a folder without a table or with several;
      otherwise see `manifest.read`.
  """
  if os.path.isdir(path):
    path = _find_table(path)
  return manifest.read(path, unreadable='drop')


def _find_table(folder):
  """Returns the only table of a folder."""
  held = [entry.name for entry in folders.entries(folder)]
  tables = [name for name in held if name.lower().endswith(any_table.SUFFIXES)]
  if len(tables) != 1:
    found = text.listing(tables or held) or 'nothing'
    kinds = ', '.join(any_table.SUFFIXES)
    raise FileNotFoundError(
      f'{folder}: looked for one table of images ({kinds}), and found {found}. '
      'Set actor_study.path to the table.'
    )
  return os.path.join(folder, tables[0])
