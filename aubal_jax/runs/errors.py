"""Errors that are a user's to mend, told apart from bugs."""

import traceback


class UserError(ValueError):
  """What was asked for breaks a rule: argument, rule, value and the mend.

  Raised at public doors. A command ends with its message alone and status 2;
  any other exception is a bug, and shows its traceback.
  """


def tell_failure(error: Exception) -> str:
  """Returns in a line what went wrong with a cell; prints a bug's traceback."""
  if isinstance(error, (FloatingPointError, UserError)):
    return f'failed: {error}'
  traceback.print_exception(error)
  first = str(error).partition('\n')[0]
  return f'failed: {type(error).__name__}: {first}'
