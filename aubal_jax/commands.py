"""The tasks: each reads the settings and the files of the one before it."""

from __future__ import annotations

import contextlib
import pathlib
import types

from aubal_jax import settings as settings_lib
from aubal_jax.experiments.compare import compare
from aubal_jax.experiments.frontier import frontier
from aubal_jax.experiments.search import grid as grid_lib
from aubal_jax.experiments.search import search
from aubal_jax.experiments.solvers import optimizers
from aubal_jax.inspection import inspect
from aubal_jax.runs import hosts
from aubal_jax.runs import preemption
from aubal_jax.runs import stages
from aubal_jax.runs import workdir
from aubal_jax.serving import predict
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import inputs as inputs_lib
from aubal_jax.stages import report
from aubal_jax.stages import train


def _run_all(inputs) -> None:
  """Runs every stage of the line that is not done yet."""
  inputs.need_images()
  for stage in stages.LINE:
    preemption.stop_if_requested()
    if inputs.is_done(stage):
      print(f'{stage}: done before.', flush=True)
    else:
      _run_one(stage, inputs)


def _run_one(task, inputs) -> None:
  """Runs a task on all hosts, or on one while the others wait."""
  if task in _BY_ALL:
    TASKS[task](inputs)
  else:
    hosts.from_first(lambda: TASKS[task](inputs))


TASKS = types.MappingProxyType(
  {
    'run': _run_all,
    'balance': balance.run,
    'train': train.run,
    'evaluate': evaluate.run,
    'report': report.run,
    'inspect': inspect.run,
    'optimizers': optimizers.run,
    'frontier': frontier.run,
    'search': search.run,
    'compare': compare.run,
  }
)

# The work of all hosts; the other tasks are done by one.
_BY_ALL = ('run', 'train', 'evaluate', 'search', 'compare')

# Of settings, before a table is read or anything is deleted.
_CHECKS = types.MappingProxyType(
  {
    'run': train.check,
    'train': train.check,
    'optimizers': optimizers.check,
    'frontier': frontier.check,
    'search': grid_lib.check,
    'compare': compare.check,
  }
)


def run_task(config, path, *, overwrite: bool = False, started: float) -> None:
  """Runs `config.task` in the folder `path`, and says where the time went.

  Settings, folder and table are checked before anything is written or deleted.

  Args:
    config: a locked configuration.
    path: the folder.
    overwrite: delete what an earlier run wrote there.
    started: `time.perf_counter()` when the process began.

  Raises:
    UserError: the user has to mend something; the message says what.
    SystemExit: a signal came; the state is saved.
  """
  settings_lib.check(config)
  if config.task in _CHECKS:
    _CHECKS[config.task](config)
  hosts.start(
    config.distributed.start,
    address=config.distributed.address,
    num_processes=config.distributed.num_processes,
    process_id=config.distributed.process_id,
  )
  watch = inputs_lib.Watch(started)
  if config.task == 'predict':  # A copy of checkpoints/ is all it needs.
    hosts.from_first(lambda: _predict(config, path, watch, overwrite))
  else:
    with _folder(path) as path:
      inputs = inputs_lib.Inputs(config, path, watch)
      hosts.check_same(_settings_of_all(config, inputs))
      hosts.from_first(lambda: _prepare(inputs, overwrite))
      inputs.tell_notes()
      _run_one(config.task, inputs)
      preemption.stop_if_requested()
  watch.report()


def _predict(config, path, watch, overwrite) -> None:
  path = pathlib.Path(path)
  with workdir.locked(path, name='.predict.lock'):
    predict.run(config, path, watch, overwrite=overwrite)


@contextlib.contextmanager
def _folder(path):
  """Locks the folder, which process 0 alone sees; yields its path."""
  if not hosts.is_first():
    yield pathlib.Path(path)
    return
  path = workdir.check_folder(path)
  with workdir.locked(path):
    yield path


def _settings_of_all(config, inputs) -> dict:
  """Returns what must be the same on all hosts."""
  settings = stages.flatten(config.to_dict())
  for name in ('distributed.process_id', 'data.cache_dir'):
    del settings[name]
  return {**settings, 'the table': inputs.dataset.fingerprint()}


def _prepare(inputs, overwrite) -> None:
  if overwrite:
    workdir.clear(inputs.path)
  else:
    workdir.refuse_other(inputs.path, inputs.pinned)
