"""Tables of splits, one below the other, against rows kept as dicts."""

import random

import numpy as np
import pytest

from aubal_jax.datasets import annotations
from aubal_jax.datasets import stacked
from aubal_jax.datasets import targets
from aubal_jax.runs import errors

SPLITS = ('train', 'validation', 'test')


def make(names, rows, **more):
  """Annotations of rows, each name of label -> 0, 1 or None."""
  cells = [[row.get(name, 0) for name in names] for row in rows]
  cells = np.array(cells, object).reshape(len(rows), len(names))
  known = cells != None  # noqa: E711
  called = more.pop('called', 'r')
  return annotations.Annotations(
    files=more.pop('files', None),
    labels=np.where(known, cells, 0).astype(np.uint8),
    known=known.astype(bool),
    label_names=tuple(names),
    ids=np.array([f'{called}{k}' for k in range(len(rows))]),
    **more,
  )


def stack(parts):
  """The parts, name of split -> Annotations, as of files called `SPLIT.csv`."""
  others = {s: f'{s}.csv' for s in parts if s != 'train'}
  keys = {}

  def read(path, key):
    keys[path] = key
    return parts[path.removesuffix('.csv')]

  found = stacked.stack(read, 'train.csv', 'data.path', others)
  assert keys == {
    f'{s}.csv': 'data.path' if s == 'train' else f'data.{s}_path' for s in parts
  }
  return found


def draw_rows(rng, names, least=0):
  return [
    {name: rng.choice([0, 1, None]) for name in names}
    for _ in range(rng.randint(least, 5))
  ]


def test_rows_stay_in_order_and_labels_go_by_their_names():
  rng = random.Random(0)
  for _ in range(60):
    parts, wanted, sizes = {}, [], []
    for split in SPLITS[: rng.randint(2, 3)]:
      names = [*'abc']
      rng.shuffle(names)
      rows = draw_rows(rng, names)
      parts[split] = make(names, rows, notes=('Note.', split))
      wanted += [(split, row) for row in rows]
      sizes.append(len(rows))
    found = stack(parts)
    assert found.label_names == parts['train'].label_names
    assert found.split.tolist() == [split for split, _ in wanted]
    for row, (_, cells) in enumerate(wanted):
      for k, name in enumerate(found.label_names):
        assert found.known[row, k] == (cells[name] is not None)
        assert found.labels[row, k] == (cells[name] or 0)
    assert found.ids.tolist() == [
      one for part in parts.values() for one in part.ids
    ]
    assert found.notes == ('Note.', *parts)
    assert [found.describe(k) for k in range(len(found))] == found.ids.tolist()
    assert found.files is None and found.features is None
    assert found.contents is None and found.counts is None


def test_a_name_that_one_table_lacks_is_absent_there():
  rng = random.Random(1)
  for _ in range(60):
    parts, wanted, total = {}, [], 0
    for split in SPLITS:
      names = rng.sample('abcd', rng.randint(1, 4))
      rows = [
        {name: rng.randint(0, 1) for name in names}
        for _ in range(rng.randint(1, 4))
      ]
      named = sum(sum(row.values()) for row in rows)
      counts = {
        'named': ('present', named),
        'not named': ('absent', len(rows) * len(names) - named),
      }
      parts[split] = make(names, rows, counts=counts)
      wanted, total = wanted + rows, total + named
    found = stack(parts)
    names = dict.fromkeys(n for p in parts.values() for n in p.label_names)
    assert found.label_names == tuple(names)
    assert found.known.all()
    np.testing.assert_array_equal(
      found.labels, [[row.get(name, 0) for name in names] for row in wanted]
    )
    assert found.counts == {
      'named': ('present', total),
      'not named': ('absent', found.labels.size - total),
    }


def test_columns_that_differ_are_told_by_name():
  rng = random.Random(2)
  for _ in range(20):
    one, other = (rng.sample('abcde', rng.randint(1, 4)) for _ in range(2))
    parts = {'train': make(one, [{}]), 'test': make(other, [{}])}
    if {*one} == {*other}:
      assert len(stack(parts)) == 2
      continue
    with pytest.raises(errors.UserError, match='other label columns') as told:
      stack(parts)
    message = str(told.value)
    assert message.startswith('test.csv and train.csv')
    for name in 'abcde':
      assert (repr(name) in message) == (name in {*one} ^ {*other})


def test_an_image_has_one_split():
  rng = random.Random(3)
  for _ in range(40):
    held = {
      s: [rng.choice(['', 'a', 'b', './a', 'c//d', 'c/d', 'e']) for _ in 'xy']
      for s in ('train', 'test')
    }
    parts = {
      s: make('l', [{}, {}], files=np.array(files), called=s)
      for s, files in held.items()
    }
    train, test = (
      {file.removeprefix('./').replace('//', '/') for file in files} - {''}
      for files in held.values()
    )
    if not train & test:
      assert stack(parts).files.tolist() == held['train'] + held['test']
      continue
    with pytest.raises(
      errors.UserError, match='An image has one split'
    ) as told:
      stack(parts)
    assert str(told.value).startswith('test')
    assert 'train.csv as well (train' in str(told.value)


def test_a_column_that_says_another_split_is_told():
  for split in SPLITS[1:]:
    for said in SPLITS:
      parts = {
        'train': make('l', [{}]),
        split: make('l', [{}], split=np.array([said])),
      }
      if said == split:
        assert stack(parts).split.tolist() == ['train', split]
        continue
      with pytest.raises(errors.UserError, match=f'{split}.csv: its rows are'):
        stack(parts)


def test_one_table_alone_is_as_it_was_read():
  part = make('ab', [{'a': 1}])
  for none in (None, {}):
    found = stacked.stack(lambda *_: part, 't.csv', 'data.path', none)
    assert found is part


def test_reasons_targets_and_contents_follow_their_rows():
  rng = random.Random(4)
  for _ in range(30):
    parts, reasons, classes, images = {}, [], [], []
    for split in SPLITS:
      rows = draw_rows(rng, 'l', least=1)
      why = [rng.choice(['', 'no image']) for _ in rows]
      mood = [rng.choice([-1, 0, 1]) for _ in rows]
      has = split != 'test'  # The last knows nothing of moods.
      held = {'mood': targets.of_codes(np.array(mood), ('sad', 'glad'))}
      bytes_of = [f'{split}{k}'.encode() for k in range(len(rows))]
      parts[split] = make(
        'l',
        rows,
        reasons=np.array(why),
        targets=held if has else {},
        contents=lambda rows, held=bytes_of: (held[k] for k in rows),
      )
      reasons += why
      classes += mood if has else [-1] * len(mood)
      images += bytes_of
    found = stack(parts)
    assert found.reasons.tolist() == reasons
    mood = found.targets['mood']
    assert np.where(mood.known, mood.values, -1).tolist() == classes
    some = sorted(rng.sample(range(len(images)), rng.randint(1, len(images))))
    assert [*found.contents(np.array(some))] == [images[k] for k in some]
