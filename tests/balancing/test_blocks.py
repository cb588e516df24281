"""Blocks of classes, against lists of columns."""

import random

import numpy as np
import pytest

from aubal_jax.balancing import blocks
from aubal_jax.runs import errors


def draw(rng):
  return [
    blocks.Block(rng.randint(1, 5), rng.choice([0.5, 1.0, 2.0]))
    for _ in range(rng.randint(1, 5))
  ]


def test_classes_that_occur_stay_in_their_blocks():
  rng = random.Random(0)
  for _ in range(60):
    made = draw(rng)
    block_of = [k for k, block in enumerate(made) for _ in range(block.size)]
    present = sorted(
      rng.sample(range(len(block_of)), rng.randint(0, len(block_of)))
    )
    parts = blocks.slices(made, np.array(present, np.int64))
    e = blocks.matrix(parts, len(present))
    wanted = [
      [float(block_of[c] == k) for c in present] for k in range(len(made))
    ]
    np.testing.assert_array_equal(e, np.array(wanted).reshape(e.shape))
    values = np.array([rng.random() for _ in present])
    sums = [
      sum(
        values[j] for j, d in enumerate(present) if block_of[d] == block_of[c]
      )
      for c in present
    ]
    np.testing.assert_allclose(blocks.sums(e, values), sums, rtol=1e-12)
    pairs = np.stack([values, 2 * values], axis=1)
    np.testing.assert_allclose(blocks.sums(e, pairs)[:, 1], 2 * np.array(sums))


def test_checked_blocks_are_those_given():
  rng = random.Random(1)
  assert blocks.checked(None, 3) is None
  for _ in range(60):
    made = draw(rng)
    given = rng.choice([made, [[*b] for b in made], tuple(map(tuple, made))])
    found = blocks.checked(given, sum(block.size for block in made))
    if len(made) == 1 and made[0].weight == 1:
      assert found is None
    else:
      assert found == tuple(made)
      assert all(type(block.size) is int for block in found)


def test_what_are_no_blocks_of_so_many_labels_is_told():
  rng = random.Random(2)
  for _ in range(60):
    made = [[*block] for block in draw(rng)]
    place, size = rng.randrange(len(made)), sum(block[0] for block in made)
    row, value, words = rng.choice(
      [
        (0, 0, 'whole sizes'),
        (0, 1.5, 'whole sizes'),
        (0, made[place][0] + 1, f'the {size} labels'),
        (0, 'x', 'a sequence of'),
        (1, 0, 'finite weights above 0'),
        (1, -1.0, 'finite weights above 0'),
        (1, float('inf'), 'finite weights above 0'),
        (1, float('nan'), 'finite weights above 0'),
        (1, None, 'finite weights above 0'),
      ]
    )
    made[place][row] = value
    if value == 1.5:  # As many in all.
      made.append([size - sum(block[0] for block in made), 1.0])
    with pytest.raises(errors.UserError, match=words):
      blocks.checked(made, size)


@pytest.mark.parametrize('given', [3, 'ab', [3], [(1, 2, 3)], [()]])
def test_what_is_no_sequence_of_pairs_is_told(given):
  with pytest.raises(errors.UserError, match='sequence of'):
    blocks.checked(given, 2)
