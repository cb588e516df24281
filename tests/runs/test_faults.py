"""What a run survives: each fault, and the same command once more."""

import contextlib
import errno
import glob
import itertools
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax.runs import files
from aubal_jax.runs import workdir
from tests.makers import small_network
from tests.makers import small_runs

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
  c.model.name = '{small_network.NAME}'
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


@pytest.fixture(name='_plain', scope='module', autouse=True)
def fixture_plain():
  with small_runs.without_pictures():
    yield


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


def start(folder, name, settings=SETTINGS):
  """Starts the command; returns the process."""
  file = folder / 'settings.py'
  file.write_text(settings)
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
  while not glob.glob(str(path)) and process.poll() is None:
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


def without_seconds(content):
  """Returns what JSON holds but for what is measured by a clock."""
  if isinstance(content, dict):
    return {
      name: without_seconds(value)
      for name, value in content.items()
      if 'seconds' not in name
    }
  if isinstance(content, list):
    return [without_seconds(value) for value in content]
  return content


def results_of(path):
  """Returns name -> what a task of many runs has written, clocks aside."""
  found = {'names': sorted(p.name for p in path.iterdir())}
  for file in path.glob('*.json'):
    if file.name != 'config.json':
      found[file.name] = without_seconds(files.read_json(file))
  for inner in ('search', 'cells'):
    for file in path.glob(f'{inner}/*/plan.npz'):
      found[str(file.relative_to(path))] = file.read_bytes()
  return found


# Task -> its settings, and what is there when it may be killed.
TASKS_OF_MANY = {
  'search': (
    """
  c.search.losses, c.search.optimizers = ('bce',), ('adam',)
  c.search.learning_rates, c.search.batch_sizes = (1e-3, 1e-4), (8,)
""",
    ('.lock', 'search/*/metrics.jsonl', 'search/*/checkpoints/6'),
  ),
  'compare': (
    """
  c.compare.methods, c.compare.seeds = ('none', 'lp_ros'), 1
  c.compare.models = ('resnet8_16',)
""",
    ('.lock', 'cells/*/plan.npz', 'cells/*/result.json'),
  ),
}


@pytest.mark.long
@pytest.mark.parametrize('task', TASKS_OF_MANY)
def test_killed_a_task_of_many_runs_ends_in_the_same(tmp_path, task):
  more, moments = TASKS_OF_MANY[task]
  more = f'{more}\n  c.task = {task!r}\n  c.train.num_steps = 6\n  return c'
  settings = SETTINGS.replace('\n  return c', more)
  end(start(tmp_path, 'straight', settings))
  wanted = results_of(tmp_path / 'straight')
  draw = random.Random(0)
  for i, moment in enumerate(moments):
    path = tmp_path / f'killed_{i}'
    process = start(tmp_path, path.name, settings)
    wait_for(path / moment, process)
    time.sleep(draw.random() * 2)
    process.kill()
    process.communicate()
    assert not (path / f'{task}.json').exists(), moment
    end(start(tmp_path, path.name, settings))
    assert results_of(path) == wanted
    assert_no_remains(path)


def assert_no_remains(path):
  assert not [p for p in path.rglob('*') if p.name.endswith('.tmp')]
  assert not [p for p in path.rglob('checkpoints/*') if 'tmp' in p.name]


# Builds a cache of the images in a folder, by two processes.
BUILD = """
import pathlib, sys
import numpy as np
from aubal_jax.datasets import dataset
from aubal_jax.media import images, store
from tests.makers import small_network
if __name__ == '__main__':
  paths = sorted(map(str, pathlib.Path(sys.argv[1]).iterdir()))
  ones = np.ones((len(paths), 1), np.uint8)
  data = dataset.Dataset(
    labels=ones, known=ones == 1, label_names=('a',),
    split=np.full(len(paths), 'train'), ids=np.array(paths),
    load_images=None, files=np.array(paths),
  )
  store.open_images(
    data, np.arange(len(paths)), images.Pixels(64, 3),
    cache_dir=sys.argv[2], num_processes=2,
  )
"""


def shards_of(cache):
  """Returns name -> bytes of shards, and what is told of them but the time."""
  found = {p.name: p.read_bytes() for p in cache.rglob('*.npy')}
  for path in cache.rglob('*.json'):
    failures, remarks, sums = json.loads(path.read_text())
    del sums['mtime_ns']
    found[path.name] = failures, remarks, sums
  return found


@pytest.mark.long
def test_killed_the_building_of_a_cache_ends_in_the_same(tmp_path):
  rng = np.random.default_rng(0)
  (tmp_path / 'images').mkdir()
  for k in range(3000):
    picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / f'images/{k}.png'), picture)
  (tmp_path / 'images/13.png').write_bytes(b'no image')
  script = tmp_path / 'build.py'
  script.write_text(BUILD)

  def build(name):
    return subprocess.Popen(
      [sys.executable, script, tmp_path / 'images', tmp_path / name],
      env={**os.environ, 'PYTHONPATH': str(ROOT)},
      stdout=subprocess.DEVNULL,
      stderr=subprocess.PIPE,
      text=True,
    )

  end(build('straight'))
  wanted = shards_of(tmp_path / 'straight')
  assert len(wanted) == 2 * 12
  draw, cut_short = random.Random(0), 0
  for i in range(8):
    cache = tmp_path / f'killed_{i}'
    process = build(cache.name)
    wait_for(cache / ('*/*.json', '*/*.npy')[i % 2], process)
    time.sleep(draw.random() / 5)
    process.kill()
    process.communicate()
    time.sleep(0.5)  # Its workers end when it has.
    cut_short += len([*cache.rglob('*.npy')]) < 12
    end(build(cache.name))
    assert shards_of(cache) == wanted
    assert not [*cache.rglob('.*')]
  assert cut_short


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
  # Its 390 kB are cut into several files, of sizes that chance decides.
  resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
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
