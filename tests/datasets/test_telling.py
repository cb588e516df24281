"""What is told of a data set: on which stream, and in which words."""

import random

import numpy as np

from aubal_jax.datasets import dataset
from aubal_jax.datasets import targets
from aubal_jax.datasets import telling


class Held:
  """What is told of a Dataset, and no more."""

  def __init__(self, names=(), counts=None, origin='', notes=(), others=None):
    self.label_names, self.counts, self.origin = names, counts, origin
    self.notes = notes
    if others is not None:
      self.targets = others


def test_warnings_go_to_stderr_and_notes_to_stdout(capsys):
  rng = random.Random(0)
  for _ in range(30):
    kinds = [rng.random() < 0.5 for _ in range(rng.randint(0, 5))]
    notes = [
      f'{dataset.WARNING}w{k}' if serious else f'n{k}'
      for k, serious in enumerate(kinds)
    ]
    telling.tell(Held(notes=notes))
    out, err = capsys.readouterr()
    pairs = [*zip(notes, kinds, strict=True)]
    assert err.splitlines() == [note for note, serious in pairs if serious]
    assert out.splitlines() == [
      f'Note: {n}' for n, serious in pairs if not serious
    ]


def test_labels_are_named_where_nobody_named_them(capsys):
  for size in range(1, 15):
    names = tuple(f'l{k}' for k in range(size))
    telling.tell(Held(names, {'1': ('present', 1234)}, 'the column tags'))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith('Labels: l0') and '(the column tags).' in first
    assert (f'({size} in all)' in first) == (size > 10)
    assert second.startswith('Cells of labels: ') and '1,234' in second
    telling.tell(Held(names, {'1': ('present', 1)}))
    assert 'Labels:' not in capsys.readouterr().out


def test_targets_beside_the_labels_say_how_many_rows_are_known(capsys):
  rng = np.random.default_rng(1)
  for _ in range(20):
    size = int(rng.integers(1, 3000))
    codes = rng.integers(-1, 3, size)
    numbers = rng.choice([np.nan, 0.5], (size, 2))
    labels = targets.Target(
      'binary', np.zeros((size, 1), np.uint8), np.ones((size, 1), bool), ('l',)
    )
    others = {
      dataset.LABELS: labels,
      'mood': targets.of_codes(codes, ('a', 'b', 'c')),
      'force': targets.of_numbers(numbers, ('x', 'y'), 0, 1),
    }
    telling.tell(Held(others=others))
    mood, force = capsys.readouterr().out.splitlines()  # The labels are told.
    assert mood.startswith('Target mood: ') and force.startswith('Target force')
    known = sum(not np.isnan(row).all() for row in numbers)
    assert mood.endswith(f'in {sum(codes >= 0):,} of {size:,} rows.')
    assert force.endswith(f'in {known:,} of {size:,} rows.')


def test_a_table_without_targets_is_told_all_the_same(capsys):
  telling.tell(Held())
  assert capsys.readouterr() == ('', '')
