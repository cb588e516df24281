"""Predictions over a whole split.

Every row of a split has its probabilities exactly once: the last batch is
padded and the padding cut off again, on every device.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from aubal_jax.batches import pipeline
from aubal_jax.network import models
from aubal_jax.runs import errors


def make_predict(model, devices=None):
  """Compiles the model for prediction on all the given devices.

  Args:
    model: from `models.make_model`: `apply(variables, image, train=False)`
      giving logits float[B, L] for images in [0, 1].
    devices: JAX devices of this process; None: all of them.

  Returns:
    predict(params, batch_stats) -> run, which puts both on every device, once
    for all batches, and run(image uint8[B, H, W, C]) -> float32[B, L], the
    probabilities as a JAX array. B may be any number: rows are filled up to a
    multiple of the devices and cut off again.
  """
  devices = jax.local_devices() if devices is None else list(devices)
  whole = NamedSharding(Mesh(np.array(devices), ('devices',)), PartitionSpec())

  def forward(params, batch_stats, image):
    logits = model.apply(
      {'params': params, 'batch_stats': batch_stats},
      models.scale_images(image, model.dtype),
      train=False,
    )
    return jax.nn.sigmoid(logits.astype(jnp.float32))

  parallel = jax.pmap(forward, in_axes=(None, None, 0), devices=devices)

  def predict(params, batch_stats):
    state = jax.device_put(
      jax.tree.map(_addressable, (params, batch_stats)), whole
    )

    def run(image):
      size = len(image)
      fill = -size % len(devices)
      if fill:
        zeros = np.zeros((fill, *image.shape[1:]), 'u1')
        image = np.concatenate([image, zeros])
      shards = image.reshape(len(devices), -1, *image.shape[1:])
      probability = parallel(*state, shards)
      return probability.reshape(-1, probability.shape[-1])[:size]

    return run

  return predict


def _addressable(x):
  """Returns an array that this process sees whole."""
  if isinstance(x, jax.Array) and not x.is_fully_addressable:
    return x.addressable_data(0)
  return x


def predict_rows(predict, state, images, rows, *, batch_size):
  """Predicts every row once, whatever the batch size and the devices.

  With several processes each predicts its share and all receive the whole.

  Args:
    predict: from `make_predict`.
    state: has `params` and `batch_stats`, such as train_step.TrainState.
    images: as `pipeline.eval_batches` takes them.
    rows: int[R], rows of the table.
    batch_size: images a step, over all devices and processes.

  Returns:
    float32[R, L], probabilities in the order of `rows`.

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
  index, count = jax.process_index(), jax.process_count()
  # Every process takes equally many rows: some of them twice, if need be.
  share = np.resize(rows, -(-len(rows) // count) * count)[index::count]
  run = predict(state.params, state.batch_stats)
  parts, running = [], None
  for image, mask in pipeline.eval_batches(
    images, share, batch_size=-(-batch_size // count)
  ):
    following = run(image), mask
    if running is not None:  # Fetched while the following batch is computed.
      parts.append(_fetch(*running))
    running = following
  parts.append(_fetch(*running))
  probability = np.concatenate(parts)
  if count == 1:
    return probability
  from jax.experimental import multihost_utils

  shares = multihost_utils.process_allgather(probability)
  together = np.swapaxes(shares, 0, 1).reshape(-1, shares.shape[-1])
  return together[: len(rows)]


def _fetch(probability, mask):
  """Returns the rows of a batch that are no padding, on the host."""
  return np.asarray(probability)[np.asarray(mask, bool)]
