"""Keeps libraries from printing of themselves."""

from __future__ import annotations

import os


def tensorflow() -> None:
  """Quiets TensorFlow, of this process and of those it starts.

  To be called before it is imported. What the user has set stays.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # Or it prints of them.
