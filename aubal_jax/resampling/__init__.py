"""Resamplers: label table -> plan of rows, one method a file.

A method is `make_plan` in the module of its name, imported when it is first
asked for. It is given the labels and, of fraction, rng and features, what its
signature names; what has a default there is an option of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from aubal_jax import settings as settings_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables import arguments
from aubal_jax.tables import binary_table
from aubal_jax.tables import plan as plan_lib

RESAMPLERS = settings_lib.METHODS

_signature = functools.cache(inspect.signature)  # .1 ms, as a small resample.


def takes(method: str, argument: str) -> bool:
  """Returns whether a method has an argument of that name.

  Args:
    method: a name of `RESAMPLERS`.
    argument: 'features' (the method looks for neighbours), 'fraction' (its
      amount can be asked for), 'rng' (it draws), 'num_epochs' (it draws rows by
      weight, which can be done anew for each epoch), or another option.

  Raises:
    UserError: there is no such method.

  Examples:
    >>> takes('mlsmote', 'features'), takes('remedial', 'fraction')
    (True, False)
  """
  return argument in _signature(_method(method)).parameters


def options(method: str) -> dict[str, object]:
  """Returns the options of a method and their defaults, in order.

  Args:
    method: a name of `RESAMPLERS`; the options of 'aubal' are those of `solve`.

  Raises:
    UserError: there is no such method.

  Examples:
    >>> options('mlsmote'), options('none')
    ({'neighbours': 5, 'combine': 'ranking'}, {})
  """
  function = _method(method)
  if takes(method, 'settings'):  # Handed on.
    from aubal_jax.balancing import solve as solve_lib

    function = solve_lib.solve
  named = _signature(function).parameters.values()
  return {
    one.name: one.default for one in named if one.default is not one.empty
  }


def about_rows(method: str, dataset: Any, rows: npt.ArrayLike) -> dict:
  """Returns the options of a method that a data set has for each of its rows.

  Args:
    method: a name of `RESAMPLERS`.
    dataset: with `groups` and `frames`, [N] or None.
    rows: int[R], those that are resampled.
  """
  given = {name: getattr(dataset, name) for name in ('groups', 'frames')}
  return {
    name: values[rows]
    for name, values in given.items()
    if values is not None and takes(method, name)
  }


def resample(
  labels: binary_table.Table,
  method: str,
  *,
  fraction: float | None = None,
  seed: int = 0,
  features: npt.ArrayLike | None = None,
  rows: npt.ArrayLike | None = None,
  label_names: Sequence[str] = (),
  **settings: Any,
) -> plan_lib.Plan:
  """Chooses the rows to train on by the method of that name.

  Args:
    labels: 0/1 [N, L], as `find_labelsets` takes it, not in chunks; it is not
      changed.
    method: a name of `RESAMPLERS`.
    fraction: how much, as a share of the N rows: over-samplers add
      round(fraction N) rows, under-samplers delete so many, samplers by weight
      draw N + round(fraction N). None: the method's own amount.
    seed: of everything that is drawn.
    features: float [N, F], for the methods that look for neighbours.
    rows: int[N], the rows' numbers in a larger table; None: 0 ... N - 1.
    label_names: names of the L labels, kept with the plan; (): those that the
      table has.
    **settings: of the method's own `options`.

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
  make_plan = _method(method)
  labels, names = _as_csr(labels, label_names)
  num_rows = labels.shape[0]
  rows = arguments.checked_rows(rows, num_rows)
  arguments.check_seed(seed)
  label_names = arguments.checked_names(label_names, labels.shape[1]) or names
  _check_fraction(method, fraction)
  _check_amount(method, fraction, num_rows)
  _check_options(method, settings)
  given = {
    'fraction': fraction,
    'rng': np.random.default_rng(seed),
    'features': features,
  }
  given = {name: what for name, what in given.items() if takes(method, name)}
  try:
    plan = make_plan(labels, **given, **settings)
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
    label_names=label_names,
  )


def _method(name: str):
  """Returns the method of that name: labels, arguments -> `Plan`."""
  if not isinstance(name, str) or name not in RESAMPLERS:
    raise errors.UserError(
      f'method must be one of {[*RESAMPLERS]}; it is {name!r}.'
      f'{text.suggest(name, RESAMPLERS)}'
    )
  return importlib.import_module(f'{__name__}.{name}').make_plan


def _as_csr(labels, label_names) -> tuple:
  """Returns uint8[N, L], canonical and without zeros, that may be shared.

  And the names that it has of its labels, or ().
  """
  table, names = binary_table.as_named_table(labels, 'labels', label_names)
  table = sparse.csr_array(binary_table.as_checked(table, 'labels'))
  if not table.shape[0]:
    raise errors.UserError('labels must have at least one row; it has none.')
  return table, names


def _check_fraction(method, fraction) -> None:
  if fraction is None:
    return
  if not takes(method, 'fraction'):
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


def _check_amount(method, fraction, num_rows: int) -> None:
  """Raises UserError where so many rows cannot be counted."""
  amount = 0.0 if fraction is None else float(fraction) * num_rows
  if method != 'aubal' and 2.0**53 <= amount < np.inf:
    raise errors.UserError(
      f'fraction must make fewer than 2^53 rows; {fraction} makes '
      f'{amount:.3g}, which no memory holds. Take a smaller one for {method}.'
    )


def _check_options(method, settings) -> None:
  known = options(method) if settings else {}
  for name, value in settings.items():
    if name in known and isinstance(known[name], str | bool):
      _check_kind(name, value, type(known[name]))
    if name not in known:
      raise errors.UserError(
        f'{method} has no option {name!r}; it has {[*known]}.'
      )


def _check_kind(name, value, kind: type) -> None:
  """Raises UserError unless an option is a text or a truth value."""
  if isinstance(value, kind | np.bool_ if kind is bool else kind):
    return
  words = 'True or False' if kind is bool else 'a text'
  raise errors.UserError(f'{name} must be {words}; it is {value!r}.')
