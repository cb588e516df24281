"""The network of a configuration, and the state before the first step."""

from __future__ import annotations

import jax

from aubal_jax import models
from aubal_jax import train as train_lib


def make_network(config, num_labels: int):
  """Returns the model, the optimiser and the first `TrainState`."""
  model = models.make_model(
    config.model.name,
    num_labels,
    stem=config.model.stem,
    momentum=config.train.batch_norm_momentum,
  )
  optimizer = train_lib.make_optimizer(
    config.train.optimizer, config.train.learning_rate
  )
  size = config.data.image_size
  state = train_lib.create_state(
    model,
    optimizer,
    jax.random.key(config.seed),
    (size, size, config.data.channels),
  )
  return model, optimizer, state
