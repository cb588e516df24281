"""Two processes with two devices each are one process with four."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from aubal_jax import files
from aubal_jax import hosts
from aubal_jax import train_log
from tests import test_faults

ROOT = pathlib.Path(__file__).parent.parent
NUM_STEPS = 40


def free_port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


@pytest.fixture(name='start')
def fixture_start(tmp_path):
  """Returns what starts both processes; whichever is left is killed."""
  started = []
  file = tmp_path / 'settings.py'
  file.write_text(test_faults.SETTINGS)

  def start(path, *extra):
    """`extra`: settings of process 1 alone."""
    port = free_port()
    environment = os.environ | {
      'XLA_FLAGS': '--xla_force_host_platform_device_count=2'
    }
    pair = []
    for number in (0, 1):
      command = [
        *(sys.executable, '-m', 'aubal_jax.main', f'--config={file}'),
        f'--workdir={path}',
        '--config.distributed.start=address',
        f'--config.distributed.address=127.0.0.1:{port}',
        '--config.distributed.num_processes=2',
        f'--config.distributed.process_id={number}',
        f'--config.train.num_steps={NUM_STEPS}',
        '--config.train.log_every_steps=2',
        *(extra if number else ()),
      ]
      pair.append(
        subprocess.Popen(
          command,
          cwd=ROOT,
          env=environment,
          stdout=subprocess.PIPE,
          stderr=subprocess.PIPE,
          text=True,
        )
      )
    started.extend(pair)
    return pair

  yield start
  for process in started:
    if process.poll() is None:
      process.kill()
    process.communicate()


def end(pair):
  """Returns the exit statuses, and what each wrote on stdout and stderr."""
  said = [process.communicate(timeout=240) for process in pair]
  return [process.returncode for process in pair], said


def numbers(path):
  """Returns what metrics.jsonl says of training and validation."""
  rows = []
  for line in train_log.read_lines(path / 'metrics.jsonl'):
    found = line.get('validation', line)
    timed = ('images_per_second', 'input_wait_fraction')
    rows.append([v for k, v in found.items() if k not in timed])
  return rows


def weights(path):
  from aubal_jax.tasks import network

  directory = path / 'checkpoints'
  _, state, _, _ = network.restore(directory, network.read(directory))
  return jax.tree.leaves(state)


def test_two_processes_are_one_and_a_signal_stops_and_resumes_both(
  start, tmp_path
):
  config = test_faults.make_config()
  config.train.num_steps, config.train.log_every_steps = NUM_STEPS, 2
  one = test_faults.run(config, tmp_path / 'one')  # On four devices.
  two = tmp_path / 'two'
  statuses, said = end(start(two))
  assert statuses == [0, 0], said
  assert 'on 4 cpu devices' in said[0][0]
  lines = ''.join(said[1]).splitlines()
  assert [line for line in lines if '[Gloo]' not in line] == []
  for a, b in zip(numbers(one), numbers(two), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
  for a, b in zip(weights(one), weights(two), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
  scores = [files.read_json(path / 'report.json') for path in (one, two)]
  assert scores[0]['f1_macro'] == scores[1]['f1_macro']
  assert (one / 'plan.npz').read_bytes() == (two / 'plan.npz').read_bytes()

  # One of them is sent a signal, as soon as there is something to go on from.
  path = tmp_path / 'stopped'
  pair = start(path)
  while not (path / 'checkpoints/3').exists():
    assert all(process.poll() is None for process in pair), end(pair)
    time.sleep(0.01)
  os.kill(pair[1].pid, signal.SIGTERM)
  statuses, said = end(pair)
  assert statuses == [143, 143], said
  assert 'the state is saved' in said[0][1]
  assert not (path / 'report.json').exists()
  assert not (path / '.lock').exists()
  statuses, said = end(start(path))
  assert statuses == [0, 0], said
  assert 'steps 1 to' not in said[0][0]
  assert test_faults.report_of(path) == test_faults.report_of(two)


@pytest.mark.parametrize(
  ('extra', 'words'),
  [
    (
      ['--config.seed=1'],
      'Process 1 was started otherwise than process 0: seed is 1, not 0',
    ),
    (['--config.train.batch_size=7'], 'batch_size is 7, not 8'),
  ],
)
def test_what_ends_one_process_ends_the_other_at_once(
  start, tmp_path, extra, words
):
  statuses, said = end(start(tmp_path / 'run', *extra))
  assert statuses == [2, 2], said
  assert words in said[1][1]
  assert 'process 1 ended with status 2' in said[0][1]
  assert 'Traceback' not in said[0][1] + said[1][1]


def test_what_keeps_process_0_from_the_folder_ends_both(start, tmp_path):
  path = tmp_path / 'run'
  (path / 'checkpoints').mkdir(parents=True)  # Of nobody knows whom.
  statuses, said = end(start(path))
  assert statuses == [2, 2], said
  assert 'no config.json' in said[0][1]
  assert 'process 0 ended with status 2' in said[1][1]


def test_a_process_alone_needs_no_others():
  assert hosts.is_first()
  assert (hosts.index(), hosts.count()) == (0, 1)
  assert hosts.from_first(lambda: 3) == 3
  hosts.check_same({'seed': 1})
  hosts.start('no')
  with pytest.raises(KeyError), hosts.ending_together():
    raise KeyError


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ({'address': 'here', 'num_processes': 2}, "host:port .*'here'"),
    ({'address': ':80', 'num_processes': 2}, "host:port .*':80'"),
    ({'address': 'a:80', 'num_processes': 0}, 'got 0 of 0'),
    ({'address': 'a:80', 'num_processes': 2, 'process_id': 2}, 'got 2 of 2'),
  ],
)
def test_an_address_that_cannot_be_is_refused(arguments, words):
  with pytest.raises(ValueError, match=words):
    hosts.start('address', **arguments)
