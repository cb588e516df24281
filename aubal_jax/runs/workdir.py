"""The folder of a run: which stages are done, and under which settings.

config.json says what made the folder. A stage that writes pins the settings it
reads and the table it read them for, so a folder never holds stages of two
runs; what later stages made of files that change is no longer done.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import types
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping

from aubal_jax.runs import errors
from aubal_jax.runs import files

# Of config.json. The last release wrote none; its folders go on.
_FORMAT = 1

# The stages in their order; every other one stands beside this line.
LINE = ('balance', 'train', 'distill', 'evaluate', 'controls', 'report')

# Of these, what not every run has.
OPTIONAL = ('distill', 'controls')

# What each stage writes. solution.json is there for some plans only,
# frontier.png where matplotlib is; the last release wrote no plan.csv.
WRITES = {
  'balance': ('labelsets.json', 'rows.csv', 'plan.npz'),
  'train': ('checkpoints', 'metrics.jsonl'),
  'distill': ('students',),
  'evaluate': ('report.json',),
  'controls': (),
  'report': ('report.html',),
  'inspect': ('inspect.json', 'inspect.html'),
  'optimizers': ('optimizers.csv', 'optimizers.json', 'optimizers.png'),
  'frontier': ('frontier.csv',),
  'compare': ('result.json',),
}

# Of these, the files that later stages read, or people; plans and checkpoints
# have sums of their own.
SUMMED = {
  'balance': ('labelsets.json', 'solution.json', 'rows.csv', 'plan.csv'),
  'evaluate': ('report.json', 'ensemble.json'),
  'controls': ('controls.json',),
  'compare': ('result.json',),
}

_NO_DEFAULTS: Mapping[str, object] = types.MappingProxyType({})

# Stands for a setting of a stage that the task at hand cannot tell.
NOT_KNOWN = object()

# What the task predict writes, whose record is a file of its own: it needs no
# more of a run than a copy of checkpoints/.
PREDICTIONS = (
  'predictions.csv',
  'predictions.csv.partial',
  'predictions.json',
  'predictions.html',
  'submission',
)

# What the task export writes, which needs no more either.
EXPORTS = tuple(
  f'model.{suffix}{record}'
  for suffix in ('onnx', 'stablehlo', 'safetensors')
  for record in ('', '.json')
)

# What training writes beside that, where it is asked to.
LOGS = ('tensorboard', 'profile')

# What the stage distill writes, and what is made of it.
STUDENTS = ('students', 'ensemble.json')

# What the stage controls writes: its controls are folders of runs, too.
CONTROLS = ('controls.json', 'controls')

# What the task search writes: its cells are folders of runs of their own.
SEARCH = ('search.csv', 'search.json', 'search.png', 'best.py', 'search')

# What the task compare writes beside them; as above.
COMPARISON = (
  *('compare.json', 'compare.csv', 'compare.html', 'cells'),
  'predicted.npz',  # Of such a cell.
)

# Scripts and logs of SLURM's jobs, where cells are such.
JOBS = ('jobs',)

# All that is written into the folder; config.json, which vouches for the rest,
# is deleted last.
CONTENTS = (
  *(name for names in WRITES.values() for name in names),
  'solution.json',
  'plan.csv',
  'plan',  # Of a table in parts.
  'plans',  # Of several targets.
  'balance.html',
  *CONTROLS,
  'ensemble.json',
  'frontier.png',
  *LOGS,
  *SEARCH,
  *COMPARISON,
  *JOBS,
  *PREDICTIONS,
  *EXPORTS,
  'config.json',
)


def check_folder(path) -> pathlib.Path:
  """Returns the folder's path; nothing is made yet.

  Raises:
    UserError: there is no such folder to be had, or it holds a run that no
      config.json of ours vouches for.
  """
  if not str(path):
    raise errors.UserError('--workdir is empty; name a folder.')
  path = pathlib.Path(path)
  above = next(p for p in (path, *path.absolute().parents) if p.exists())
  if not above.is_dir() or not os.access(above, os.W_OK):
    raise errors.UserError(
      f'--workdir={path} cannot be made: {above} is not a folder that may be '
      'written to.'
    )
  held = [name for name in CONTENTS if (path / name).exists()]
  of_several = {*held} - {*EXPORTS}
  if of_several <= {*PREDICTIONS} and (
    not of_several or (path / 'predictions.json').exists()
  ):
    return path  # Of several runs, of which the folder is none.
  if held and not isinstance(_read(path).get('stages'), dict):
    raise errors.UserError(
      f'{path} holds {held[0]}, but no config.json that says which run it is '
      'of; name another --workdir, or delete the folder.'
    )
  return path


@contextlib.contextmanager
def locked(path: pathlib.Path, *, name: str = '.lock') -> Iterator[None]:
  """Keeps a second run out of the folder, and removes what a kill left.

  Where the folder is on NFS this holds between machines as well, if its server
  keeps locks; else between the processes of one machine.

  Args:
    path: from `check_folder`.
    name: of the lock; predictions have one of their own, so that they can be
      made beside a run.

  Raises:
    UserError: another process is at work there.
  """
  busy = (
    f'Another run is at work in {path}; wait for it, or name another --workdir'
  )
  with files.locked(path / name, busy):
    mine = (
      {*CONTENTS} - {*PREDICTIONS, *EXPORTS}
      if name == '.lock'
      else {*PREDICTIONS}
    )
    for written in sorted(mine):
      for left in path.glob(f'.{written}.*.tmp'):
        left.unlink()
    yield


def refuse_other(
  path: pathlib.Path,
  pinned: dict[str, dict],
  *,
  may_grow: Container[str] = (),
  defaults: Mapping[str, object] = _NO_DEFAULTS,
) -> None:
  """Raises UserError with the settings that differ from the folder's.

  Args:
    path: the folder.
    pinned: stage -> setting -> value.
    may_grow: settings of which a larger value goes on from a smaller one; of
      several values, one that has more of them.
    defaults: setting -> what it was before there was such a setting.
  """
  differ, pinned = {}, files.plain(pinned)
  for stage, entry in _stages(path).items():
    old = _with_new(entry['settings'], pinned[stage], defaults)
    for name in {*old, *pinned[stage]}:
      was, now = old.get(name), pinned[stage].get(name)
      # What an earlier version did not pin of a table cannot differ.
      unknown = now is NOT_KNOWN or name not in {*old, *defaults}
      if unknown or was == now:
        continue
      # A cosine is drawn over all steps: more of them change every one.
      cosine = old.get('train.schedule') == 'cosine'
      grows = name in may_grow and not (cosine and name == 'train.num_steps')
      if not grows or None in (was, now) or not _has_grown(was, now):
        differ[name] = f'  {name}: {was!r} there, {now!r} now'
  if differ:
    raise errors.UserError(
      f'{path} holds a run under other settings:\n'
      + '\n'.join(differ[name] for name in sorted(differ))
      + '\nName another --workdir, or start anew with --overwrite.'
    )


def _has_grown(was, now) -> bool:
  """Whether a value is at least what it was, or holds all that it held."""
  return {*was} <= {*now} if isinstance(now, list) else now >= was


def clear(path: pathlib.Path, names=CONTENTS) -> None:
  """Deletes what a run wrote into the folder, and nothing else."""
  for name in names:
    if (path / name).is_dir():
      shutil.rmtree(path / name)
    else:
      (path / name).unlink(missing_ok=True)


def begin(path: pathlib.Path, stage: str, pinned: dict, config) -> None:
  """Pins a stage's settings: it is about to write its files.

  What later stages made of the files before is no longer done.
  """
  later = LINE[LINE.index(stage) + 1 :] if stage in LINE else ()
  stages = {k: v for k, v in _stages(path).items() if k not in later}
  stages[stage] = {'done': False, 'settings': pinned[stage]}
  _write(path, stages, config)


def finish(path: pathlib.Path, stage: str, pinned: dict, config) -> None:
  """Pins a stage's settings and what it wrote, and marks it as done."""
  stages = _stages(path)
  stages[stage] = {
    'done': True,
    'settings': pinned[stage],
    'sums': _sums(path, stage),
  }
  _write(path, stages, config)


def _sums(path: pathlib.Path, stage: str) -> dict[str, str]:
  """Returns file -> SHA-256 of what `SUMMED` says of a stage."""
  found = [path / name for name in SUMMED.get(stage, ())]
  return {
    file.name: hashlib.sha256(file.read_bytes()).hexdigest()
    for file in found
    if file.exists()
  }


def changed(path: pathlib.Path, stage: str) -> list[str]:
  """Returns the files that are there, and not as `stage` wrote them.

  The last release kept no sums: nothing is known of its files.
  """
  wrote = _stages(path).get(stage, {}).get('sums', {})
  now = _sums(path, stage)
  return [name for name in now if now[name] != wrote.get(name, now[name])]


def check_before(path: pathlib.Path, stage: str) -> None:
  """Raises UserError where an earlier stage's file is not as it wrote it."""
  for earlier in LINE[: LINE.index(stage)] if stage in LINE else ():
    for name in changed(path, earlier):
      raise errors.UserError(
        f'{path / name} is not as the task {earlier} wrote it: it is damaged, '
        'or was changed. Run that task again.'
      )


def has_begun(path: pathlib.Path, stage: str) -> bool:
  """Whether files of `stage` in the folder are of the run that is pinned."""
  return stage in _stages(path)


def settings_of(path: pathlib.Path, stage: str) -> dict:
  """Returns the settings that `stage` pinned in the folder; {} of none."""
  return _stages(path).get(stage, {}).get('settings', {})


def _with_new(old: dict, now: dict, defaults) -> dict:
  """Returns the settings of a folder, with those that it did not know."""
  new = {name: defaults[name] for name in now if name in defaults}
  return files.plain(new) | old


def is_done(
  path: pathlib.Path,
  stage: str,
  pinned: dict,
  *,
  defaults: Mapping[str, object] = _NO_DEFAULTS,
  alone: bool = False,
) -> bool:
  """Whether `stage` and those before it are done, their files included.

  Args:
    path: the folder.
    stage: one of WRITES.
    pinned: as of `refuse_other`.
    defaults: as of `refuse_other`.
    alone: those before it do not matter.
  """
  if stage not in WRITES:
    raise errors.UserError(
      f'stage must be one of {[*WRITES]}; it is {stage!r}.'
    )
  stages, pinned = _stages(path), files.plain(pinned)
  before = LINE[: LINE.index(stage)] if stage in LINE and not alone else ()
  for name in (*before, stage):
    if name in OPTIONAL and name not in stages and name != stage:
      continue
    entry = stages.get(name, {'done': False})
    if not entry['done']:
      return False
    if _with_new(entry['settings'], pinned[name], defaults) != pinned[name]:
      return False
    wrote = {*WRITES[name], *entry.get('sums', ())}
    if not all((path / file).exists() for file in wrote):
      return False
    if damaged := changed(path, name):
      print(
        f'Warning: {path / damaged[0]} is not as the task {name} wrote it: it '
        'is made again.',
        file=sys.stderr,
      )
      return False
  return True


def read_settings(path: pathlib.Path) -> dict:
  """Returns the configuration that made the folder; {} where nobody says.

  Raises:
    UserError: config.json is damaged, or of a later version.
  """
  held = _read(path).get('config', {})
  return held if isinstance(held, dict) else {}


def _read(path: pathlib.Path) -> dict:
  """Returns config.json; {} where there is none, or it is no record of a run.

  Raises:
    UserError: it is damaged, or of a later version.
  """
  damaged = errors.UserError(
    f'{path}/config.json is damaged; name another --workdir, or delete the '
    'folder.'
  )
  try:
    record = files.read_json(path / 'config.json')
  except FileNotFoundError:
    return {}
  except ValueError as error:
    raise damaged from error
  if not isinstance(record, dict):
    return {}
  number = record.get('format', 0)
  if type(number) is not int:
    raise damaged
  if number > _FORMAT:
    raise errors.UserError(
      f'{path}/config.json has the format {number}, which a later '
      f'version has written; this one reads formats up to {_FORMAT}. Go on '
      'with that version, or name another --workdir.'
    )
  if not _are_stages(record.get('stages', {})):
    raise damaged
  return record


def _are_stages(stages) -> bool:
  """Whether these are entries of stages, as `begin` and `finish` write them."""
  return isinstance(stages, dict) and all(
    name in WRITES
    and isinstance(entry, dict)
    and isinstance(entry.get('settings'), dict)
    and isinstance(entry.get('done'), bool)
    and isinstance(entry.get('sums', {}), dict)
    for name, entry in stages.items()
  )


def _stages(path: pathlib.Path) -> dict:
  return _read(path).get('stages', {})


def _write(path, stages, config) -> None:
  record = {
    'format': _FORMAT,
    'config': config.to_dict(),
    'command': sys.argv,
    'python': platform.python_version(),
    'versions': versions(),
    'devices': _devices(),
    'revision': _revision(),
    'stages': stages,
  }
  files.write_json(path / 'config.json', files.plain(record))


def _devices() -> list[str]:
  """Returns the kinds of JAX's devices, if JAX has been needed at all."""
  if 'jax' not in sys.modules:
    return []
  import jax

  return [device.device_kind for device in jax.devices()]


def versions() -> dict[str, str | None]:
  """Returns package -> its version, of those that decide results."""
  names = ('aubal_jax', 'jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
  names += ('tensorflow-cpu', 'tensorflow', 'albumentations', 'onnx')
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
