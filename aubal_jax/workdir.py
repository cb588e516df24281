"""The folder of a run: which stages are done, and under which settings.

config.json says what made the folder. A stage that has begun pins the settings
it reads, so a folder never holds stages of two configurations.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import platform
import shutil
import subprocess
import sys

import ml_collections

from aubal_jax import files

# The settings each stage reads, as prefixes of their names.
READS = {
  'balance': ('seed', 'data.', 'balance.'),
  'train': ('seed', 'data.', 'augment.', 'model.', 'loss.', 'train.'),
  'evaluate': ('seed', 'data.', 'model.', 'loss.'),
  'report': ('seed', 'data.', 'augment.'),
}

# What a stage reads, but no result depends on.
_FREE = frozenset(
  {
    'train.num_workers',
    'train.log_every_steps',
    'train.checkpoint_every_steps',
    'train.keep_checkpoints',
  }
)

# What may grow: more steps go on from where fewer ended.
_MAY_GROW = frozenset({'train.num_steps', 'train.num_epochs'})

# What this package writes into the folder, and --overwrite deletes.
CONTENTS = (
  'config.json',
  'labelsets.json',
  'solution.json',
  'plan.npz',
  'checkpoints',
  'metrics.jsonl',
  'report.json',
  'report.html',
)


def open_workdir(path, config, *, overwrite: bool = False) -> pathlib.Path:
  """Makes the folder, or checks that it was made under the same settings.

  Args:
    path: of the folder.
    config: the configuration of this run.
    overwrite: delete what an earlier run wrote there.

  Raises:
    ValueError: a stage in the folder was run under other settings.
  """
  path = pathlib.Path(path)
  if path.exists() and not path.is_dir():
    raise ValueError(f'--workdir={path} is a file; name a folder.')
  if overwrite:
    for name in CONTENTS:
      _delete(path / name)
  _refuse_other(path, config)
  return path


def begin(path: pathlib.Path, stage: str, config) -> None:
  """Pins the settings `stage` reads: it is about to write its files.

  What later stages made of the files before is no longer up to date.
  """
  _record(path, stage, config, done=False)


def finish(path: pathlib.Path, stage: str, config) -> None:
  """Pins the settings `stage` reads, and marks it as done."""
  _record(path, stage, config, done=True)


def _record(path, stage, config, *, done) -> None:
  stages = _read(path)['stages']
  if not done:
    later = [*READS][[*READS].index(stage) + 1 :]
    stages = {
      name: entry for name, entry in stages.items() if name not in later
    }
  stages[stage] = {'done': done, 'settings': _pinned(config, stage)}
  record = {
    'config': config.to_dict(),
    'command': sys.argv,
    'python': platform.python_version(),
    'versions': _versions(),
    'devices': _devices(),
    'revision': _revision(),
    'stages': stages,
  }
  files.write_json(path / 'config.json', record)


def is_done(path: pathlib.Path, stage: str, config) -> bool:
  """Whether `stage` is done for these settings, its stages before included."""
  if stage not in READS:
    raise ValueError(f'stage must be one of {[*READS]}; it is {stage!r}.')
  stages = _read(path)['stages']
  for earlier in READS:
    entry = stages.get(earlier, {'done': False})
    if not entry['done'] or entry['settings'] != _pinned(config, earlier):
      return False
    if earlier == stage:
      break
  return True


def _read(path: pathlib.Path) -> dict:
  if not (path / 'config.json').exists():
    return {'stages': {}}
  return files.read_json(path / 'config.json')


def _delete(path: pathlib.Path) -> None:
  if path.is_dir():
    shutil.rmtree(path)
  else:
    path.unlink(missing_ok=True)


def _pinned(config, stage: str) -> dict:
  """Returns {name: value} of the settings a stage's result depends on."""
  return {
    name: value
    for name, value in flatten(config.to_dict()).items()
    if name.startswith(READS[stage]) and name not in _FREE
  }


def flatten(tree: dict, prefix: str = '') -> dict:
  """Returns {'a.b': value} of a nested configuration; tuples as lists."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, (dict, ml_collections.ConfigDict)):
      flat |= flatten(value, f'{prefix}{name}.')
    else:
      flat[prefix + name] = list(value) if isinstance(value, tuple) else value
  return flat


def _refuse_other(path: pathlib.Path, config) -> None:
  """Raises ValueError with the settings that differ from the folder's."""
  differ = {}
  for stage, entry in _read(path)['stages'].items():
    now = _pinned(config, stage)
    for name in {*now, *entry['settings']}:
      old, new = entry['settings'].get(name), now.get(name)
      grew = name in _MAY_GROW and None not in (old, new) and new > old
      if old != new and not grew:
        differ[name] = f'  {name}: {old!r} there, {new!r} now'
  if differ:
    raise ValueError(
      f'{path} holds a run under other settings:\n'
      + '\n'.join(differ[name] for name in sorted(differ))
      + '\nName another --workdir, or start anew with --overwrite.'
    )


def _devices() -> list[str]:
  """Returns the kinds of JAX's devices, if JAX has been needed at all."""
  if 'jax' not in sys.modules:
    return []
  import jax

  return [device.device_kind for device in jax.devices()]


def _versions() -> dict:
  names = ('aubal_jax', 'jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
  names += ('tensorflow-cpu', 'tensorflow', 'albumentations')
  found = {}
  for name in names:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      found[name] = None
  return found


def _revision() -> str | None:
  """Returns the git revision of the package's own checkout, if it is one."""
  home = pathlib.Path(__file__).resolve().parent.parent
  if not (home / '.git').exists() or not shutil.which('git'):
    return None
  command = ['git', '-C', str(home), 'rev-parse', 'HEAD']
  answer = subprocess.run(command, capture_output=True, text=True, check=False)
  return answer.stdout.strip() or None
