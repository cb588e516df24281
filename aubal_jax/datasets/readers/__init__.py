"""Readers of the data sets as their authors hand them out, one a module.

Each has `read(folder, **options) -> Annotations`: it looks at annotation files
and at which images there are, and opens no image. Every row of the files stays
a row; one that cannot be used says why. What the files look like is told at
the head of each module. The options are keys of the section of the same name in
the configuration. One with a `CARD` is a builder of TFDS, too.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Mapping

from aubal_jax.datasets import annotations
from aubal_jax.datasets import targets as targets_lib


@dataclasses.dataclass(frozen=True)
class Variant:
  """One reading of a data set.

  Attributes:
    name: what TFDS calls it; '' where there is only one.
    description: of it, a sentence; '' where there is only one.
    label_names: of all labels that it may have.
    options: of the reader.
    targets: name -> target of no rows, of those that it has beside the labels.
  """

  name: str
  description: str
  label_names: tuple[str, ...]
  options: Mapping[str, object] = dataclasses.field(default_factory=dict)
  targets: Mapping[str, targets_lib.Target] = dataclasses.field(
    default_factory=dict
  )


@dataclasses.dataclass(frozen=True)
class Card:
  """What is told of a data set beside its rows.

  Attributes:
    title: a line.
    description: a few sentences.
    homepage: where its authors tell of it.
    layout: how to get it, and what must be in its folder.
    citation: BibTeX.
    variants: its readings, the usual one first.
  """

  title: str
  description: str
  homepage: str
  layout: str
  citation: str
  variants: tuple[Variant, ...]


def names() -> tuple[str, ...]:
  """Returns the names of the data sets that have a reader."""
  return tuple(module.name for module in pkgutil.iter_modules(__path__))


def module(name: str):
  """Returns the module of a reader."""
  return importlib.import_module(f'{__name__}.{name}')


def options(name: str) -> tuple[str, ...]:
  """Returns the options of a reader: what it takes beside the folder."""
  _, *others = inspect.signature(module(name).read).parameters
  return tuple(others)


def read(name: str, path: str, **options) -> annotations.Annotations:
  """Reads the data set called `name`.

  Args:
    name: one of `names`.
    path: its folder (or its table, where it is a manifest).
    **options: of its reader.

  Raises:
    FileNotFoundError: it is not there; says what was looked for, and what was
      found instead.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  return module(name).read(path, **options)
