"""Readers of the data sets as their authors hand them out, one a module.

Each has `read(folder, **options) -> Annotations`: it looks at annotation files
and at which images there are, and opens no image. Every row of the files stays
a row; one that cannot be used says why. What the files look like is told at
the head of each module.
"""

import importlib
import types

from aubal_jax.datasets import annotations

# name -> module and the options of its `read`, which are keys of the section
# of the same name in the configuration.
READERS = types.MappingProxyType(
  {
    'aff_wild2': ('aubal_jax.datasets.readers.aff_wild2', ('release',)),
    'emotionet': ('aubal_jax.datasets.readers.emotionet', ('kind',)),
    'ck_plus': ('aubal_jax.datasets.readers.ck_plus', ('frames',)),
    'disfa': ('aubal_jax.datasets.readers.disfa', ('least_intensity',)),
    'bp4d': ('aubal_jax.datasets.readers.bp4d', ()),
    'actor_study': ('aubal_jax.datasets.readers.actor_study', ()),
  }
)


def read(name: str, path: str, **options) -> annotations.Annotations:
  """Reads the data set called `name`.

  Args:
    name: a name of `READERS`.
    path: its folder (or its table, where it is a manifest).
    **options: of its reader.

  Raises:
    FileNotFoundError: it is not there; says what was looked for, and what was
      found instead.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  module, _ = READERS[name]
  return importlib.import_module(module).read(path, **options)
