"""One door for what other people's parsers raise on damaged files."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from collections.abc import Iterator

from aubal_jax.runs import errors
from aubal_jax.runs import text

# What the system, not the file, is to blame for.
_SYSTEM = (FileNotFoundError, PermissionError, IsADirectoryError)


@contextlib.contextmanager
def parsing(
  path: os.PathLike | str,
  kind: str,
  mend: str,
  tell: Callable[[Exception], str] | None = None,
) -> Iterator[None]:
  """Makes of whatever a parser raises inside a UserError that names the file.

  Damaged bytes make parsers raise what comes: struct.error, KeyError,
  RecursionError, MemoryError for a size that stands in the file. Only the call
  of the parser belongs inside, so that no fault of our own is hidden.

  Args:
    path: the file.
    kind: what it should be, such as 'Parquet'.
    mend: what to do, as a sentence.
    tell: error -> why it cannot be read; None: what the parser says.

  Raises:
    UserError: 'PATH: not readable as KIND (REASON). MEND'.
  """
  try:
    yield
  except (errors.UserError, *_SYSTEM):
    raise
  except Exception as error:
    told = tell(error) if tell else _reason(error, path)
    raise errors.UserError(
      f'{path}: not readable as {kind} ({told}). {mend}'
    ) from error


def _reason(error: Exception, path) -> str:
  """Returns in a line what a parser says, without the file's name."""
  if isinstance(error, MemoryError):
    return 'it names a size that memory has no room for'
  told = text.first_line(error).replace(str(path), 'the file')
  told = re.sub(r'\s+', ' ', told)
  return f'{told[:200]}...' if len(told) > 200 else told
