"""Errors that are a user's to mend, told apart from bugs."""

import os
import traceback


def is_ours(error: ValueError) -> bool:
  """Whether one of our own checks raised it; what a library raises is a bug."""
  last = traceback.extract_tb(error.__traceback__)[-1]
  home = os.path.dirname(os.path.abspath(__file__))
  return last.filename.startswith(home) and last.line.startswith('raise ')
