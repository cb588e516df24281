"""SIGTERM: training saves and stops; anything else stops at once."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

STATUS = 143  # What a shell says of a process that SIGTERM ended.

_requested = False
_deferring = False


def install() -> None:
  """Handles SIGTERM from here on."""
  signal.signal(signal.SIGTERM, _on_sigterm)


def requested() -> bool:
  """Whether SIGTERM has come."""
  return _requested


@contextlib.contextmanager
def deferred() -> Iterator[None]:
  """Inside, SIGTERM only sets `requested`: who polls it saves and stops."""
  global _deferring
  _deferring = True
  try:
    yield
  finally:
    _deferring = False


def _on_sigterm(*_) -> None:
  global _requested
  _requested = True
  if not _deferring:
    print('Stopped by SIGTERM; the same command goes on.', file=sys.stderr)
    raise SystemExit(STATUS)
