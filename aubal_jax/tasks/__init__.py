"""The tasks: each reads the settings and the files of the one before it."""

from __future__ import annotations

import types

from aubal_jax import workdir
from aubal_jax.tasks import balance
from aubal_jax.tasks import evaluate
from aubal_jax.tasks import inputs as inputs_lib
from aubal_jax.tasks import report
from aubal_jax.tasks import train


def _run_all(inputs, path) -> None:
  """Runs every stage that is not done yet."""
  for stage in workdir.READS:
    if workdir.is_done(path, stage, inputs.config):
      print(f'{stage}: done before.', flush=True)
    else:
      TASKS[stage](inputs, path)


TASKS = types.MappingProxyType(
  {
    'run': _run_all,
    'balance': balance.run,
    'train': train.run,
    'evaluate': evaluate.run,
    'report': report.run,
  }
)


def run_task(config, path, *, overwrite: bool = False, started: float) -> None:
  """Runs `config.task` in the folder `path`, and says where the time went.

  Args:
    config: a locked configuration.
    path: the folder.
    overwrite: delete what an earlier run wrote there.
    started: `time.perf_counter()` when the process began.

  Raises:
    ValueError: the user has to mend something; the message says what.
    SystemExit: SIGTERM came; the state is saved.
  """
  if config.task not in TASKS:
    raise ValueError(
      f'config.task must be one of {[*TASKS]}; it is {config.task!r}.'
    )
  path = workdir.open_workdir(path, config, overwrite=overwrite)
  watch = inputs_lib.Watch(started)
  TASKS[config.task](inputs_lib.Inputs(config, watch), path)
  watch.report()
