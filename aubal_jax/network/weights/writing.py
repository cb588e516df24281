"""The arrays of a network by the names, and in the order, of other libraries.

This is what `weights.load` reads, turned round: torchvision's ResNet of as many
classes and channels takes such a state as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from aubal_jax.network.weights import names as names_lib
from aubal_jax.runs import errors

OWN = 'own'  # Our names.
LIBRARIES = ('torchvision', 'timm')

_ORDERS = {
  5: (4, 3, 0, 1, 2),
  4: (3, 2, 0, 1),
  2: (1, 0),
}  # Of kernels, by their dimensions.


def check(library: str, model, name: str) -> None:
  """Raises UserError where a library has no such network.

  Args:
    library: of `LIBRARIES`.
    model: from `models.make_model`.
    name: of the model, for the message.
  """
  there = names_lib.heads(model.trunk)
  if library not in there:
    known = ' or '.join((OWN, *there))
    raise errors.UserError(
      f'export.names must be {known} for model.name={name}: {library} has no '
      'such network, or its names are not known here.'
    )


def state_of(library: str, model, params: Any, batch_stats: Any) -> dict:
  """Returns name -> array of a network, by the names of a library.

  The head of labels is the classifier there; others are called as by us.

  Args:
    library: of `LIBRARIES`, of which `check` says nothing.
    model: from `models.make_model`.
    params: of the model, host arrays.
    batch_stats: likewise.
  """
  found = names_lib.layouts(model.trunk)
  layout = found.get(library, next(iter(found.values())))
  head_of = names_of_heads(library, model)
  state = {}
  for route, leaf in jax.tree.leaves_with_path((params, batch_stats)):
    route = tuple(key.key for key in route[1:])
    if route[0] in head_of:
      kind = {'kernel': 'weight'}.get(route[-1], route[-1])
      name = f'{head_of[route[0]]}.{kind}'
    else:
      name = layout(route)
    leaf = np.asarray(leaf)
    if route[-1] == 'kernel':
      leaf = leaf.transpose(_ORDERS[leaf.ndim])
    state[name] = np.ascontiguousarray(leaf)
  return state


def names_of_heads(library: str, model) -> dict[str, str]:
  """Returns our name of each layer of a head -> its name in a state."""
  first, *others = sorted(model.head_names, key=lambda name: name != 'logits')
  classifier = names_lib.heads(model.trunk)[library]
  return {first: classifier, **{name: name for name in others}}


def heads_of(library: str, model, state: Mapping) -> dict[str, dict]:
  """Returns our name of each layer of a head -> its arrays, of a state."""
  return {
    ours: {
      'kernel': state[f'{theirs}.weight'].transpose(),
      'bias': state[f'{theirs}.bias'],
    }
    for ours, theirs in names_of_heads(library, model).items()
  }
