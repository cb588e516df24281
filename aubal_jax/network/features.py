"""What the last layers of a trained network see of a row: numbers."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from aubal_jax.network import bundle
from aubal_jax.network import inference
from aubal_jax.network import models
from aubal_jax.network import tuning as tuning_lib
from aubal_jax.runs import programs

NAME = 'features'


def size(trained: bundle.Bundle) -> tuple[int, dict[str, tuple[int, int]]]:
  """Returns how many numbers there are, and which each head sees.

  The latter is name of head -> (start, stop); {}: every head sees all.
  """
  description = trained.description
  model, _ = bundle.make_network(description)
  forward = _forward(model)
  batch = bundle.one_row(description)
  found = jax.eval_shape(forward, trained.params, trained.batch_stats, batch)
  width = found[NAME].shape[1]
  if model.layers != 'deng':
    return width, {}
  each = width // len(description.heads)
  return width, {
    head.name: (k * each, (k + 1) * each)
    for k, head in enumerate(description.heads)
  }


def make(trained: bundle.Bundle, devices=None):
  """Returns a batch -> {'features': float32[B, F]}, see `last_features_of`.

  Args:
    trained: the network, which is run in evaluation mode.
    devices: as in `inference.make_predict`.
  """
  model, _ = bundle.make_network(trained.description)
  run = inference.on_devices(_forward(model), devices)
  return run(trained.params, trained.batch_stats)


def heads_alone(
  trained: bundle.Bundle, start: int, width: int
) -> bundle.Bundle:
  """Returns the heads of a network as a network of what they see.

  Args:
    trained: a network whose layers of heads are not 'deng'.
    start: where its numbers of `make` begin among those of a row.
    width: how many numbers a row has, of other networks too.
  """
  description = trained.description
  model, _ = bundle.make_network(description)
  parts = {head.name: (0, size(trained)[0]) for head in description.heads}
  parts |= {name: part for name, *part in model.parts}
  seen = {
    'dtype': 'float32',
    'shape': (width,),
    'parts': {k: (start + a, start + b) for k, (a, b) in parts.items()},
  }
  kept = ('stem', 'momentum')
  return dataclasses.replace(
    trained,
    description=dataclasses.replace(
      description,
      pixels=None,
      model={'name': NAME, **{k: description.model[k] for k in kept}},
      streams={NAME: seen},
      tuning=tuning_lib.Tuning(),
    ),
    params={name: trained.params[name] for name in model.head_names},
    batch_stats={},
  )


@programs.shared
def _forward(model):
  def forward(params, batch_stats, batch):
    variables = {'params': params, 'batch_stats': batch_stats}
    found = models.last_features_of(model, variables, batch)
    return {NAME: found.astype(np.float32)}

  return forward
