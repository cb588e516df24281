"""Errors that are a user's to mend, told apart from bugs."""

import os
import traceback


def is_ours(error: ValueError) -> bool:
  """Whether one of our own checks raised it; what a library raises is a bug."""
  last = traceback.extract_tb(error.__traceback__)[-1]
  home = os.path.dirname(os.path.abspath(__file__))
  return last.filename.startswith(home) and last.line.startswith('raise ')


def tell_failure(error: Exception) -> str:
  """Returns in a line what went wrong with a cell; prints a bug's traceback."""
  numeric = isinstance(error, FloatingPointError)
  if numeric or (isinstance(error, ValueError) and is_ours(error)):
    return f'failed: {error}'
  traceback.print_exception(error)
  first = str(error).partition('\n')[0]
  return f'failed: {type(error).__name__}: {first}'
