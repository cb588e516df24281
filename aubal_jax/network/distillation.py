"""What a student pays for saying something else than its teacher.

A teacher says something of every row and target, so nothing is masked here:
what a row lacks of labels, its teacher says. Sums over the batch are taken
over the devices (`psum`) before any ratio, in float32, as in `losses`.
Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015;
of several targets on partial labels Deng, Chen, Shi: Multitask Emotion
Recognition with Incomplete Labels, 2020, arXiv 2002.03557.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

# The field of a batch, name of head -> outputs, that a teacher fills.
TEACHER = 'teacher'


def binary(outputs, teacher):
  """Cross entropy with the teacher's probabilities: float[B, L]."""
  target = jax.nn.sigmoid(teacher)
  return optax.losses.sigmoid_binary_cross_entropy(outputs, target)


def softened(outputs, teacher, temperature: float):
  """KL(softmax(teacher / T) || softmax(outputs / T)), last axis: float[...].

  Hinton multiplies by T^2, so that gradients do not shrink with T; Deng's
  code, and this one, does not.
  """
  p = jax.nn.log_softmax(teacher / temperature)
  q = jax.nn.log_softmax(outputs / temperature)
  return (jnp.exp(p) * (p - q)).sum(-1)


def difference(outputs, teacher, raw=False):
  """Squared difference of what is said, on [-1, 1]: float[B, D].

  Numbers without bins have no distribution to be softened; Deng's all have.
  Outputs that are `raw` are compared as they are, else their tanh is.
  """
  if raw:
    return jnp.square(outputs - teacher)
  return jnp.square(jnp.tanh(outputs) - jnp.tanh(teacher))


def divergence(head, outputs, teacher, temperature, axis_name=None):
  """Returns D of a head, a scalar of the global batch.

  'binary': mean over all entries of `binary`. 'class': mean over rows of
  `softened`. 'real': with bins, the mean over rows of `softened`, summed over
  the numbers; without, the mean over all entries of `difference`.

  Args:
    head: `heads.Head`.
    outputs: float[B, K], of the student.
    teacher: float[B, K], of the teacher.
    temperature: T > 0.
    axis_name: mapped axis the batch is spread over, or None.
  """
  z, t = outputs.astype(jnp.float32), teacher.astype(jnp.float32)
  if head.kind == 'binary':
    return _mean(binary(z, t), axis_name)
  if head.kind == 'class':
    return _mean(softened(z, t, temperature), axis_name)
  numbers = len(head.names)
  if z.shape[-1] == numbers:
    return _mean(difference(z, t, head.raw), axis_name)
  bins = (*z.shape[:-1], numbers, -1)
  entries = softened(z.reshape(bins), t.reshape(bins), temperature)
  return numbers * _mean(entries, axis_name)


def _mean(entries, axis_name):
  """Returns the mean over the global batch."""
  found = entries.sum(), jnp.float32(entries.size)
  if axis_name is not None:
    found = jax.lax.psum(found, axis_name)
  whole, count = found
  return whole / count


def make_objective(
  heads: Sequence,
  own: Mapping[str, Callable],
  *,
  temperature: float = 1.5,
  share: float = 0.6,
) -> Callable:
  """Returns f(outputs, batch, axis_name=None) -> what is minimised.

  The sum over heads u of D_u or, of those whose target is in the batch, of
  (1 - s) D_u + s own_u. A batch of all tasks has all targets, that of a task
  its own.
  Either is divided by the number of heads, so that the batches of all tasks
  add up to Deng's objective. Weights of heads are the teacher's alone: no head
  weighs more than another here.

  Args:
    heads: of the network.
    own: name of head -> its loss, as `heads.make_objective` takes them.
    temperature: T of `softened`.
    share: s in [0, 1], of the own loss.
  """

  def objective(outputs, batch, axis_name=None):
    said, total = batch[TEACHER], 0.0
    for head in heads:
      name = head.name
      d = divergence(head, outputs[name], said[name], temperature, axis_name)
      if name in batch:
        known = batch[f'{name}_known']
        paid = own[name](outputs[name], batch[name], known, batch, axis_name)
        d = (1 - share) * d + share * paid
      total += d
    return total / len(heads)

  return objective
