"""Resamplers: label table -> plan of rows, one method a file.

Every method is called through `resample`, by its name in `RESAMPLERS`. A
module is imported when its method is first asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import numbers
import types
import typing

import numpy as np
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.tables import binary_table
from aubal_jax.tables import plan as plan_lib

_MOST = np.iinfo(np.int64).max


class Method(typing.NamedTuple):
  """Where a method is, and what it takes.

  Attributes:
    module: its module here; `make_plan` there is the method.
    needs_features: whether it looks for neighbours.
    takes_fraction: whether its amount can be asked for.
    is_sampler: whether rows are drawn by weight, so that they can be drawn
      anew for each epoch (its option `num_epochs`).
  """

  module: str
  needs_features: bool = False
  takes_fraction: bool = True
  is_sampler: bool = False


RESAMPLERS = types.MappingProxyType(
  {
    'aubal': Method('aubal'),
    'none': Method('no_change', takes_fraction=False),
    'random': Method('at_random'),
    'lp_ros': Method('lp_ros'),
    'lp_rus': Method('lp_rus'),
    'ml_ros': Method('ml_ros'),
    'ml_rus': Method('ml_rus'),
    'mlsmote': Method('mlsmote', needs_features=True),
    'smote': Method('smote', needs_features=True),
    'remedial': Method('remedial', takes_fraction=False),
    'mlsol': Method('mlsol', needs_features=True),
    'mlenn': Method('mlenn', needs_features=True, takes_fraction=False),
    'mltl': Method('mltl', needs_features=True, takes_fraction=False),
    'inverse_frequency': Method('inverse_frequency', is_sampler=True),
    'repeat_factor': Method('repeat_factor', is_sampler=True),
    'greedy_spread': Method('greedy_spread'),
    'calibration': Method('calibration', is_sampler=True),
  }
)


def resample(
  labels,
  method: str,
  *,
  fraction: float | None = None,
  seed: int = 0,
  features=None,
  rows=None,
  label_names=(),
  **options,
) -> plan_lib.Plan:
  """Chooses the rows to train on by the method of that name.

  Args:
    labels: 0/1 [N, L], dense or scipy sparse; it is not changed.
    method: a name of `RESAMPLERS`.
    fraction: how much, as a share of the N rows: over-samplers add
      round(fraction N) rows, under-samplers delete so many, samplers by weight
      draw N + round(fraction N). None: the method's own amount.
    seed: of everything that is drawn.
    features: float [N, F], for the methods that look for neighbours.
    rows: int[N], the rows' numbers in a larger table; None: 0 ... N - 1.
    label_names: names of the L labels, kept with the plan.
    **options: of the method's `make_plan`.

  Returns:
    The `Plan`: originals first, in the order of the table and not augmented;
    then what is added, to be augmented.

  Raises:
    UserError: an argument breaks its rule; the message says which.

  Examples:
    >>> table = [[1, 0], [1, 0], [1, 0], [0, 1]]
    >>> resample(table, 'lp_ros', fraction=0.25).source.tolist()
    [0, 1, 2, 3, 3]
  """
  entry = _entry(method)
  labels = _as_csr(labels)
  num_rows = labels.shape[0]
  rows = np.arange(num_rows) if rows is None else np.asarray(rows)
  if rows.shape != (num_rows,) or rows.dtype.kind not in 'iu':
    raise errors.UserError(
      f'rows must be whole numbers, one for each row of labels: {num_rows}; it '
      f'is {rows.dtype}{list(rows.shape)}.'
    )
  if rows.min() < 0 or rows.max() > _MOST:
    raise errors.UserError(
      f'rows must be from 0 to {_MOST}; they are from {rows.min()} to '
      f'{rows.max()}.'
    )
  if not _is_whole(seed) or seed < 0:
    raise errors.UserError(
      f'seed must be a whole number, at least 0; it is {seed}.'
    )
  _check_names(label_names, labels.shape[1])
  _check_fraction(method, entry, fraction)
  make_plan = importlib.import_module(f'{__name__}.{entry.module}').make_plan
  _check_options(method, make_plan, options)
  try:
    plan = make_plan(
      labels,
      fraction=fraction,
      rng=np.random.default_rng(seed),
      features=features if entry.needs_features else None,
      **options,
    )
  except (MemoryError, OverflowError) as error:
    raise errors.UserError(
      f'{method} of {num_rows:,} rows with {labels.shape[1]:,} labels does not '
      f'fit in memory ({error}). Take fewer rows or labels, a smaller '
      'fraction, or a method that makes no new labels.'
    ) from error
  partner = np.where(plan.partner < 0, -1, rows[plan.partner])
  return dataclasses.replace(
    plan,
    source=rows[plan.source].astype(np.int64),
    partner=partner.astype(np.int64),
    label_names=tuple(label_names),
  )


def _entry(method: str) -> Method:
  if not isinstance(method, str) or method not in RESAMPLERS:
    written = str(method).lower().replace('-', '_')
    near = difflib.get_close_matches(written, RESAMPLERS, 1)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    raise errors.UserError(
      f'method must be one of {[*RESAMPLERS]}; it is {method!r}.{hint}'
    )
  return RESAMPLERS[method]


def _as_csr(labels) -> sparse.csr_array:
  """Returns uint8[N, L], canonical and without zeros, that may be shared."""
  table = sparse.csr_array(binary_table.as_binary(labels))
  if not table.shape[0]:
    raise errors.UserError('labels must have at least one row; it has none.')
  return table


def _is_whole(number) -> bool:
  whole = isinstance(number, (int, np.integer))
  return whole and not isinstance(number, bool)


def _check_names(names, num_labels: int) -> None:
  try:
    good = not isinstance(names, str) and len(names) in (0, num_labels)
    good = good and all(isinstance(name, str) for name in names)
  except TypeError:
    good = False
  if not good:
    raise errors.UserError(
      f'label_names must be the names of all {num_labels} labels, or (); it is '
      f'{names!r}.'
    )


def _check_fraction(method, entry, fraction) -> None:
  if fraction is None:
    return
  if not entry.takes_fraction:
    raise errors.UserError(
      f'{method} has no amount to choose; leave fraction out (it is '
      f'{fraction}).'
    )
  is_number = isinstance(fraction, numbers.Real)
  is_number = is_number and not isinstance(fraction, bool)
  if not is_number or not 0 <= fraction < np.inf:
    raise errors.UserError(
      f'fraction must be a number from 0, a share of the rows; it is '
      f'{fraction!r}.'
    )


def _check_options(method, make_plan, options) -> None:
  if not options:
    return
  known = [*inspect.signature(make_plan).parameters]
  shared = ['labels', 'fraction', 'rng', 'features']
  if 'settings' in known:  # aubal's, which are handed on.
    from aubal_jax.balancing import solve as solve_lib

    known += inspect.signature(solve_lib.solve).parameters
    shared += ['settings', 'patterns', 'counts']
  known = [name for name in known if name not in shared]
  for name in options:
    if name not in known:
      raise errors.UserError(
        f'{method} has no option {name!r}; it has {known}.'
      )
