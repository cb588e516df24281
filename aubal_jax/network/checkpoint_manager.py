"""Orbax's CheckpointManager, told what to keep, and to be quiet."""

import logging
import math
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy
from orbax.checkpoint.checkpoint_managers import BestN
from orbax.checkpoint.checkpoint_managers import LatestN

BEST_METRIC = 'f1_macro'

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
    best_fn=_quality,
    preservation_policy=AnyPreservationPolicy(
      [
        LatestN(keep_checkpoints),
        BestN(
          get_metric_fn=_quality,
          n=1,
          keep_checkpoints_without_metrics=False,
        ),
      ]
    ),
    cleanup_tmp_directories=True,
    read_only=read_only,  # Overrules the line above.
    enable_async_checkpointing=not read_only,
    **_of_this_process(path),
  )
  return _Manager(path, options=options)


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
        _quality(found)
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
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


def _quality(metrics: Mapping[str, Any]) -> float:
  """What `BEST_METRIC` is ordered by: a NaN is worse than any number."""
  value = float(metrics[BEST_METRIC])
  return -math.inf if math.isnan(value) else value


def _silence_orbax() -> None:
  """Keeps Orbax off the screen: what goes wrong with it, it also raises."""
  logging.getLogger('absl').addFilter(_is_worth_seeing)
  sys.unraisablehook = _drop_closed_loops


def _drop_closed_loops(unraisable) -> None:
  """Leaves out what arrays say that were not yet written as one failed."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    _unraisable_hook(unraisable)


def _is_worth_seeing(record: logging.LogRecord) -> bool:
  return 'orbax' not in pathlib.PurePath(record.pathname).parts
