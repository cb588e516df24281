"""Predictions over a whole split.

Every row of a split has its probabilities exactly once: the last batch is
padded and the padding cut off again, on every device.
"""

import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from aubal_jax.batches import pipeline
from aubal_jax.network import heads as heads_lib
from aubal_jax.runs import errors
from aubal_jax.runs import programs


def make_predict(model, heads, devices=None, *, outputs=False):
  """Compiles the model for prediction on all the given devices.

  Equal models of equal heads share a program: it is traced once.

  Args:
    model: from `models.make_model`.
    heads: of the model, see `heads.Head`.
    devices: JAX devices of this process; None: all of them.
    outputs: what the network puts out, such as logits, not what is predicted
      by it.

  Returns:
    predict(params, batch_stats) -> run, which puts both on every device, once
    for all batches, and run(batch) -> name of head -> float32[B, L], what is
    predicted as JAX arrays of a dict of streams [B, ...], such as image
    uint8[B, H, W, C]. B may be any number: rows are filled up to a multiple of
    the devices and cut off again.
  """
  return on_devices(_forward(model, tuple(heads), outputs), devices)


@programs.shared
def _forward(model, heads, outputs):
  def forward(params, batch_stats, batch):
    variables = {'params': params, 'batch_stats': batch_stats}
    found = model.apply(variables, batch, train=False)
    if outputs:
      return {head.name: found[head.name].astype('float32') for head in heads}
    return heads_lib.predictions(heads, found)

  return forward


def on_devices(forward, devices=None):
  """Compiles a function of batches for all the given devices.

  Args:
    forward: maps params, batch_stats and a batch to name -> [B, ...].
    devices: as in `make_predict`.

  Returns:
    As `make_predict`.
  """
  devices = jax.local_devices() if devices is None else list(devices)
  whole = NamedSharding(Mesh(np.array(devices), ('devices',)), PartitionSpec())
  parallel = _parallel(forward, tuple(devices))

  def predict(params, batch_stats):
    state = jax.device_put(
      jax.tree.map(_addressable, (params, batch_stats)), whole
    )

    def run(batch):
      size = len(next(iter(batch.values())))
      padded = -(-size // len(devices)) * len(devices)
      shards = {
        name: pipeline.fill(values, padded).reshape(
          len(devices), -1, *values.shape[1:]
        )
        for name, values in batch.items()
      }
      return {
        name: x.reshape(-1, x.shape[-1])[:size]
        for name, x in parallel(*state, shards).items()
      }

    return run

  return predict


@programs.shared
def _parallel(forward, devices):
  return jax.pmap(forward, in_axes=(None, None, 0), devices=devices)


def _addressable(x):
  """Returns an array that this process sees whole."""
  if isinstance(x, jax.Array) and not x.is_fully_addressable:
    return x.addressable_data(0)
  return x


def predict_rows(run, streams, rows, *, batch_size, windows=None):
  """Predicts every row once, whatever the batch size and the devices.

  With several processes each predicts its share and all receive the whole.

  Args:
    run: what `make_predict` returned for a state.
    streams: as `pipeline.eval_batches` takes them.
    rows: int[R], rows of the table.
    batch_size: images a step, over all devices and processes.
    windows: maps rows to `datasets.windows.Windows` of them, where a network
      sees a row among others; None: it does not.

  Returns:
    Name of head -> float32[R, L], in the order of `rows`.

  Raises:
    UserError: no rows, or batch_size below 1.
  """
  rows = np.asarray(rows)
  if not len(rows):
    raise errors.UserError(
      'rows must name at least one image, but is empty: choose a split that '
      'has images.'
    )
  if batch_size < 1:
    raise errors.UserError(
      f'batch_size must be at least 1, but is {batch_size}: set '
      'evaluate.batch_size to the images that fit into memory.'
    )
  if windows is not None:
    return _predict_windows(
      run, streams, rows, batch_size=batch_size, windows=windows(rows)
    )
  index, count = jax.process_index(), jax.process_count()
  # Every process takes equally many rows: some of them twice, if need be.
  share = np.resize(rows, -(-len(rows) // count) * count)[index::count]
  parts, running = [], None
  for batch, mask in pipeline.eval_batches(
    streams, share, batch_size=-(-batch_size // count)
  ):
    following = run(batch), mask
    if running is not None:  # Fetched while the following batch is computed.
      parts.append(_fetch(*running))
    running = following
  parts.append(_fetch(*running))
  found = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
  if count == 1:
    return found
  from jax.experimental import multihost_utils

  def together(share):
    shares = multihost_utils.process_allgather(share)
    whole = np.swapaxes(shares, 0, 1).reshape(-1, shares.shape[-1])
    return whole[: len(rows)]

  return {name: together(share) for name, share in found.items()}


def _predict_windows(run, streams, rows, *, batch_size, windows):
  """Returns `predict_rows` of a network that sees windows."""
  if jax.process_count() > 1:
    raise errors.UserError(
      'A network of windows of videos runs in one process; '
      f'there are {jax.process_count()}: set distributed.start=no.'
    )
  # Whole windows on each device.
  least = windows.rows.shape[1] * jax.local_device_count()
  size = -(-batch_size // least) * least
  flat, scored = windows.rows.reshape(-1), windows.scored.reshape(-1)
  found = predict_rows(run, streams, flat, batch_size=size)
  order = np.argsort(flat[scored], kind='stable')
  place = np.searchsorted(flat[scored], rows, sorter=order)
  return {name: x[scored][order[place]] for name, x in found.items()}


def _fetch(found, mask):
  """Returns the rows of a batch that are no padding, on the host."""
  mask = np.asarray(mask, bool)
  return {name: np.asarray(x)[mask] for name, x in found.items()}
