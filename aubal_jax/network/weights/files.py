"""Files of weights: whatever the format, name -> array."""

from __future__ import annotations

import json
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from aubal_jax.network import bundle
from aubal_jax.network import checkpoint_manager
from aubal_jax.network import checkpoint_sums
from aubal_jax.network.weights import pth
from aubal_jax.runs import errors

FORMS = (
  '.safetensors, .pth (or .pt, .bin), .npz, a folder that Orbax wrote, or the '
  'folder of a run or of its checkpoints'
)


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns 'a.b' -> array of all arrays of a file or folder.

  Args:
    path: one of `FORMS`.

  Raises:
    UserError: it is not there, of another form, or damaged; or what is in it is
      no state of arrays.
  """
  path = pathlib.Path(path).expanduser()
  if not path.exists():
    raise errors.UserError(
      f'model.init_from: there is no {path}; it may be {FORMS}.'
    )
  found = _flatten(_read_folder(path) if path.is_dir() else _read_file(path))
  if not found:
    raise errors.UserError(
      f'model.init_from: {path} holds no arrays by name; it may be {FORMS}, '
      'such as torch.save(model.state_dict(), FILE) writes.'
    )
  return found


def description_of(path: pathlib.Path) -> bundle.Description | None:
  """Returns what a bundle says of itself; None of what is no bundle."""
  path = pathlib.Path(path).expanduser()
  folder = _checkpoints_of(path) if path.is_dir() else None
  return None if folder is None else bundle.read(folder)


def _checkpoints_of(path):
  """Returns the folder with model.json, of a run or of its checkpoints."""
  for folder in (path, path / 'checkpoints'):
    if (folder / 'model.json').exists():
      return folder
  return None


def _read_folder(path):
  folder = _checkpoints_of(path)
  if folder is not None:
    found = bundle.load(folder)
    return {'params': found.params, 'batch_stats': found.batch_stats}
  import orbax.checkpoint as ocp

  try:
    checkpoint_manager.read_structure(path)
    with ocp.PyTreeCheckpointer() as checkpointer:
      like = checkpointer.metadata(path.absolute()).item_metadata.tree
      return checkpointer.restore(
        path.absolute(),
        restore_args=_as_numpy(like),
      )
  except (
    *(checkpoint_sums.DamagedError, AttributeError, KeyError, OSError),
    *(TypeError, ValueError),
  ) as error:
    raise errors.UserError(
      f'model.init_from: the folder {path} is no bundle and no whole '
      f'checkpoint of Orbax ({error}); it may be {FORMS}.'
    ) from error


def _as_numpy(tree):
  """Returns, of each array, that it is to come to the host."""
  import jax
  import orbax.checkpoint as ocp

  return jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)


def _read_file(path):
  reader = _READERS.get(path.suffix.lower())
  if reader is None:
    raise errors.UserError(
      f'model.init_from: {path} must be {FORMS}; its ending is {path.suffix!r}.'
    )
  return reader(path)


def _read_npz(path):
  try:
    # Opened here: where it is damaged NumPy would leave it open.
    with path.open('rb') as file, np.load(file, allow_pickle=False) as held:
      return {name.replace('/', '.'): held[name] for name in held.files}
  except (
    *(AttributeError, EOFError, KeyError, OSError, ValueError),
    zipfile.BadZipFile,
  ) as error:
    raise _damaged(path, error) from error


def _read_safetensors(path):
  import safetensors
  from safetensors import numpy as safetensors_numpy

  try:
    return safetensors_numpy.load_file(path)
  except (
    *(safetensors.SafetensorError, json.JSONDecodeError, KeyError, OSError),
    *(TypeError, ValueError),
  ) as error:
    raise _damaged(path, error) from error


def _damaged(path, error):
  return errors.UserError(
    f'model.init_from: {path} is damaged, or holds more than arrays '
    f'({str(error).splitlines()[0] if str(error) else type(error).__name__}); '
    'copy it anew.'
  )


_READERS = {
  '.safetensors': _read_safetensors,
  '.npz': _read_npz,
  **dict.fromkeys(('.pth', '.pt', '.bin'), pth.read),
}


def _flatten(tree, prefix='') -> dict[str, np.ndarray]:
  """Returns the arrays of nested dicts; what is none is left out."""
  found = {}
  if isinstance(tree, Mapping):
    for name, value in tree.items():
      found |= _flatten(value, f'{prefix}{name}.')
  elif isinstance(tree, np.ndarray):
    found[prefix.removesuffix('.')] = tree
  return found
