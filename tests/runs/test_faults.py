"""What a run survives: each fault, and the same command once more."""

import contextlib
import errno
import itertools
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from aubal_jax import commands
from aubal_jax.runs import files
from aubal_jax.runs import workdir

ROOT = pathlib.Path(__file__).parents[2]
NUM_STEPS = 60  # Of the command, which is at work when a test stops it.

# Also a file of --config: pytest imports it, and so does the command.
SETTINGS = f"""
from aubal_jax import settings


def get_config():
  c = settings.default()
  c.data.num_train, c.data.num_validation, c.data.num_test = 60, 16, 24
  c.data.image_size = 32
  c.balance.optimizer = 'newton'
  c.balance.lam_images = 100
  c.model.name = 'resnet8_16'
  c.train.batch_size = 8
  c.train.num_steps = {NUM_STEPS}
  c.train.eval_every_steps = 8
  c.train.checkpoint_every_steps = 3
  return c
"""


def make_config(num_steps=6):
  names = {}
  exec(SETTINGS, names)
  c = names['get_config']()
  c.train.num_steps = num_steps
  return c


@pytest.fixture(name='config')
def fixture_config():
  return make_config()


def run(config, path, **options):
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return pathlib.Path(path)


def report_of(path):
  return (path / 'report.json').read_bytes()


@pytest.fixture(name='straight', scope='module')
def fixture_straight(tmp_path_factory):
  """The report of a run to which nothing happens."""
  return report_of(run(make_config(), tmp_path_factory.mktemp('straight')))


def start(folder, name):
  """Starts the command; returns the process."""
  file = folder / 'settings.py'
  file.write_text(SETTINGS)
  return subprocess.Popen(
    [
      *(sys.executable, '-m', 'aubal_jax.main'),
      *(f'--config={file}', f'--workdir={folder / name}'),
    ],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def end(process):
  """Waits for a process that should end well."""
  _, said = process.communicate(timeout=1200)
  assert process.returncode == 0, said


def wait_for(path, process):
  """Returns the clock when `path` is there, or the process has ended."""
  while not path.exists() and process.poll() is None:
    time.sleep(0.01)
  return time.monotonic()


@pytest.fixture(name='whole', scope='module')
def fixture_whole(tmp_path_factory):
  """The report of the command to which nothing happens."""
  config = make_config(NUM_STEPS)
  return report_of(run(config, tmp_path_factory.mktemp('whole')))


@pytest.mark.parametrize(
  ('moment', 'how'),
  [
    pytest.param('plan.npz', signal.SIGKILL, marks=pytest.mark.long),
    ('metrics.jsonl', signal.SIGKILL),
    pytest.param('checkpoints/3', signal.SIGTERM, marks=pytest.mark.long),
  ],
)
def test_a_stop_and_the_same_settings_end_in_the_same(
  tmp_path, whole, moment, how
):
  path = tmp_path / 'run'
  process = start(tmp_path, path.name)
  wait_for(path / moment, process)
  process.send_signal(how)
  _, said = process.communicate()
  if how == signal.SIGKILL:
    assert process.returncode == -signal.SIGKILL
  else:
    assert process.returncode == 143, said
    assert 'goes on' in said and 'Traceback' not in said, said
  assert not (path / 'report.json').exists()
  assert_ends_in(whole, run(make_config(NUM_STEPS), path))


def assert_ends_in(wanted, path):
  """The report is there, and neither a lock nor half a file."""
  assert report_of(path) == wanted
  assert not list(path.glob('.*'))
  assert not list((path / 'checkpoints').glob('*tmp*'))


@pytest.mark.long
def test_killed_at_any_of_twenty_moments_the_same_command_ends_in_the_same(
  tmp_path,
):
  # Twice, as the first one compiles what the others find compiled.
  for name in ('straight', 'timed'):
    process = start(tmp_path, name)
    begun = wait_for(tmp_path / name / '.lock', process)
    end(process)
    seconds = time.monotonic() - begun
  wanted = report_of(tmp_path / 'straight')
  assert report_of(tmp_path / 'timed') == wanted
  draw, fell_in = random.Random(0), set()
  for i in range(20):
    path = tmp_path / f'killed_{i}'
    process = start(tmp_path, path.name)
    # By what is there, so that all stages have theirs on any machine; the first
    # one at once, the others up to a third of the run later.
    wait_for(path / ('.lock', 'plan.npz', 'metrics.jsonl')[i % 3], process)
    time.sleep(draw.random() * seconds / 3 * (i > 0))
    process.kill()
    process.communicate()
    fell_in.add(frozenset(p.name for p in path.iterdir()))
    end(start(tmp_path, path.name))
    assert_ends_in(wanted, path)
  assert len(fell_in) > 1


def test_a_second_run_in_a_folder_is_refused_and_a_kill_frees_it(
  config, tmp_path
):
  path = tmp_path / 'run'
  first = start(tmp_path, path.name)
  wait_for(path / '.lock', first)
  while not (path / '.lock').read_text():  # Held, and not yet signed.
    time.sleep(0.01)
  try:
    for overwrite in (False, True):
      with pytest.raises(
        ValueError, match='Another run is at work in'
      ) as caught:
        run(config, path, overwrite=overwrite)
      assert f'process {first.pid} on' in str(caught.value)
  finally:
    first.kill()
    first.communicate()
  config.task = 'balance'
  run(config, path, overwrite=True)
  assert (path / 'plan.npz').exists()
  assert not (path / '.lock').exists()


@contextlib.contextmanager
def broken(monkeypatch, name, number, which):
  """Has os.open (by tempfile) or os.replace fail for files called `which`."""
  module = {'open': files.tempfile, 'replace': files.os}[name]
  function = {'open': 'mkstemp', 'replace': 'replace'}[name]
  real = getattr(module, function)

  def fail(*args, **options):
    target = options.get('prefix') or os.fspath(args[-1])
    if which in target:
      raise OSError(number, os.strerror(number), target)
    return real(*args, **options)

  with monkeypatch.context() as patched:
    patched.setattr(module, function, fail)
    yield


@pytest.mark.parametrize(
  ('name', 'number'), [('open', errno.EROFS), ('replace', errno.ENOSPC)]
)
def test_a_full_or_read_only_disk_is_said_and_costs_nothing(
  config, tmp_path, straight, monkeypatch, name, number
):
  path = tmp_path / 'run'
  for which in ('config.json', 'plan.npz', 'metrics.jsonl', 'report.json'):
    with (
      broken(monkeypatch, name, number, which),
      pytest.raises(OSError, match=os.strerror(number)) as caught,
    ):
      run(config, path)
    assert which in str(caught.value)
    assert not (path / which).exists()
    assert not list(path.glob('.*'))
  run(config, path)
  assert report_of(path) == straight


def test_what_a_disk_without_room_says_names_the_file_and_goes_on(tmp_path):
  code = (
    'import errno, os, runpy\n'
    'from aubal_jax.runs import files\n'
    'def full(_): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n'
    'files.os.fsync = full\n'
    "runpy.run_module('aubal_jax.main', run_name='__main__')"
  )
  (tmp_path / 'settings.py').write_text(SETTINGS)
  done = subprocess.run(
    [
      *(sys.executable, '-c', code, f'--config={tmp_path / "settings.py"}'),
      *(f'--workdir={tmp_path / "run"}', '--config.task=balance'),
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert done.stderr == (
    f'Error: {tmp_path}/run/config.json: No space left on device. When that '
    'is mended, the same command goes on.\n'
  )
  assert not (tmp_path / 'run').exists()


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_a_checkpoint_that_finds_no_room_is_said_and_saved_again(
  config, tmp_path, straight, capfd
):
  path = tmp_path / 'run'
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
  try:
    with pytest.raises(OSError, match='File too large') as caught:
      run(config, path)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert caught.value.filename == f'{path}/checkpoints/3'
  assert 'Traceback' not in capfd.readouterr().err
  run(config, path)
  assert report_of(path) == straight
  assert not list((path / 'checkpoints').glob('*tmp*'))


def test_a_plan_cut_off_is_said_and_made_again(config, tmp_path, straight):
  path = run(config, tmp_path / 'run')
  workdir.clear(path, workdir.WRITES['train'])
  os.truncate(path / 'plan.npz', 100)
  with pytest.raises(
    ValueError, match=r'not a whole plan .*delete it'
  ) as caught:
    run(config, path)
  assert str(path / 'plan.npz') in str(caught.value)
  (path / 'plan.npz').unlink()
  run(config, path)
  assert report_of(path) == straight


def test_a_checkpoint_cut_off_costs_its_interval_alone(
  config, tmp_path, straight, capsys
):
  path = tmp_path / 'run'
  config.train.num_steps = 5
  run(config, path)
  newest = path / 'checkpoints/5'
  for file in newest.rglob('d/*'):
    os.truncate(file, file.stat().st_size // 2)
  config.train.num_steps = 6
  run(config, path)
  assert 'step 5, now 5.damaged, is damaged' in capsys.readouterr().err
  assert report_of(path) == straight


def test_a_worker_that_dies_changes_nothing(
  config, tmp_path, straight, monkeypatch
):
  from aubal_jax.batches import augment_processes

  real, calls = augment_processes._Worker.run, itertools.count()

  def run_and_die(worker, *arguments):
    if next(calls) == 2:
      os.kill(worker._process.pid, signal.SIGKILL)
    return real(worker, *arguments)

  monkeypatch.setattr(augment_processes._Worker, 'run', run_and_die)
  config.augment.rows = 'all'
  wanted = report_of(run(config, tmp_path / 'threads'))
  config.train.num_processes = 1
  path = run(config, tmp_path / 'run')
  assert next(calls) >= 6
  assert report_of(path) == wanted


def test_a_nan_ends_the_run_and_says_what_to_mend(config, tmp_path):
  """Of the loss; an image is uint8 and has none."""
  config.train.learning_rate = 1e30
  config.train.checkpoint_every_steps = 1
  path = tmp_path / 'run'
  with pytest.raises(FloatingPointError, match='lower the learning rate'):
    run(config, path)
  assert not (path / 'report.json').exists()
  config.train.learning_rate = 1e-3
  with pytest.raises(ValueError, match=r'train\.learning_rate: 1e\+30 there'):
    run(config, path)


def test_a_clock_that_goes_backwards_changes_nothing(
  config, tmp_path, straight, monkeypatch
):
  now = itertools.count(2e9, -3600)
  monkeypatch.setattr(time, 'time', lambda: next(now))
  path = run(config, tmp_path / 'run')
  assert report_of(path) == straight
  (path / 'report.json').unlink()  # It goes on as well.
  run(config, path)
  assert next(now) < 2e9 - 3600  # Somebody did ask.
  assert report_of(path) == straight
