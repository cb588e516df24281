"""Weights from a file, into a network that is about to be trained.

Every array of the trunk comes from the file, has its shape, and is used once;
what the file holds beside them is told. The heads stay as they were drawn, and
so does the part for sound of a network whose weights are of clips.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from aubal_jax.network.weights import files
from aubal_jax.network.weights import names as names_lib
from aubal_jax.runs import errors

_IGNORED = (
  'num_batches_tracked'  # By batch norm of PyTorch: it decides nothing.
)
_SHOWN = 6  # Names, of many.
_OURS, _FLAX = 'aubal_jax', 'flax'  # With and without 'params.'.


class Loaded(NamedTuple):
  """Variables of a network, and what was done to have them.

  Attributes:
    params: of the whole network, heads included, as host arrays.
    batch_stats: likewise.
    told: lines for people: what was used, left, stripped, summed.
  """

  params: Any
  batch_stats: Any
  told: tuple[str, ...]


class _Match(NamedTuple):
  """Arrays of a file by a layout: name in ours -> name in the file."""

  library: str
  prefix: str
  names: Mapping[tuple[str, ...], str]
  lacking: tuple[str, ...]


def begin(path: str | pathlib.Path, state, model) -> tuple[Any, list[str]]:
  """Returns the state before the first step with a trunk from a file.

  Args:
    path: as in `load`.
    state: `step.TrainState` before the first step.
    model: from `models.make_model`.

  Returns:
    The state as host arrays, and lines that tell what was done.

  Raises:
    UserError: as in `load`.
  """
  _check_normalised(path, model)
  state = jax.tree.map(np.asarray, state)
  loaded = load(
    path,
    state.params,
    state.batch_stats,
    trunk=model.trunk,
    heads=model.head_names,
  )
  now = {'params': loaded.params, 'batch_stats': loaded.batch_stats}
  average = None if state.average is None else jax.tree.map(np.copy, now)
  told = [*loaded.told]
  sees_images = 'image' in model.streams
  if (
    sees_images and not model.mean and 'torchvision' in told[0]
  ) or 'timm' in told[0]:
    told.append(
      'images are not normalised: weights of ImageNet want '
      'data.normalise=imagenet'
    )
  told = [*told, f'drawn anew: {", ".join(model.head_names)}']
  return state.replace(**now, average=average), told


def _check_normalised(path, model) -> None:
  """Raises UserError where a bundle is of images normalised otherwise."""
  description = files.description_of(pathlib.Path(path))
  if description is None:
    return
  for name in ('mean', 'std'):
    theirs = tuple(description.model.get(name, ()))
    if theirs != getattr(model, name):
      raise errors.UserError(
        f'data.{name} must be that of the bundle {path}, {theirs}, as its '
        f'weights want the pixels; it is {getattr(model, name)}.'
      )
  seen = description.streams.get('clip', {})
  theirs = seen.get('mean', ()), seen.get('std', ())
  for name, *ours in model.standardised:
    alike = (name, len(ours[0])) == ('clip', len(theirs[0]))
    if alike and (*map(tuple, ours),) != theirs:
      raise errors.UserError(
        f'data.mean and data.std must be those of the bundle {path}, {theirs}, '
        f'as its weights want the frames; they are {(*map(tuple, ours),)}.'
      )


def load(
  path: str | pathlib.Path,
  params: Any,
  batch_stats: Any,
  *,
  trunk: nn.Module,
  heads: Iterable[str],
) -> Loaded:
  """Returns the variables of a network with a trunk from a file.

  Names are those of torchvision or timm (whichever has the network), or ours.
  What stands before all of them, such as 'module.' or 'state_dict.', is
  stripped. Kernels of theirs are turned: [F, C, h, w] to [h, w, C, F], and
  [F, C] to [C, F]. Where the network has one channel and the file three, the
  first kernel is summed over them, which is the same on grey images. Where it
  has one more, that of landmarks, its part stays as it was drawn.

  Args:
    path: of `files.FORMS`.
    params: of the network before the first step.
    batch_stats: likewise.
    trunk: of the network.
    heads: names in `params` of its heads, which stay.

  Raises:
    UserError: the file is damaged, of another network, or holds NaN.
  """
  held = files.read(pathlib.Path(path))
  return take(held, path, params, batch_stats, trunk=trunk, heads=heads)


def take(
  held: Mapping[str, np.ndarray],
  path: str | pathlib.Path,
  params: Any,
  batch_stats: Any,
  *,
  trunk: nn.Module,
  heads: Iterable[str],
) -> Loaded:
  """Returns the same of a file that is read: name -> array; and its name."""
  own = {'params': params, 'batch_stats': batch_stats}
  leaves = {
    tuple(key.key for key in route): leaf
    for route, leaf in jax.tree.leaves_with_path(own)
  }
  wanted = {route: x for route, x in leaves.items() if route[1] not in {*heads}}
  if not wanted:
    raise errors.UserError(
      f'model.init_from must be empty, not {path}: beside its heads this '
      'network has no weights. Hidden layers are model.hidden.'
    )
  match = _find(path, wanted, [*held], trunk)
  found, told = {}, _tell_drawn(wanted, match)
  for route, name in match.names.items():
    found[route], said = _fit(
      held[name], wanted[route], route, name, path, match.library
    )
    told += said
  told = [*_tell(path, match, [*held]), *told]
  filled = jax.tree.map_with_path(
    lambda route, leaf: found.get(tuple(k.key for k in route), leaf), own
  )
  return Loaded(filled['params'], filled['batch_stats'], tuple(told))


def _expected(wanted, trunk):
  """Yields (library, route -> name) for each way the arrays may be called."""
  for library, layout in names_lib.layouts(trunk).items():
    names = {route: layout(route[1:]) for route in wanted}
    yield library, {route: name for route, name in names.items() if name}
  yield _OURS, {route: '.'.join(route) for route in wanted}
  yield _FLAX, {route: '.'.join(route[1:]) for route in wanted}


def _find(path, wanted, held, trunk) -> _Match:
  """Returns the layout and prefix under which the file has all arrays.

  Raises:
    UserError: there is none; it names the arrays that the nearest one lacks.
  """
  matches = [
    _match(library, names, prefix, held)
    for library, names in _expected(wanted, trunk)
    for prefix in _prefixes(names, held)
  ]
  best = min(matches, key=lambda match: len(match.lacking))
  if best.lacking:
    shown = _list(best.lacking)
    raise errors.UserError(
      f'model.init_from: {path} is of another network than model.name: '
      f'{len(best.lacking):,} of {len(wanted):,} arrays lack, by the names of '
      f'{best.library}: {shown}. It holds {_list(held)}.'
    )
  # What lies beside arrays of the trunk, as another block does, is of it.
  places = {_place(name, best) for name in best.names.values()}
  more = [
    name
    for name in _left(best, held)
    if name.startswith(best.prefix) and _place(name, best) in places
  ]
  if more:
    raise errors.UserError(
      f'model.init_from: {path} is of a larger network than model.name, which '
      f'has no {_list(more)}.'
    )
  return best


def _place(name, match) -> str:
  """Returns the first part of a name that tells where in a network it is."""
  parts = name.removeprefix(match.prefix).split('.')
  return parts[int(match.library == _OURS)] if len(parts) > 1 else name


def _match(library, names, prefix, held):
  there = {*held}
  names = {route: prefix + name for route, name in names.items()}
  lacking = tuple(name for name in names.values() if name not in there)
  return _Match(library, prefix, names, lacking)


def _prefixes(names, held) -> list[str]:
  """Returns what may stand before all names, in the order of the file."""
  first = next(iter(names.values()))
  ends = [n[: -len(first)] for n in held if n.endswith(first)]
  found = [p for p in ends if not p or p.endswith('.')]
  return [*dict.fromkeys(found)] or ['']


def _left(match, held) -> list[str]:
  used = {*match.names.values()}
  return [
    name for name in held if name not in used and not name.endswith(_IGNORED)
  ]


def _tell(path, match, held) -> list[str]:
  told = [
    f'{len(match.names):,} arrays of {path}, by the names of {match.library}'
  ]
  if match.prefix:
    told.append(f'without {match.prefix!r}, which stands before them')
  if left := _left(match, held):
    told.append(f'left there: {_list(left)}')
  return told


def _tell_drawn(wanted, match) -> list[str]:
  """Says which parts of a trunk no file of such a library has."""
  parts = dict.fromkeys(
    route[1] for route in wanted if route not in match.names
  )
  return [f'not in such files, drawn anew: {_list(parts)}'] if parts else []


def _list(names) -> str:
  names = [*names]
  more = f' and {len(names) - _SHOWN:,} more' if len(names) > _SHOWN else ''
  return ', '.join(names[:_SHOWN]) + more


def _resize(value, like):
  """Returns embeddings of positions for another number of patches.

  They are those of a square, behind one of the class token, and resized by
  cubic convolution (Keys 1981), as images are.
  """
  old, new = (math.isqrt(x.shape[1] - 1) for x in (value, like))
  if (
    value.shape[2] != like.shape[2]
    or old**2 + 1 != value.shape[1]
    or new**2 + 1 != like.shape[1]
  ):
    return value, []
  first, square = np.float32(value[:, :1]), np.float32(value[:, 1:])
  square = jax.image.resize(
    square.reshape(old, old, -1), (new, new, value.shape[2]), 'cubic'
  )
  rest = np.asarray(square).reshape(1, new * new, -1)
  told = [f'positions are resized from {old} x {old} patches to {new} x {new}']
  return np.concatenate([first, rest], axis=1), told


def _fit_channels(value, like, name):
  """Returns a kernel for grey images, or for frames with a mask."""
  theirs, ours = value.shape[-2], like.shape[-2]
  told = []
  if theirs == 3 and (ours == 1 or (like.ndim == 5 and ours == 2)):
    value = value.astype(np.float64).sum(axis=-2, keepdims=True)
    told.append(f'{name} is summed over its three channels: images are grey')
  if like.ndim == 5 and (theirs, ours) in ((3, 4), (3, 2), (1, 2)):
    value = np.concatenate([value, like[..., -1:, :]], axis=-2)
    told.append(f'{name} has no channel of landmarks: that is drawn anew')
  return value, told


def _fit(value, like, route, name, path, library):
  """Returns an array of the file as the network has it, and what was done.

  Raises:
    UserError: it is of another shape, or holds what is no number.
  """
  told, dims = [], like.ndim
  if route[-1] == 'position' and value.ndim == 3 and value.shape != like.shape:
    value, said = _resize(value, like)
    told += said
  if library not in (_OURS, _FLAX) and route[-1] == 'kernel':
    order = {5: (2, 3, 4, 1, 0), 4: (2, 3, 1, 0), 2: (1, 0)}.get(value.ndim)
    value = value if order is None else value.transpose(order)
  if dims == value.ndim >= 4:
    value, said = _fit_channels(value, like, name)
    told += said
  if value.shape != like.shape:
    raise errors.UserError(
      f'model.init_from: {name} in {path} must be of shape {list(like.shape)} '
      f'in the order of {"/".join(route[1:])}, it is {list(value.shape)}: of '
      'another width, stem or number of channels; see model and data.channels.'
    )
  value = np.ascontiguousarray(value, dtype=like.dtype)
  negative = route[-1] == 'var' and (value < 0).any()
  if negative or not np.isfinite(value).all():
    raise errors.UserError(
      f'model.init_from: {name} in {path} must hold finite numbers, variances '
      'none below 0; it does not. The file is damaged, or its training failed.'
    )
  return value, told
