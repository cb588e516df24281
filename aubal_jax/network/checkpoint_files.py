"""The arrays of a checkpoint on disk: which they are, and all of them."""

import orbax.checkpoint as ocp
import tensorstore


class DamagedError(Exception):
  """A checkpoint cannot be read; the message says what of it, on one line."""


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
    return flatten(metadata.tree)
  except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    raise damaged(path, error) from error


def flatten(tree):
  """Returns name -> 'dtype[shape]' of arrays, 'empty' of what has none."""
  flat = ocp.tree.to_flat_dict(tree, sep='.', keep_empty_nodes=True)
  return {
    name: f'{x.dtype}{list(x.shape)}' if hasattr(x, 'shape') else 'empty'
    for name, x in flat.items()
  }


def damaged(path, error):
  """Returns a DamagedError that names the path and what was raised."""
  first = str(error).partition('\n')[0]
  return DamagedError(f'{path}: {first}')
