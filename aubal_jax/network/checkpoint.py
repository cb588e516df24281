"""Training states on disk: the newest few, and the best on validation.

Orbax writes each checkpoint into a temporary directory and renames it when it
is whole, so a run killed while saving leaves the checkpoints before it intact.
It writes in the background, from a copy on the host: training goes on as soon
as that is made, and an older checkpoint is removed when the new one is whole.
States are saved as plain host arrays: nothing in a checkpoint tells how many
devices or hosts wrote it, and it restores onto any number of them.

A state holds no random state and no place in the data. Parameters are drawn
from the seed alone, and everything else (which rows a step sees, what augments
them) from the seed, the epoch and the row, so that the number of the step says
all of it. Nothing is drawn on the devices.
"""

import contextlib
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from aubal_jax.network import checkpoint_manager
from aubal_jax.network import checkpoint_sums
from aubal_jax.runs import errors

State = TypeVar('State')

BEST_METRIC = checkpoint_manager.BEST_METRIC
OF_ALL = checkpoint_manager.OF_ALL
quality = checkpoint_manager.quality


@contextlib.contextmanager
def open_checkpoints(
  directory: str | pathlib.Path,
  *,
  keep_checkpoints: int = 2,
  read_only: bool = False,
) -> Iterator[ocp.CheckpointManager]:
  """Opens, and where need be creates, a directory of checkpoints.

      with checkpoint.open_checkpoints('run/checkpoints') as checkpoints:
        checkpoint.save(checkpoints, state, {'f1_macro': 0.4})
        state = checkpoint.restore(checkpoints, state, which='best')

  Remains of an interrupted save are removed on opening.

  Args:
    directory: path, one subdirectory for each checkpoint, named by its step.
    keep_checkpoints: how many of the newest to keep. The best by
      `BEST_METRIC` is kept beside them; of equals it is the newest.
    read_only: for evaluating beside a run that may be saving: nothing is
      created or removed, and `save` saves nothing.

  Yields:
    An Orbax CheckpointManager for the functions below.

  Raises:
    UserError: keep_checkpoints is below 1.
    FileNotFoundError: read_only, and there is no such directory.
    OSError: at the end, see `wait`.
  """
  if keep_checkpoints < 1:
    raise errors.UserError(
      f'keep_checkpoints must be at least 1, got {keep_checkpoints}: a run'
      ' goes on from its newest checkpoint.'
    )
  path = pathlib.Path(directory).absolute()
  if read_only and not path.is_dir():
    raise FileNotFoundError(
      f'There are no checkpoints at {path}: train first, or name another'
      ' directory.'
    )
  with checkpoint_manager.make_manager(
    path, keep_checkpoints=keep_checkpoints, read_only=read_only
  ) as checkpoints:
    try:
      yield checkpoints
    except BaseException:
      # What is under way shall end; what ended this is told, not its failure.
      with contextlib.suppress(OSError):
        wait(checkpoints)
      raise
    wait(checkpoints)


def save(
  checkpoints: ocp.CheckpointManager,
  state: Any,
  metrics: Mapping[str, Any] | None = None,
) -> bool:
  """Begins to save a state as the checkpoint of its step; see `wait`.

  The one before is waited for first. The state is copied, and may be donated
  or changed when this returns.

  Args:
    checkpoints: from `open_checkpoints`.
    state: a pytree of arrays with a scalar leaf `state.step`, every leaf the
      same on all devices.
    metrics: what JSON can hold, with a number `BEST_METRIC`; it lives and
      dies with the checkpoint. None: not a candidate for the best.

  Returns:
    Whether it is saved: False where the checkpoint of this step exists.

  Raises:
    OSError: the one before could not be written, or this one not be begun.
    UserError: metrics lack `BEST_METRIC`; or there is a checkpoint of a later
      step, which going on from the latest would take for this one's successor;
      or an array holds a NaN or an infinity.
  """
  if metrics is not None and BEST_METRIC not in metrics:
    raise errors.UserError(
      f'metrics must hold {BEST_METRIC!r}, which tells the best checkpoint,'
      f' got {sorted(metrics)}.'
    )
  step = int(state.step)
  latest = checkpoints.latest_step()
  if latest is not None and latest > step:
    raise errors.UserError(
      f'step must be above that of the latest checkpoint, {latest}, got'
      f' {step}: go on from the latest, or take an empty directory.'
    )
  state = _to_host(state)
  if bad := checkpoint_sums.not_finite(state):
    raise errors.UserError(
      f'The state of step {step} must be finite to be saved; {bad[0]} is not'
      f' ({len(bad)} such arrays). Go on from the checkpoint before, with a'
      ' smaller learning rate.'
    )
  wait(checkpoints)
  metrics = None if metrics is None else dict(metrics)
  try:
    return checkpoints.save(
      step,
      args=ocp.args.StandardSave(state),
      metrics=metrics,
      custom_metadata=checkpoint_sums.make(state, metrics),
    )
  except OSError as error:
    raise _unwritable(checkpoints, step, error) from error


def wait(checkpoints: ocp.CheckpointManager) -> None:
  """Returns when all that was handed to `save` is on disk.

  Raises:
    OSError: it could not be written; the checkpoints before it are there.
  """
  step = checkpoints.latest_step()
  try:
    checkpoints.wait_until_finished()
  except (OSError, ValueError) as error:  # TensorStore's are of the latter.
    raise _unwritable(checkpoints, step, error) from error


def _unwritable(checkpoints, step, error):
  """Returns an OSError with the number the system gave, if there is one."""
  first = str(error).partition('\n')[0]
  found = re.search(r"os_error_code='(\d+)'", first)
  number = int(found[1]) if found else getattr(error, 'errno', None)
  name = f'{checkpoints.directory}/{step}'
  if number is None:
    return OSError(f'The checkpoint {name} could not be written: {first}')
  return OSError(number, os.strerror(number), name)


def _to_host(state):
  """Returns a state with host arrays; all leave the devices at once."""

  def whole(x):
    return x.addressable_data(0) if isinstance(x, jax.Array) else x

  leaves = jax.tree.map(whole, state)
  for leaf in jax.tree.leaves(leaves):
    if isinstance(leaf, jax.Array):
      leaf.copy_to_host_async()
  # On CPU they are the device's own memory: Orbax copies before it goes on.
  return jax.tree.map(np.asarray, leaves)


def restore(
  checkpoints: ocp.CheckpointManager, like: State, *, which: str = 'latest'
) -> State:
  """Returns a saved state as host arrays, ready for any number of devices.

  Where the latest is damaged, the one before it is taken, with a line on
  stderr. The damaged one is renamed to 'STEP.damaged', out of the way of the
  steps that will be done again; not where the directory is open read_only.

  Args:
    checkpoints: from `open_checkpoints`.
    like: a state, or its `jax.eval_shape`: gives structure, shapes, dtypes.
    which: 'latest', or 'best' by `BEST_METRIC`.

  Returns:
    The state, with np.ndarray leaves in the dtypes of `like`.

  Raises:
    FileNotFoundError: there is no such checkpoint.
    UserError: `which` is neither; the checkpoint is of another model or
      optimiser than `like`; or the best, or every one, is damaged.
  """
  step = find_step(checkpoints, which=which)
  if step is None:
    raise FileNotFoundError(
      f'No {which} checkpoint in {checkpoints.directory}: train first, or'
      ' name another directory.'
    )
  if which == 'best':
    try:
      return _restore_step(checkpoints, step, like)
    except checkpoint_sums.DamagedError as error:
      raise errors.UserError(
        f'The best checkpoint is damaged ({error}); delete the folder'
        f' {checkpoints.directory / str(step)}, and the best of the others is'
        ' taken.'
      ) from error
  damaged = {}
  for step in sorted(checkpoints.all_steps(), reverse=True):
    try:
      state = _restore_step(checkpoints, step, like)
    except checkpoint_sums.DamagedError as error:
      damaged[step] = error
    else:
      _set_aside(checkpoints, damaged, step)
      return state
  raise errors.UserError(
    f'No checkpoint in {checkpoints.directory} is whole (of step {max(damaged)}'
    f': {damaged[max(damaged)]}); delete the folder {checkpoints.directory}'
    ' and train anew.'
  )


def _restore_step(checkpoints, step, like):
  """Returns the state of one step.

  Raises:
    checkpoint_sums.DamagedError: it cannot be read, or is not as saved.
    UserError: it is whole, but of another structure, shape or dtype.
  """
  folder = checkpoints.directory / str(step)
  path = folder / 'default'
  sums = checkpoint_sums.read(folder)
  saved = checkpoint_manager.read_structure(path)
  if sums is not None and saved != sums['structure']:
    raise checkpoint_sums.damaged(path, 'its metadata are not as saved')
  wanted = checkpoint_sums.structure(like)
  for name in sorted(saved | wanted):
    have, want = (x.get(name, 'absent') for x in (saved, wanted))
    if have != want:
      raise errors.UserError(
        f'The checkpoint of step {step} in {checkpoints.directory} is of'
        ' another model or optimizer than this configuration; use the one it'
        ' was trained with, or an empty directory.'
        f' {name} is {have} there and {want} here.'
      )
  target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
  try:
    state = checkpoints.restore(step, args=ocp.args.StandardRestore(target))
  except (OSError, ValueError) as error:
    raise checkpoint_sums.damaged(path, error) from error
  if sums is not None:
    checkpoint_sums.check(path, sums, state)
  else:
    print(
      f'Note: the checkpoint of step {step} in {checkpoints.directory} is of a'
      ' release that kept no checksums: damage to its numbers would not be'
      ' noticed.',
      file=sys.stderr,
      flush=True,
    )
  return state


def _set_aside(checkpoints, damaged, step):
  """Says which steps are damaged and that `step` is taken; renames them."""
  for bad, error in damaged.items():
    if checkpoints.read_only:
      where = ''
    else:
      aside = checkpoints.directory / f'{bad}.damaged'
      if aside.exists():  # Of an earlier time.
        aside.rmtree()
      (checkpoints.directory / str(bad)).rename(aside)
      where = f', now {aside.name},'
    print(
      f'Warning: the checkpoint of step {bad}{where} is damaged ({error});'
      f' step {step} is taken instead.',
      file=sys.stderr,
      flush=True,
    )
  if damaged and not checkpoints.read_only:
    checkpoints.reload()


def find_step(
  checkpoints: ocp.CheckpointManager, *, which: str = 'latest'
) -> int | None:
  """Returns the step of the 'latest' or the 'best' checkpoint, or None.

  What is being saved is waited for.

  Raises:
    OSError: see `wait`.
    UserError: `which` is neither.
  """
  wait(checkpoints)
  if which == 'latest':
    return checkpoints.latest_step()
  if which == 'best':
    return checkpoints.best_step()
  raise errors.UserError(f"which must be 'latest' or 'best', got {which!r}.")
