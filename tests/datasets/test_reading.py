"""How a table is read: what is said of columns and cells reaches both."""

import random

from aubal_jax import settings
from aubal_jax.datasets import reading
from aubal_jax.tables.files import table


def test_its_fields_are_settings_with_their_defaults():
  data = settings.default().data
  for name, value in vars(reading.Reading()).items():
    if name in data:
      assert (
        tuple(value) == tuple(data[name])
        if (isinstance(value, (tuple, list)))
        else value == data[name]
      ), name


def test_special_columns_are_all_that_are_no_labels():
  rng = random.Random(0)
  names = ['path', 'split', 'group', 'frame', 'landmark']
  for _ in range(20):
    given = {f'{name}_column': rng.choice(['', name, 'x']) for name in names}
    assert reading.Reading(**given).special == tuple(given.values())


def test_codes_are_those_given():
  rng = random.Random(1)
  for _ in range(20):
    cells = rng.sample('abcdefgh', 6)
    given = cells[:2], cells[2:4], cells[4:]
    codes = reading.Reading(
      present_codes=given[0], absent_codes=given[1], unknown_codes=given[2]
    ).codes
    assert (codes.present, codes.absent, codes.unknown) == tuple(
      map(tuple, given)
    )


def test_targets_are_the_columns_named():
  rng = random.Random(2)
  for _ in range(20):
    size = rng.randint(2, 6)
    moods = [
      'sad',
      'glad',
      *(rng.choice(['sad', 'glad', '?']) for _ in range(size)),
    ]
    forces = [rng.choice(['0', '1', '.5', '?']) for _ in moods[1:]] + ['1']
    columns = {'mood': moods, 'force': forces, 'a': ['1'] * len(moods)}
    rows = table.Table(
      'x.csv',
      {name: table.column_of(cells) for name, cells in columns.items()},
      list(range(2, 2 + len(moods))),
      1,
    )
    how = reading.Reading(
      class_columns=['mood'], real_columns=['force:0:1'], target_unknown=['?']
    )
    assert how.target_names(columns) == ('mood', 'force')
    found = how.targets(rows)
    mood = found['mood']
    told = [
      mood.names[v] if k else '?'
      for v, k in zip(mood.values, mood.known, strict=True)
    ]
    assert told == moods
    assert found['force'].known[:, 0].tolist() == [f != '?' for f in forces]
