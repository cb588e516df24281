"""All arguments of the public functions times odd values: a rule, or right."""

import inspect
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import sparse

import aubal_jax as aubal
from aubal_jax import resampling
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib

ODD = (
  None, (), [], {}, set(), 'x', '3', '', b'x', True, False, math.nan, math.inf,
  -math.inf, -1, 0, 1, 2.5, 3, 1e308, -1e308, 2**62, 2**70, 1j, object(),
  ['l1'], ['3'], [[]], [[1], [1, 0]], [None, 1], [True, False], [2**62, 9],
  [-1, 2], [1.5, 2], [math.nan, 1], [1, 1, 1], [2**70, 1], [1j, 1],
  np.array([1, 2]), np.array([1, None]), np.array([['a', 'b']], object),
  np.array(3.0), np.ma.array([1, 2], mask=[True, False]),
  np.array(['2020-01-01'], 'datetime64[D]'), np.float16(2), np.int8(2),
  sparse.csr_array([[1, 0]]), range(2), iter([1, 2]),
)  # fmt: skip
TABLE = np.array([[1, 0]] * 5 + [[0, 1]] * 2 + [[1, 1]])
LABELSETS = aubal.find_labelsets(TABLE)
FEATURES = np.arange(16.0).reshape(8, 2) % 5
# Function, arguments that are right, of which one at a time is replaced.
PLACES = {
  'solve': (
    aubal.solve,
    {'patterns': [[1, 0], [0, 1]], 'counts': [4, 1], 'optimizer': 'ipm'},
  ),
  'balance': (aubal.balance, {'labels': TABLE, 'optimizer': 'ipm'}),
  'frontier': (aubal.frontier, {'labels': TABLE, 'num_points': 2}),
  'spread': (plan_lib.spread, {'index': [0, 0, 1], 'counts': [3, 1]}),
  'find_labelsets': (aubal.find_labelsets, {'labels': TABLE}),
  'imbalance': (aubal.imbalance, {'labels': TABLE}),
}


HANDING_ON = ('balance', 'frontier')  # Their own arguments are few.


def names_of(function):
  """Its own arguments; what it hands on to `solve` is tried out there."""
  return {*inspect.signature(function).parameters} - {'settings'}


def wrong(function, arguments, name, value) -> str:
  """Returns '' where it answers soundly, or says what is wrong; else why not.

  What two arguments do not agree on is told by the name of either.
  """
  told = f'{function.__name__}({name}={value!r})'
  if isinstance(value, Iterator):
    value = iter([1, 2])
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error')
      warnings.filterwarnings('ignore', message='aubal finds nothing')
      found = function(**{**arguments, name: value})
  except errors.UserError as error:
    named = any(word in str(error) for word in (name, *arguments))
    return '' if named else f'{told} names no argument: {error}'
  except FloatingPointError as error:
    return '' if 'float64' in str(error) else f'{told}: {error!r}'
  except Exception as error:
    return f'{told}: {error!r}'
  found = found if isinstance(found, tuple) else (found,)
  return '' if all(map(is_sound, found)) else f'{told} gives {found}'


def is_sound(found) -> bool:
  """Whether a solution or a plan is one."""
  if isinstance(found, aubal.Plan):
    names = all(isinstance(label, str) for label in found.label_names)
    return names and bool((found.source >= 0).all())
  if not isinstance(found, aubal.Solution):
    return True
  figures = [found.value, found.cost, found.lower_bound, *found.growth]
  return bool(np.isfinite(figures).all() and (found.counts >= 0).all())


@pytest.mark.parametrize(
  'place',
  [
    pytest.param(place, marks=[pytest.mark.long] * (place in HANDING_ON))
    for place in PLACES
  ],
)
def test_every_argument_with_every_odd_value(place):
  function, arguments = PLACES[place]
  found = [
    wrong(function, arguments, name, value)
    for name in sorted(names_of(function))
    for value in ODD
  ]
  assert not any(found), '\n'.join(filter(None, found))


def test_every_option_of_every_resampler_with_every_odd_value():
  found = []
  for method in resampling.RESAMPLERS:
    if method == 'aubal':  # As `balance`, where all of `solve` is tried out.
      continue
    arguments = {'labels': TABLE, 'method': method}
    if resampling.takes(method, 'features'):
      arguments['features'] = FEATURES
    names = ['labels', 'fraction', 'seed', 'features', 'rows', 'label_names']
    names += [*resampling.options(method)]
    found += [
      wrong(aubal.resample, arguments, name, value)
      for name in names
      for value in ODD
    ]
  found += [
    wrong(aubal.resample, {'labels': TABLE}, 'method', value) for value in ODD
  ]
  assert not any(found), '\n'.join(filter(None, found))
