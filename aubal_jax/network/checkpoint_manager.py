"""What Orbax is told: which checkpoints to keep; and what is in one."""

import logging
import math
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
import tensorstore
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy
from orbax.checkpoint.checkpoint_managers import BestN
from orbax.checkpoint.checkpoint_managers import LatestN

from aubal_jax.network import checkpoint_sums

BEST_METRIC = 'f1_macro'
OF_ALL = 'overall'  # In its place, where several targets are learnt.

_unraisable_hook = sys.unraisablehook


def make_manager(
  path: pathlib.Path, *, keep_checkpoints: int, read_only: bool
) -> ocp.CheckpointManager:
  """Returns Orbax's manager of a directory, set up as `checkpoint` has it.

  Args:
    path: of the directory.
    keep_checkpoints: how many of the newest to keep, beside the best.
    read_only: nothing is created, saved or removed.
  """
  _silence_orbax()
  options = ocp.CheckpointManagerOptions(
    best_fn=quality,
    preservation_policy=AnyPreservationPolicy(
      [
        LatestN(keep_checkpoints),
        BestN(
          get_metric_fn=quality,
          n=1,
          keep_checkpoints_without_metrics=False,
        ),
      ]
    ),
    cleanup_tmp_directories=True,
    read_only=read_only,  # Overrules the line above.
    step_name_format=_Steps(),
    enable_async_checkpointing=not read_only,
    **_of_this_process(path),
  )
  return _Manager(path, options=options)


class _Steps(type(ocp.path.step.standard_name_format())):
  """Orbax's, but damaged metadata do not keep a directory from being opened."""

  def find_all(self, base_path):
    """Yields the steps; of damaged metadata, the time is the folder's."""
    for found in super().find_all(base_path):
      try:
        _ = found.commit_timestamp
      except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        vars(found)['_checkpoint_metadata'] = None  # Cached: asked for no more.
      yield found


class _Manager(ocp.CheckpointManager):
  """Orbax's, but damaged metrics do not keep a directory from being opened."""

  def __init__(self, path, *, options):
    self.read_only = options.read_only
    super().__init__(path, options=options)

  def metrics(self, step):
    """Returns the metrics of a step; None where there are none, or damaged."""
    try:
      found = super().metrics(step)
      if found is not None:
        quality(found)
      folder = pathlib.Path(self.directory, str(step))
      checkpoint_sums.check_metrics(folder, found)
    except (
      *(AttributeError, KeyError, OSError, TypeError, ValueError),
      checkpoint_sums.DamagedError,
    ):
      print(
        f'Warning: the metrics of {self.directory}/{step} are damaged: it is'
        ' no candidate for the best checkpoint.',
        file=sys.stderr,
        flush=True,
      )
      return None
    return found


def _of_this_process(path):
  """Returns options by which no other process is waited for."""
  if jax.process_count() == 1:
    return {}
  path.mkdir(parents=True, exist_ok=True)
  index = jax.process_index()
  return {
    'create': False,
    'multiprocessing_options': ocp.options.MultiprocessingOptions(
      primary_host=index,
      active_processes={index},
      barrier_sync_key_prefix=f'process_{index}',
    ),
  }


def quality(metrics: Mapping[str, Any]) -> float:
  """Returns by what states are ordered: a NaN is worse than any number.

  That is `BEST_METRIC`, or `OF_ALL` where it is there.
  """
  value = float(metrics.get(OF_ALL, metrics[BEST_METRIC]))
  return -math.inf if math.isnan(value) else value


def _silence_orbax() -> None:
  """Keeps Orbax off the screen: what goes wrong with it, it also raises."""
  logging.getLogger('absl').addFilter(_is_worth_seeing)
  logging.getLogger('asyncio').addFilter(_is_of_others)
  sys.unraisablehook = _drop_closed_loops


def _drop_closed_loops(unraisable) -> None:
  """Leaves out what arrays say that were not yet written as one failed."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    _unraisable_hook(unraisable)


def _is_worth_seeing(record: logging.LogRecord) -> bool:
  return 'orbax' not in pathlib.PurePath(record.pathname).parts


def _is_of_others(record: logging.LogRecord) -> bool:
  """Leaves out arrays that were not written, of which one failure is raised."""
  return 'orbax' not in record.getMessage()


def read_structure(path):
  """Returns name -> shape and dtype; raises DamagedError unless all is there.

  Every byte is read, here and not by Orbax: where that fails on one array it
  leaves the others behind, which write tracebacks on the screen.
  """
  try:
    store = tensorstore.KvStore.open(
      {'driver': 'ocdbt', 'base': {'driver': 'file', 'path': f'{path}/'}}
    ).result()
    names = store.list().result()
    for name in names:
      store.read(name).result()
    if not names:
      raise FileNotFoundError('it has no arrays')
    metadata = ocp.StandardCheckpointHandler().metadata(path)
    return checkpoint_sums.structure(metadata.tree)
  except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    raise checkpoint_sums.damaged(path, error) from error
