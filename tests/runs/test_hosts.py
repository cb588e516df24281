"""Two processes with two devices each are one process with four."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from aubal_jax.network import log as log_lib
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from tests.runs import test_faults

ROOT = pathlib.Path(__file__).parents[2]
NUM_STEPS = 16


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

  def start(path, *extra, both=()):
    """`extra`: settings of process 1 alone; `both`: of both."""
    port = free_port()
    environment = os.environ | {
      'XLA_FLAGS': '--xla_force_host_platform_device_count=2'
    }
    pair = []
    for number in (0, 1):
      command = [
        *(sys.executable, '-m', 'aubal_jax.main', f'--config={file}'),
        f'--workdir={path}',
        f'--config.data.cache_dir={tmp_path / "cache"}',  # Made by both.
        '--config.distributed.start=address',
        f'--config.distributed.address=127.0.0.1:{port}',
        '--config.distributed.num_processes=2',
        f'--config.distributed.process_id={number}',
        f'--config.train.num_steps={NUM_STEPS}',
        '--config.train.log_every_steps=2',
        *both,
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
  said = [process.communicate(timeout=1200) for process in pair]
  return [process.returncode for process in pair], said


def numbers(path):
  """Returns what metrics.jsonl says of training and validation."""
  rows = []
  for line in log_lib.read_lines(path / 'metrics.jsonl'):
    found = line.get('validation', line)
    timed = ('images_per_second', 'input_wait_fraction')
    rows.append([v for k, v in found.items() if k not in timed])
  return rows


def weights(path):
  from aubal_jax.network import bundle

  trained = bundle.load(path / 'checkpoints')
  return jax.tree.leaves((trained.params, trained.batch_stats))


def test_two_processes_are_one(start, tmp_path):
  config = test_faults.make_config(NUM_STEPS)
  config.train.log_every_steps = 2
  one = test_faults.run(config, tmp_path / 'one')  # On four devices.
  two = tmp_path / 'two'
  statuses, said = end(start(two))
  assert statuses == [0, 0], said
  assert 'on 4 cpu devices' in said[0][0]
  lines = ''.join(said[1]).splitlines()
  # Threads of Gloo write at once, and break each other's lines.
  assert [x for x in lines if not re.search('Gloo|peer ranks|^$', x)] == []
  for a, b in zip(numbers(one), numbers(two), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
  for a, b in zip(weights(one), weights(two), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
  scores = [files.read_json(path / 'report.json') for path in (one, two)]
  assert scores[0]['f1_macro'] == scores[1]['f1_macro']
  assert (one / 'plan.npz').read_bytes() == (two / 'plan.npz').read_bytes()


@pytest.mark.long
def test_a_signal_to_one_process_stops_both_and_they_go_on(start, tmp_path):
  straight = tmp_path / 'straight'
  statuses, said = end(start(straight))
  assert statuses == [0, 0], said
  path = tmp_path / 'stopped'
  pair = start(path)
  while not (path / 'checkpoints/3').exists():  # There is what to go on from.
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
  assert test_faults.report_of(path) == test_faults.report_of(straight)


@pytest.mark.long
def test_a_search_of_two_processes_is_that_of_one(start, tmp_path):
  config = test_faults.make_config()
  config.task, config.train.num_steps = 'search', 4
  config.search.losses, config.search.optimizers = ('bce',), ('sgd',)
  config.search.learning_rates, config.search.batch_sizes = ('0.1,1.0',), (8,)
  one = test_faults.run(config, tmp_path / 'one')
  both = ['--config.task=search', '--config.train.num_steps=4']
  for name in ('losses', 'optimizers', 'learning_rates', 'batch_sizes'):
    both.append(f'--config.search.{name}={tuple(config.search[name])}')
  statuses, said = end(start(tmp_path / 'two', both=both))
  assert statuses == [0, 0], said
  rows, others = (
    files.read_json(path / 'search.json')['rows']
    for path in (one, tmp_path / 'two')
  )
  assert [row['cell'] for row in rows] == [row['cell'] for row in others]
  for row, other in zip(rows, others, strict=True):
    assert row['step'] == other['step'] and other['status'] == ''
    np.testing.assert_allclose(row['f1_macro'], other['f1_macro'], atol=1e-5)


@pytest.mark.parametrize(
  ('extra', 'words'),
  [
    (
      ['--config.seed=1'],
      'Process 1 was started otherwise than process 0: seed is 1, not 0',
    ),
    pytest.param(
      ['--config.train.batch_size=7'],
      'batch_size is 7, not 8',
      marks=pytest.mark.long,
    ),
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


@pytest.mark.long
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
