import os
import signal

import pytest

from aubal_jax.runs import preemption


@pytest.fixture(autouse=True)
def fixture_handlers(monkeypatch):
  monkeypatch.setattr(preemption, '_received', 0)
  old = [(n, signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGINT)]
  preemption.install()
  yield
  for number, handler in old:
    signal.signal(number, handler)


@pytest.mark.parametrize(
  ('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
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
