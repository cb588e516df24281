"""Aff-Wild2 with several tasks, on drawn trees."""

import collections
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import annotations
from aubal_jax.datasets.readers import aff_wild2
from aubal_jax.runs import errors
from tests.makers import aff_wild2_trees as trees

TASKS = ('labels', 'expression', 'valence_arousal')
KINDS = ('AUs', 'expressions', 'valence and arousal')
SEEDS = st.integers(0, 2**31)


def read_cells(found):
  """(task, id) -> what is annotated, of rows as read."""
  cells = {}
  for row, name in enumerate(found.ids.tolist()):
    if found.label_names and found.known[row].all():
      cells['labels', name] = tuple(found.labels[row].tolist())
    for task, target in found.targets.items():
      if target.rows_known[row]:
        cells[task, name] = target.values[row].tolist()
  return cells


def check_cells(found, expected):
  """Asserts that rows hold what is expected, numbers but for rounding."""
  cells = read_cells(found)
  assert {*cells} == {*expected}
  for key, value in expected.items():
    np.testing.assert_allclose(cells[key], value, atol=1e-6, err_msg=str(key))


@pytest.mark.parametrize('release', ['2020', '2022'])
@given(seed=SEEDS)
def test_tasks_are_joined_by_video_and_number(tmp_path_factory, release, seed):
  rng = np.random.default_rng(seed)
  folder = tmp_path_factory.mktemp('set')
  tree = trees.write(folder, release, rng)
  wanted = tuple(rng.permutation(TASKS)[: rng.integers(2, 4)])
  found = aff_wild2.read(folder, release, wanted)
  listed = {key: v for key, v in tree.listed.items() if key[0] in wanted}
  assert sorted(found.ids) == sorted({name for _, name in listed})
  check_cells(
    found, {key: v for key, v in tree.cells.items() if key[0] in wanted}
  )
  for row, name in enumerate(found.ids.tolist()):
    known = any((task, name) in tree.cells for task in wanted)
    expected = '' if name in tree.images else 'no image'
    assert found.reasons[row] == (expected if known else 'not annotated')
    assert (found.files[row] != '') == (name in tree.images)
    video, frame = name.split('/')
    assert found.groups[row] == re.sub('_(left|right)$', '', video)
    place = found.place(row)
    assert place.endswith(f'{video}.txt:{int(frame[:5]) + 1}'), place
    for task in wanted:
      splits = listed.get((task, name), {'dropped'})
      expected = 'validation' if 'validation' in splits else min(splits)
      assert found.splits[task][row] == expected
  for task in wanted:
    both = sum(len(v) == 2 for key, v in listed.items() if key[0] == task)
    told = f'{both} images are in both sets of the task {task}:'
    assert bool(both) == any(note.startswith(told) for note in found.notes)


@pytest.mark.parametrize('release', ['2020', '2022'])
@given(seed=SEEDS)
def test_one_task_alone_has_a_row_for_each_row(tmp_path_factory, release, seed):
  rng = np.random.default_rng(seed)
  folder = tmp_path_factory.mktemp('set')
  tree = trees.write(folder, release, rng, once=True)
  for task in TASKS:
    found = aff_wild2.read(folder, release, (task,))
    listed = {name: v for (t, name), v in tree.listed.items() if t == task}
    assert sorted(found.ids) == sorted(listed)
    assert found.splits == {}
    for name, split in zip(found.ids.tolist(), found.split, strict=True):
      assert {split} == listed[name]
    check_cells(
      found, {key: v for key, v in tree.cells.items() if key[0] == task}
    )


@given(seed=SEEDS)
def test_a_multi_task_file_has_all_of_a_row(tmp_path_factory, seed):
  rng = np.random.default_rng(seed)
  folder = tmp_path_factory.mktemp('set')
  tree, lines = trees.Tree(), {'train': [], 'validation': []}
  sizes = {video: int(rng.integers(1, 5)) for video in trees.VIDEOS}
  for number, (video, size) in enumerate(sizes.items()):
    split = 'train' if number % 2 else 'validation'
    for frame in rng.permutation(size) + 1:
      name = f'{video}/{frame:05d}.jpg'
      texts = {}
      for task in TASKS:
        value, texts[task] = trees.draw(task, '2022', rng)
        if value is not None:
          tree.cells[task, name] = value
      order = texts['valence_arousal'], texts['expression'], texts['labels']
      lines[split].append(','.join([name, *order]))
  for split, rows in lines.items():
    path = folder / f'MTL_Challenge/{split}_set.txt'
    path.parent.mkdir(exist_ok=True)
    rows = ['image,valence,arousal,expression,aus', *rows]
    path.write_text('\n'.join(rows))
  trees.write_images(folder, sizes, tree, rng)
  found = aff_wild2.read(folder, '2022', TASKS)
  check_cells(found, tree.cells)
  assert len(found) == sum(sizes.values())
  for task in TASKS:
    np.testing.assert_array_equal(found.splits[task], found.split)


def thinned(codes, steps):
  """Which of codes stay, frame by frame, as the published loops do it."""
  left = list(range(len(codes)))
  for code, step in steps:
    left = [
      k for at, k in enumerate(left) if codes[k] != code or at % step == 0
    ]
  return left


@given(seed=SEEDS)
def test_thinning_is_by_position_in_passes(tmp_path_factory, seed):
  rng = np.random.default_rng(seed)
  folder = tmp_path_factory.mktemp('set')
  tree = trees.write(folder, '2020', rng, once=True)
  whole = aff_wild2.read(folder, '2020', TASKS)
  found = aff_wild2.read(folder, '2020', TASKS, 'published')
  assert found.ids.tolist() == whole.ids.tolist()
  gone = set()
  for task, steps in (
    ('expression', ((0, 10), (4, 2), (5, 2))),
    ('valence_arousal', ((0, 5),)),
  ):
    names = sorted(
      (name.split('/')[0] + '.txt', name)
      for (t, name), splits in tree.listed.items()
      if t == task
      and splits == {'train'}
      and (t, name) in tree.cells
      and name in tree.images
    )
    names = [name for _, name in names]
    codes = [tree.cells[task, n] for n in names]
    if task == 'valence_arousal':
      codes = [0] * len(names)
    stay = {names[k] for k in thinned(codes, steps)}
    gone |= {(task, name) for name in {*names} - stay}
  left = {key: v for key, v in tree.cells.items() if key not in gone}
  check_cells(found, left)
  for row, name in enumerate(found.ids.tolist()):
    known = any((task, name) in left for task in TASKS)
    changed = not known and whole.reasons[row] == ''
    assert found.reasons[row] == ('thinned' if changed else whole.reasons[row])
    for task in TASKS:
      split = 'dropped' if (task, name) in gone else whole.splits[task][row]
      assert found.splits[task][row] == split


@pytest.mark.parametrize('overlap', ['keep', 'drop_train', 'drop_validation'])
@given(seed=SEEDS)
def test_what_validates_trains_nowhere_if_that_is_asked(
  tmp_path_factory, overlap, seed
):
  rng = np.random.default_rng(seed)
  folder = tmp_path_factory.mktemp('set')
  trees.write(folder, '2020', rng, once=True)
  found = aff_wild2.read(folder, '2020', TASKS)
  try:
    data = annotations.to_dataset(found, where='set', overlap=overlap)
  except errors.UserError as error:
    told = re.match(
      r"data\.overlap='drop_\w+' leaves the target '(\w+)'", str(error)
    )
    assert told or 'no row is left to train on' in str(error)
    return
  roles = collections.defaultdict(set)
  for task in TASKS:
    split = data.split_of(task)
    assert ((split == 'dropped') | (found.splits[task] == split)).all()
    for group, own in zip(data.groups, data.splits[task], strict=True):
      roles[group].add(own)
  mixed = {g for g, own in roles.items() if {'train', 'validation'} <= own}
  assert not mixed or overlap == 'keep'
  clean = [name for name, own in roles.items() if 'train' not in own]
  np.testing.assert_array_equal(data.clean(), np.isin(data.groups, clean))
  told = [note for note in data.notes if 'train in one task' in note]
  before = collections.defaultdict(set)
  for task in TASKS:
    for group, own in zip(found.groups, found.splits[task], strict=True):
      before[group].add((own, task))
  crossing = any(
    {'train', 'validation'} <= {own for own, _ in some}
    for some in before.values()
  )
  assert bool(told) == crossing


def test_a_file_of_another_task_is_told(tmp_path):
  rng = np.random.default_rng(0)
  texts = {}
  for task in TASKS:
    rows = [trees.draw(task, '2020', rng)[1] for _ in range(3)]
    texts[task] = '\n'.join([trees.header(task, '2020'), *rows])
  kinds = dict(zip(TASKS, KINDS, strict=True))
  for task in TASKS:
    for other in TASKS:
      path = tmp_path / 'v.txt'
      path.write_text(texts[other])
      if task == other:
        aff_wild2_rows.read(str(path), aff_wild2_rows.task(task, '2020'))
        continue
      message = rf'v\.txt:1: .*file of {kinds[other]}, .*one of {kinds[task]}:'
      with pytest.raises(errors.UserError, match=message):
        aff_wild2_rows.read(str(path), aff_wild2_rows.task(task, '2020'))


@pytest.mark.parametrize(
  ('task', 'row', 'message'),
  [
    (
      'expression',
      '7',
      r"v\.txt:3: the row is '7'\. A row has 1 cell, an .*6,",
    ),
    ('expression', 'Fear', r"v\.txt:3: .*'Fear'"),
    ('expression', '1,2', r"v\.txt:3: .*'1,2'"),
    ('valence_arousal', '0.1,1.01', r'v\.txt:3: .*2 cells .*\[-1, 1\], or -5'),
    ('valence_arousal', '0.1', r'v\.txt:3: '),
    ('valence_arousal', '-2,0', r'v\.txt:3: '),
    ('valence_arousal', 'nan,0', r'v\.txt:3: '),
  ],
)
def test_a_bad_value_names_its_line(tmp_path, task, row, message):
  good = {'expression': '0', 'valence_arousal': '0,0'}[task]
  path = tmp_path / 'v.txt'
  path.write_text('\n'.join([trees.header(task, '2020'), good, row, good]))
  with pytest.raises(errors.UserError, match=message):
    aff_wild2_rows.read(str(path), aff_wild2_rows.task(task, '2020'))


def test_expressions_of_another_year_are_told(tmp_path):
  path = tmp_path / 'v.txt'
  path.write_text(trees.header('expression', '2022') + '\n7\n')
  message = r'v\.txt:1: .*one expression more: set aff_wild2\.release'
  with pytest.raises(errors.UserError, match=message):
    aff_wild2_rows.read(str(path), aff_wild2_rows.task('expression', '2020'))
  rows = aff_wild2_rows.read(
    str(path), aff_wild2_rows.task('expression', '2022')
  )
  assert rows.values.tolist() == [7]


def test_the_other_code_for_none_is_counted(tmp_path):
  trees.write(tmp_path, '2020', np.random.default_rng(3))
  path = tmp_path / 'annotations/VA_Set/Training_Set/g.txt'
  path.write_text('valence,arousal\n-1,-1\n-1,-1\n-1,.5\n-5,-1\n')
  found = aff_wild2.read(tmp_path, '2020', ('valence_arousal',))
  assert sum('rows have a valence and arousal of -1' in n for n in found.notes)
  shutil.rmtree(tmp_path / 'annotations/VA_Set')
  with pytest.raises(FileNotFoundError, match='VA_Set'):
    aff_wild2.read(tmp_path, '2020', TASKS)
  with pytest.raises(errors.UserError, match='targets is empty'):
    aff_wild2.read(tmp_path, '2020', ())
