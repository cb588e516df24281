"""Heads: what is predicted, and what files say of them."""

import dataclasses

import numpy as np
import pytest
import scipy.special

from aubal_jax.datasets import targets
from aubal_jax.network import heads


def make_targets(rng):
  names = tuple('abcdefgh'[: rng.integers(2, 9)])
  low = float(rng.uniform(-5, 5))
  high = low + float(rng.uniform(1, 9))
  numbers = rng.uniform(low, high, (4, 2))
  codes = rng.integers(0, len(names), 4)
  zeros = np.zeros((4, 3), np.uint8)
  return {
    'labels': targets.Target('binary', zeros, zeros == 0, (*'xyz',)),
    'mood': targets.of_codes(codes, names),
    'affect': targets.of_numbers(numbers, ('v', 'a'), low, high),
  }


@pytest.mark.parametrize('bins', [*heads.LEVELS, *heads.NO_BINS])
def test_predictions_are_probabilities_and_numbers_in_range(bins):
  rng = np.random.default_rng(0)
  for _ in range(5):
    made = heads.of_targets(make_targets(rng), 'bce', bins=bins)
    of_labels, of_classes, of_numbers = made
    outputs = {
      head.name: rng.normal(size=(6, head.size)).astype(np.float32)
      for head in made
    }
    found = heads.predictions(made, outputs)
    expected = scipy.special.expit(outputs['labels'])
    np.testing.assert_allclose(found['labels'], expected, rtol=1e-5)
    expected = scipy.special.softmax(outputs['mood'], axis=1)
    np.testing.assert_allclose(found['mood'], expected, rtol=1e-5)
    assert of_labels.is_plain
    assert of_classes.size == len(of_classes.names)
    low, high = of_numbers.low, of_numbers.high
    if bins == 'none':
      u = np.tanh(outputs['affect'])
    elif bins == 'raw':
      assert (abs(outputs['affect']) > 1).any()
      u = np.clip(outputs['affect'], -1, 1)
    else:
      assert of_numbers.size == 40
      p = scipy.special.softmax(outputs['affect'].reshape(6, 2, 20), axis=2)
      ends = {'linspace': 1.0, 'centres': 0.95}[bins]
      u = p @ np.linspace(-ends, ends, 20)
    expected = low + (high - low) * (u + 1) / 2
    np.testing.assert_allclose(found['affect'], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('bins', [*heads.LEVELS, *heads.NO_BINS])
@pytest.mark.parametrize('layers', heads.LAYERS)
def test_what_files_say_is_read(bins, layers):
  rng = np.random.default_rng(1)
  for _ in range(5):
    weights = rng.uniform(0.1, 9, 3).tolist()
    for head in heads.of_targets(
      make_targets(rng),
      'focal',
      layers=layers,
      bins=bins,
      weights=weights,
      window=8 * (layers == 'gru'),
    ):
      assert heads.Head.from_json(head.to_json()) == head
      plain = head.kind == 'binary' and layers == 'dense'
      assert head.is_plain == plain
      assert not plain or len(head.to_json()) == 5


@pytest.mark.parametrize(
  'change',
  [
    {'kind': 'odd'},
    {'layers': 'odd'},
    {'levels': 'odd'},
    {'bins': 1},
    {'bins': 20, 'kind': 'class'},
    {'raw': True, 'kind': 'class'},
    {'raw': True, 'bins': 20},
    {'low': 1.0},
    {'low': float('nan')},
    {'other': 1},
  ],
)
def test_no_such_head_is_refused(change):
  head = heads.Head('affect', 'real', ('v',), 'ccc')
  content = dataclasses.asdict(head) | change
  with pytest.raises((KeyError, TypeError)):
    heads.Head.from_json(content)
