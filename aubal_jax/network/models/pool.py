"""3x3 max pooling with stride 2, and a backward pass fast on a CPU."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp


def max_pool(x):
  """Returns the maximum of every other 3x3 window; borders count as -inf.

  The same as flax's `max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))`, gradients
  included: of equal maxima the first in reading order gets it. XLA scatters
  that gradient pixel by pixel on a CPU; here it is nine selections of whole
  maps. A NaN is the maximum of its windows. Has reverse-mode derivatives only.

  Args:
    x: float[B, H, W, C].

  Returns:
    float[B, ceil(H / 2), ceil(W / 2), C].
  """
  return _max_pool(x, x.shape[1:3])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x, sides):
  del sides  # The gradient's alone, which searches; a network at work need not.
  return nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))


def _search(x, sides):
  """Returns the maxima, and their places in the windows, int8 0..8.

  The gradient goes by place, and not to where x equals the maximum: XLA may
  compute x twice, rounded differently, and then no pixel does. Found by order
  alone, there always is one.
  """
  height, width = sides
  rows, columns = -(-height // 2), -(-width // 2)
  # Output pixel i sees the padded rows 2 i, 2 i + 1 and 2 i + 2.
  padding = ((1, 2 * rows - height), (1, 2 * columns - width))
  padded = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
  y = jnp.full((x.shape[0], rows, columns, x.shape[3]), -jnp.inf, x.dtype)
  place = jnp.full(y.shape, 4, jnp.int8)  # The middle is never of the border.
  for i in range(3):
    for j in range(3):
      window = padded[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2]
      larger = (window > y) | jnp.isnan(window)
      y = jnp.where(larger, window, y)
      place = jnp.where(larger, jnp.int8(3 * i + j), place)
  return y, place


def _forward(x, sides):
  """Returns what `_search` does, made here once.

  Else XLA searches anew for each part of the gradient, which takes longer. For
  CPUs it drops barriers, but fuses nothing across a conditional.
  """
  return jax.lax.platform_dependent(
    *_search(x, sides),
    cpu=lambda y, place: jax.lax.cond(
      place[0, 0, 0, 0] >= 0,  # As all are.
      lambda: (y, place),
      lambda: (jnp.zeros_like(y), jnp.zeros_like(place)),
    ),
    default=lambda *found: jax.lax.optimization_barrier(found),
  )


def _backward(sides, place, gradient):
  height, width = sides
  batch, rows, columns, channels = gradient.shape
  # The padded rows and columns by parity: grid[0][1] is of the even rows and
  # odd columns. One row and column more than there are of the odd.
  shape = (batch, rows + 1, columns + 1, channels)
  zeros = jnp.zeros(shape, gradient.dtype)
  grid = [[zeros, zeros], [zeros, zeros]]
  for i in range(3):
    for j in range(3):
      part = jnp.where(place == 3 * i + j, gradient, 0)
      shift = ((i // 2, 1 - i // 2), (j // 2, 1 - j // 2))
      grid[i % 2][j % 2] += jnp.pad(part, ((0, 0), *shift, (0, 0)))
  even_odd = [jnp.stack(row, axis=3) for row in grid]
  whole = jnp.stack(even_odd, axis=2)  # [B, rows, 2, columns, 2, C].
  whole = whole.reshape(batch, 2 * rows + 2, 2 * columns + 2, channels)
  return (whole[:, 1 : 1 + height, 1 : 1 + width],)


_max_pool.defvjp(_forward, _backward)
