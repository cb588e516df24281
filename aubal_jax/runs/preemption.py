"""SIGTERM, SIGHUP, Ctrl-C: training saves and stops; else it stops at once."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from collections.abc import Iterator

_received = 0  # The number of the signal, 0 for none.
_deferring = False


def install() -> None:
  """Handles SIGTERM, SIGINT and SIGHUP (not under `nohup`) from here on."""
  signal.signal(signal.SIGTERM, _receive)
  signal.signal(signal.SIGINT, _receive)
  if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
    signal.signal(signal.SIGHUP, _receive)


def requested() -> bool:
  """Whether a signal has come."""
  return bool(_received)


def received() -> int:
  """Returns the number of the signal that has come; 0 for none."""
  return _received


def pass_on(number: int) -> None:
  """Takes a signal that another process of the run was sent for one here."""
  global _received
  _received = _received or number


def stop_if_requested() -> None:
  """Ends the process, with the status shells give, if a signal has come.

  To be called between pieces of work: what a handler raises can be lost, and a
  signal that came while it was deferred has not been acted on.

  Raises:
    SystemExit: 143 after SIGTERM, 130 after Ctrl-C, 129 after SIGHUP.
  """
  if _received:
    print('Stopped; the same command goes on.', file=sys.stderr)
    raise SystemExit(128 + _received)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
  """Inside, a first signal only sets `requested`: who polls it saves."""
  global _deferring
  _deferring = True
  try:
    yield
  finally:
    _deferring = False


def _receive(number: int, _) -> None:
  global _received
  again, _received = bool(_received), number
  if number == signal.SIGHUP:
    _let_go_of_terminal()
  if again or not _deferring:
    raise SystemExit(128 + number)


def _let_go_of_terminal() -> None:
  """Has what is printed go nowhere, where the terminal is gone and it fails."""
  nowhere = os.open(os.devnull, os.O_WRONLY)
  for stream in (1, 2):
    with contextlib.suppress(OSError):  # It may be closed.
      is_device = stat.S_ISCHR(os.fstat(stream).st_mode)
      if is_device and not os.isatty(stream):
        os.dup2(nowhere, stream)
  os.close(nowhere)
