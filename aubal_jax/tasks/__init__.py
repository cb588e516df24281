"""The tasks: each reads the settings and the files of the one before it."""

from __future__ import annotations

import pathlib
import types

from aubal_jax import config as config_lib
from aubal_jax import preemption
from aubal_jax import workdir
from aubal_jax.tasks import balance
from aubal_jax.tasks import evaluate
from aubal_jax.tasks import frontier
from aubal_jax.tasks import inputs as inputs_lib
from aubal_jax.tasks import inspect
from aubal_jax.tasks import optimizers
from aubal_jax.tasks import predict
from aubal_jax.tasks import report
from aubal_jax.tasks import train


def _run_all(inputs) -> None:
  """Runs every stage of the line that is not done yet."""
  inputs.need_images()
  for stage in workdir.LINE:
    preemption.stop_if_requested()
    if inputs.is_done(stage):
      print(f'{stage}: done before.', flush=True)
    else:
      TASKS[stage](inputs)


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
  }
)

# Of settings, before a table is read or anything is deleted.
_CHECKS = types.MappingProxyType(
  {'optimizers': optimizers.check, 'frontier': frontier.check}
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
    ValueError: the user has to mend something; the message says what.
    SystemExit: a signal came; the state is saved.
  """
  config_lib.check(config)
  if config.task in _CHECKS:
    _CHECKS[config.task](config)
  watch = inputs_lib.Watch(started)
  if config.task == 'predict':  # A copy of checkpoints/ is all it needs.
    path = pathlib.Path(path)
    with workdir.locked(path, name='.predict.lock'):
      predict.run(config, path, watch, overwrite=overwrite)
    watch.report()
    return
  path = workdir.check_folder(path)
  with workdir.locked(path):
    inputs = inputs_lib.Inputs(config, path, watch)
    if overwrite:
      workdir.clear(path)
    else:
      workdir.refuse_other(path, inputs.pinned)
    inputs.tell_notes()
    TASKS[config.task](inputs)
    preemption.stop_if_requested()
  watch.report()
