"""From a task to its stages: checks, the folder's lock, and the work."""

from __future__ import annotations

import contextlib
import pathlib
import typing
from collections.abc import Callable

from aubal_jax import settings
from aubal_jax.datasets import telling
from aubal_jax.experiments.compare import compare
from aubal_jax.experiments.frontier import frontier
from aubal_jax.experiments.search import grid
from aubal_jax.experiments.search import search
from aubal_jax.experiments.solvers import optimizers
from aubal_jax.inspection import inspect
from aubal_jax.runs import hosts
from aubal_jax.runs import preemption
from aubal_jax.runs import progress
from aubal_jax.runs import workdir
from aubal_jax.serving import export
from aubal_jax.serving import predict
from aubal_jax.stages import balance
from aubal_jax.stages import balance_parts
from aubal_jax.stages import controls
from aubal_jax.stages import distill
from aubal_jax.stages import evaluate
from aubal_jax.stages import learnt
from aubal_jax.stages import report
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train


class Stage(typing.NamedTuple):
  """A stage of the line, or a task that stands beside it.

  Attributes:
    run: does the work, given the `Run`.
    check: raises UserError for settings that are wrong whatever the table.
    load: settings, folder, watch -> `Run`.
    by_all: whether it is the work of all hosts, or of one.
    learns: whether it trains on the labels, or scores them.
    wanted: whether a run of the whole line has it.
  """

  run: Callable
  check: Callable = lambda config: None
  load: Callable = run_lib.load
  by_all: bool = False
  learns: bool = False
  wanted: Callable = lambda config: True


STAGES = {
  'balance': Stage(balance.run, balance.check),
  'train': Stage(train.run, train.check, by_all=True, learns=True),
  'distill': Stage(
    *(distill.run, distill.check),
    by_all=True,
    learns=True,
    wanted=distill.wanted,
  ),
  'evaluate': Stage(evaluate.run, evaluate.check, by_all=True, learns=True),
  'controls': Stage(
    *(controls.run, controls.check),
    by_all=True,
    learns=True,
    wanted=controls.wanted,
  ),
  'report': Stage(report.run),
  'inspect': Stage(inspect.run, load=run_lib.load_unread),
  'optimizers': Stage(optimizers.run, optimizers.check),
  'frontier': Stage(frontier.run),
  'search': Stage(search.run, grid.check, by_all=True, learns=True),
  'compare': Stage(
    compare.run, compare.check, compare.load, by_all=True, learns=True
  ),
}

_BALANCE_PARTS = Stage(
  balance_parts.run, balance_parts.check, balance_parts.load
)


# What a copy of checkpoints/ is enough for.
OF_TRAINED = {'predict': predict.run, 'export': export.run}


def run_task(config, path, *, overwrite: bool = False, started: float) -> None:
  """Runs `config.task` in the folder `path`, and says where the time went.

  Settings, folder and table are checked before anything is written or deleted.

  Args:
    config: a locked configuration.
    path: the folder.
    overwrite: delete what an earlier run wrote there.
    started: `time.perf_counter()` when the process began.

  Raises:
    UserError, OSError: the user has to mend something; the message says what.
    SystemExit: a signal came; the state is saved.
  """
  settings.check(config)
  if config.note:
    print(f'Note: {config.note}', flush=True)
  whole_line = config.task == 'run'
  names = (_stage_of(config.task),)
  if whole_line:
    names = [name for name in workdir.LINE if STAGES[name].wanted(config)]
  stages = {name: STAGES[name] for name in names if name in STAGES}
  if balance_parts.is_meant(config):
    stages = {'balance': _BALANCE_PARTS}
  for stage in stages.values():
    stage.check(config)
  _start_hosts(config.distributed)
  watch = progress.Watch(started)
  if config.task in OF_TRAINED:
    of_trained = OF_TRAINED[config.task]
    hosts.from_first(
      lambda: of_trained(config, path, watch, overwrite=overwrite)
    )
    watch.report()
    return
  with _folder(path) as path:
    run = stages[names[0]].load(config, path, watch)
    hosts.check_same(_settings_of_all(run))
    hosts.from_first(lambda: _prepare(run, overwrite))
    telling.tell(run.dataset)
    if config.task != 'inspect':
      run_lib.need_labels(run.dataset)
    if whole_line:
      run.need_streams()
    if any(stage.learns for stage in stages.values()):
      run.need_varied()
      learnt.check(run.config, run.dataset)
    for name, stage in stages.items():
      preemption.stop_if_requested()
      if whole_line and run.is_done(name):
        print(f'{name}: done before.', flush=True)
        continue
      hosts.from_first(lambda name=name: workdir.check_before(run.path, name))
      if stage.by_all:
        stage.run(run)
      else:
        hosts.from_first(lambda stage=stage: stage.run(run))
    preemption.stop_if_requested()
  watch.report()


def _stage_of(task: str) -> str:
  """Returns the stage that a task is; to keep rows is a way to balance."""
  return 'balance' if task == 'keep' else task


def _start_hosts(distributed) -> None:
  hosts.start(
    distributed.start,
    address=distributed.address,
    num_processes=distributed.num_processes,
    process_id=distributed.process_id,
  )


@contextlib.contextmanager
def _folder(path):
  """Locks the folder, which process 0 alone sees; yields its path."""
  if not hosts.is_first():
    yield pathlib.Path(path)
    return
  path = workdir.check_folder(path)
  with workdir.locked(path):
    yield path


def _settings_of_all(run) -> dict:
  """Returns what must be the same on all hosts."""
  flat = settings.flatten(run.config.to_dict())
  for name in ('distributed.process_id', 'data.cache_dir'):
    del flat[name]
  return {**flat, 'the table': run.dataset.fingerprint()}


def _prepare(run, overwrite) -> None:
  if overwrite:
    workdir.clear(run.path)
  else:
    run.refuse_other()
