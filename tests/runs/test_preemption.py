import os
import pathlib
import pty
import random
import signal
import subprocess
import sys
import time

import pytest

from aubal_jax.runs import preemption


@pytest.fixture(autouse=True)
def fixture_handlers(monkeypatch):
  monkeypatch.setattr(preemption, '_received', 0)
  all_of_them = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  old = [(n, signal.getsignal(n)) for n in all_of_them]
  signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Tests may be under nohup.
  preemption.install()
  yield
  for number, handler in old:
    signal.signal(number, handler)


@pytest.mark.parametrize(
  ('number', 'status'),
  [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
)
def test_a_signal_ends_the_process_with_the_status_of_shells(number, status):
  with pytest.raises(SystemExit) as caught:
    os.kill(os.getpid(), number)
  assert caught.value.code == status
  # Should what the handler raised be lost, the next border stops.
  with pytest.raises(SystemExit) as caught:
    preemption.stop_if_requested()
  assert caught.value.code == status


def test_deferred_it_only_asks(capsys):
  preemption.stop_if_requested()
  assert not preemption.requested()
  with preemption.deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    assert preemption.requested()
  with pytest.raises(SystemExit):
    preemption.stop_if_requested()
  assert 'the same command goes on' in capsys.readouterr().err


def test_a_second_signal_does_not_wait():
  with preemption.deferred():
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(SystemExit):
      os.kill(os.getpid(), signal.SIGINT)


# Works on when its terminal is gone, saves, and ends with the status of SIGHUP.
CODE = """
import os, pathlib, signal, sys, time
from aubal_jax.runs import preemption
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Tests may be under nohup.
os.close(os.open(os.ttyname(0), os.O_RDWR))  # It is the session's terminal.
preemption.install()
with preemption.deferred():
  print('begun', flush=True)
  while not preemption.requested():
    time.sleep(0.01)
  print('a line to nobody', flush=True)
  print('and another', file=sys.stderr, flush=True)
  pathlib.Path(sys.argv[1]).write_text('saved')
preemption.stop_if_requested()
"""


def test_a_terminal_that_hangs_up_costs_nothing(tmp_path):
  rng = random.Random(0)
  for trial in range(3):
    saved = tmp_path / f'{trial}'
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
      [sys.executable, '-c', CODE, saved],
      cwd=pathlib.Path(__file__).parents[2],
      **dict.fromkeys(('stdin', 'stdout', 'stderr'), inner),
      start_new_session=True,
    )
    os.close(inner)
    assert os.read(terminal, 100).startswith(b'begun')
    time.sleep(rng.random() / 10)
    os.close(terminal)
    assert process.wait(120) == 129
    assert saved.read_text() == 'saved'


def test_nohup_is_respected():
  signal.signal(signal.SIGHUP, signal.SIG_IGN)
  preemption.install()
  with preemption.deferred():
    os.kill(os.getpid(), signal.SIGHUP)
    assert not preemption.requested()
