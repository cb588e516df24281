import unicodedata

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from aubal_jax.datasets import manifest
from aubal_jax.datasets import splits
from aubal_jax.media import images
from tests.makers import fake_data

PIXELS = images.Pixels(8)


def image(folder, name, value=100):
  path = folder / name
  path.parent.mkdir(parents=True, exist_ok=True)
  assert cv2.imwrite(str(path), np.full((9, 9), value, np.uint8))
  return path


def write(folder, *lines, images=True):
  """Writes a table and, in grey levels 10, 20, ..., the images it names."""
  path = folder / 't.csv'
  path.write_text('\n'.join(lines) + '\n')
  if images:
    for number, line in enumerate(lines[1:], 1):
      image(folder, line.split(',')[0], 10 * number)
  return path


def load(path, **options):
  return fake_data.load_manifest(path, **{'pixels': PIXELS} | options)


def test_reads_labels_splits_groups_and_images(tmp_path):
  path = write(
    tmp_path,
    'path,subject,split,AU01,AU02',
    'i/a.png,S1,train,1,0',
    'i/b.png,S1,Training,0,1',
    'i/c.png,S2,val,9,1',
    'd.png,S3,test,0,',
  )
  data = load(path)
  assert data.label_names == ('AU01', 'AU02')
  assert data.labels.tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]
  assert data.known.tolist() == [[1, 1], [1, 1], [0, 1], [1, 0]]
  assert data.split.tolist() == ['train', 'train', 'validation', 'test']
  assert data.ids.tolist() == ['i/a.png', 'i/b.png', 'i/c.png', 'd.png']
  assert data.groups.tolist() == ['S1', 'S1', 'S2', 'S3']
  assert data.notes == ()
  made = data.load_images(np.array([3, 0, 3]))
  assert made.shape == (3, 8, 8, 1)
  assert made[:, 4, 4, 0].tolist() == [40, 10, 40]
  wide = images.Pixels(5, 3, 'pad')
  assert load(path, pixels=wide).load_images([1]).shape == (1, 5, 5, 3)


def test_paths_stay_in_the_folder_of_images(tmp_path):
  far = image(tmp_path, 'images/far/a.png', 10)
  image(tmp_path, 'images/b c.png', 20)
  table = tmp_path / 'table'
  table.mkdir()
  lines = ('path,split,x', f'{far},train,1', 'far/../b c.png,train,1')
  path = write(table, *lines, images=False)
  data = load(path, image_dir=str(tmp_path / 'images'))
  made = data.load_images(np.arange(2))
  assert made[:, 0, 0, 0].tolist() == [10, 20]
  assert data.ids.tolist() == [str(far), 'far/../b c.png']


@pytest.mark.parametrize(
  'cell', ['../up.png', 'a/../../up.png', '/etc/passwd', '..\\up.png', '{up}']
)
@pytest.mark.parametrize('unreadable', ['error', 'drop'])
def test_paths_that_leave_the_folder(tmp_path, cell, unreadable):
  up = image(tmp_path, 'up.png', 20)
  (tmp_path / 'table').mkdir()
  cell = cell.format(up=up)
  lines = ('path,x', 'a.png,1', f'{cell},1')
  path = write(tmp_path / 'table', *lines, images=False)
  with pytest.raises(ValueError, match=r't\.csv:3: column .path. holds') as no:
    load(path, unreadable=unreadable)
  assert f'which leaves {tmp_path / "table"}. Image paths are' in str(no.value)
  assert 'Set data.image_dir to the folder that holds all' in str(no.value)


def test_a_name_that_begins_with_dots_stays(tmp_path):
  path = write(tmp_path, 'path,split,x', '..a/..b.png,train,1')
  assert load(path).num_rows()['train'] == 1


def test_links_are_followed_and_loops_are_no_images(tmp_path):
  image(tmp_path, 'elsewhere/a.png', 30)
  table = tmp_path / 'table'
  table.mkdir()
  try:
    (table / 'linked').symlink_to(tmp_path / 'elsewhere')
    (table / 'a.png').symlink_to(tmp_path / 'elsewhere/a.png')
    (table / 'loop.png').symlink_to(table / 'loop.png')
  except OSError:
    pytest.skip('no links here')
  lines = ['linked/a.png,train,1', 'a.png,train,1', 'loop.png,train,1']
  path = write(table, 'path,split,x', *lines, images=False)
  data = load(path, unreadable='drop')
  assert data.reasons.tolist() == ['', '', 'no image file']
  assert data.load_images(np.arange(2))[:, 0, 0, 0].tolist() == [30, 30]


@pytest.mark.parametrize('listed', [1, 10**6])
def test_listing_a_folder_and_asking_for_each_file_agree(
  tmp_path, monkeypatch, listed
):
  monkeypatch.setattr(manifest, 'LISTED', listed)
  path = write(
    tmp_path, 'path,split,x', *(f'i/{n}.png,train,1' for n in range(6))
  )
  (tmp_path / 'i/0.png').unlink()
  (tmp_path / 'i/1.png').unlink()
  (tmp_path / 'i/1.png').mkdir()
  (tmp_path / 'i/2.png').unlink()
  (tmp_path / 'i/2.png').symlink_to(tmp_path / 'i/3.png')
  with open(path, 'a') as file:
    file.write('gone/0.png,train,1\nnul\0/0.png,train,1\n')
  data = load(path, unreadable='drop')
  found = [reason == '' for reason in data.reasons]
  assert found == [False, False, True, True, True, True, False, False]


def test_draws_splits_by_group(tmp_path):
  lines = [f'{n}.png,S{n % 5},{n % 2}' for n in range(20)]
  path = write(tmp_path, 'path,subject,x', *lines)

  def drawn(seed=0):
    return load(path, draw=splits.Draw(0.2, 0.4, seed=seed))

  data = drawn()
  for split, groups in (('validation', 1), ('test', 2), ('train', 2)):
    assert len(set(data.groups[data.rows(split)])) == groups
    assert len(data.rows(split)) == 4 * groups
  assert data.notes == (
    'No split column: drew validation and test by group, evenly in the '
    'labels, with seed 0.',
  )
  np.testing.assert_array_equal(drawn().split, data.split)
  others = [drawn(seed).split for seed in range(1, 4)]
  assert any((other != data.split).any() for other in others)


def test_splits_of_the_table_can_be_set_aside(tmp_path):
  lines = [f'{n}.png,train,1' for n in range(10)]
  path = write(tmp_path, 'path,split,x', *lines)
  data = load(path, split_column='', label_columns=('x',))
  assert data.num_rows()['test'] == 2  # round(10 * 0.15)
  assert 'by row' in data.notes[0]


def test_notes_on_what_is_odd(tmp_path):
  path = write(
    tmp_path,
    'path,subject,split,a,b',
    '1.png,S1,train,0,',
    '2.png,S1,test,1,',
  )
  notes = load(path).notes
  assert all(note.startswith('Warning: ') for note in notes)
  crossing, empty, unknown, absent = notes
  assert '1 of 1 groups have rows in more than one split' in crossing
  assert "'validation'" in empty
  assert "data.split_column=''" in empty
  assert unknown == 'Warning: 1 of 2 labels is unknown in every row: b.'
  assert absent == 'Warning: 1 of 2 labels is never 1 in the training split: a.'


@pytest.mark.parametrize(
  ('lines', 'options', 'message'),
  [
    (
      ('path,x', '1.png,0', '2.png,yes'),
      {},
      r"t\.csv:3: column 'x' holds 'yes'\. .*data\.unknown_codes",
    ),
    (
      ('path,x', '1.png,0', '2.png,0', '1.png,1', './2.png,0'),
      {},
      r"t\.csv:4: column 'path' holds '1\.png' as line 2 does; line 5: column "
      r"'path' holds '\./2\.png' as line 3 does \(2 in all\)\. .*remove one",
    ),
    (
      ('file,x', '1.png,0'),
      {},
      r"t\.csv:1: .*no column 'path'; .*'file', 'x'.*data\.path_column",
    ),
    (
      ('path,split,x', '1.png,test,0'),
      {},
      r't\.csv: no row is left to train on.*data\.split_column',
    ),
    (
      ('path,split,x', '1.png,train,0', '2.png,fold1,0'),
      {},
      r"t\.csv:3: column 'split' holds 'fold1'.*data\.split_column=''",
    ),
    (
      ('path,subject,x', '1.png,S1,0', '2.png,S2,1'),
      {},
      r'2 groups cannot be split.*Lower the fractions',
    ),
    (
      ('path,person,x', '1.png,S1,0'),
      {},
      r"t\.csv:2: column 'person' holds 'S1'.*data\.exclude_columns",
    ),
  ],
)
def test_bad_tables(tmp_path, lines, options, message):
  with pytest.raises(ValueError, match=message):
    load(write(tmp_path, *lines), **options)


def test_parquet(tmp_path):
  for name in 'abc':
    image(tmp_path, f'{name}.png', 10)
  columns = {'path': ['a.png', 'b.png', 'c.png'], 'x': [1, 0, None]}
  columns['split'] = ['train', 'val', 'test']
  path = tmp_path / 't.parquet'
  parquet.write_table(pa.table(columns), path)
  data = load(path)
  assert data.known.ravel().tolist() == [True, True, False]
  assert data.describe(1) == (
    f'{path}: row 1 (counted from 0): {tmp_path / "b.png"}'
  )
  (tmp_path / 'b.png').unlink()
  message = r"t\.parquet: row 1 \(counted from 0\): no image file 'b\.png'\. P"
  with pytest.raises(ValueError, match=message):
    load(path)


def test_other_formats_are_pointed_to_the_labels_reader(tmp_path):
  path = tmp_path / 't.npz'
  np.savez(path, labels=np.eye(3))
  message = r"read from \.csv, .*, not from '\.npz'.*data\.name='labels'"
  with pytest.raises(ValueError, match=message):
    load(path)


def test_splits_and_groups_set_aside_are_no_labels(tmp_path):
  lines = [f'{n}.png,train,S{n % 2},1' for n in range(10)]
  path = write(tmp_path, 'path,split,subject,x', *lines)
  data = load(path, split_column='', group_column='')
  assert data.label_names == ('x',)
  assert data.num_rows()['test'] == 2
  assert 'by row' in data.notes[0]


def test_rows_without_a_group_are_drawn_one_by_one(tmp_path):
  lines = [f'{n}.png,{"S" if n < 5 else ""},1' for n in range(25)]
  data = load(write(tmp_path, 'path,subject,x', *lines))
  assert len(set(data.groups.tolist())) == 21
  assert len(set(data.split[:5].tolist())) == 1
  assert len(set(data.split[5:].tolist())) == 3
  assert "20 of 25 rows have a blank 'subject'" in data.notes[0]
  assert not data.notes[0].startswith('Warning')


def test_blank_path(tmp_path):
  path = write(tmp_path, 'path,x', ',0', images=False)
  with pytest.raises(
    ValueError, match=r"t\.csv:2: column 'path' is bl.*add it"
  ):
    load(path)


def test_missing_table(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'none\.csv.*data\.path'):
    load(tmp_path / 'none.csv')


def test_missing_images(tmp_path):
  lines = [f'i/{n}.png,train,1' for n in range(9)]
  path = write(tmp_path, 'path,split,x', *lines)
  for n in range(1, 8):
    (tmp_path / f'i/{n}.png').unlink()
  (tmp_path / 'i/1.png').mkdir()  # A folder is no image file.
  with pytest.raises(
    ValueError, match=r"t\.csv:3: no image file 'i/1\.p"
  ) as no:
    load(path)
  assert "line 7: no image file 'i/5.png'; ... (7 in all)" in str(no.value)
  assert f'relative to {str(tmp_path)!r}.' in str(no.value)
  assert "data.unreadable='drop'" in str(no.value)


def test_paths_with_the_other_slash(tmp_path):
  image(tmp_path, 'i/a.png', 10)
  image(tmp_path, 'i/b.png', 20)
  lines = ['i\\a.png,train,1', 'i/b.png,train,1']
  path = write(tmp_path, 'path,split,x', *lines, images=False)
  data = load(path)
  assert data.load_images(np.arange(2))[:, 0, 0, 0].tolist() == [10, 20]
  assert data.ids[0] == 'i\\a.png'
  lines.append('i/a.png,train,1')
  path = write(tmp_path, 'path,split,x', *lines, images=False)
  with pytest.raises(ValueError, match=r't\.csv:4: .*as line 2 does'):
    load(path)


@pytest.mark.parametrize(
  ('of_file', 'of_table'), [('NFC', 'NFD'), ('NFD', 'NFC')]
)
def test_umlauts_composed_or_not(tmp_path, of_file, of_table):
  name = 'Müller/Größe 1.png'
  image(tmp_path, unicodedata.normalize(of_file, name), 10)
  cell = unicodedata.normalize(of_table, name)
  path = tmp_path / 't.csv'
  path.write_text(f'path,split,x\n{cell},train,1\n', encoding='utf-8')
  assert load(path).load_images([0])[0, 0, 0, 0] == 10
  cell = cell.replace('/', '\\')
  path.write_text(f'path,split,x\n{cell},train,1\n', encoding='utf-8')
  assert load(path).load_images([0])[0, 0, 0, 0] == 10


def test_a_line_end_in_a_path(tmp_path):
  path = tmp_path / 't.csv'
  path.write_text('path,split,x\n"a\nb.png",train,1\nc.png,train,1\n')
  image(tmp_path, 'a\nb.png', 10)
  with pytest.raises(ValueError, match=r"t\.csv:4: no image file 'c\.png'"):
    load(path)
  image(tmp_path, 'c.png', 20)
  assert load(path).load_images([0, 1])[:, 0, 0, 0].tolist() == [10, 20]


def test_missing_images_of_another_folder(tmp_path):
  path = write(tmp_path, 'path,split,x', 'a.png,train,1')
  folder = tmp_path / 'images'
  for unreadable in ('error', 'drop'):  # Not a row lost after the other.
    with pytest.raises(FileNotFoundError, match='no such folder'):
      load(path, image_dir=str(folder), unreadable=unreadable)
  folder.mkdir()
  with pytest.raises(ValueError, match='no image file') as no:
    load(path, image_dir=str(folder))
  assert f'relative to {str(folder)!r}. Correct them' in str(no.value)


def test_unreadable_images_are_an_error_when_read(tmp_path):
  lines = [f'{name}.png,train,1' for name in 'abc']
  path = write(tmp_path, 'path,split,x', *lines)
  (tmp_path / 'b.png').write_bytes(b'no image')
  data = load(path)
  assert len(data.load_images(np.array([0, 2]))) == 2
  message = (
    r'Cannot read 1 of 2 images: .*t\.csv:3: .*b\.png: not an image .*'
    r"data\.unreadable='drop'"
  )
  with pytest.raises(ValueError, match=message):
    data.load_images(np.array([2, 1]))


def test_missing_images_are_dropped_and_counted(tmp_path):
  lines = [f'{name}.png,{name in "abc"},1,0' for name in 'abcde']
  lines = [line.replace('True', 'train') for line in lines]
  lines = [line.replace('False', 'test') for line in lines]
  path = write(tmp_path, 'path,split,x,y', *lines)
  (tmp_path / 'b.png').unlink()
  (tmp_path / 'd.png').unlink()
  data = load(path, unreadable='drop')
  assert data.split.tolist() == ['train', 'dropped', 'train', 'dropped', 'test']
  assert data.reasons.tolist() == ['', 'no image file', '', 'no image file', '']
  assert data.drops() == {'no image file': 2}
  assert data.files[1] == str(tmp_path / 'b.png')
  missing, empty, constant, absent = data.notes
  assert missing == (f'Dropped 2 of 5 rows: no image file (first {path}:3).')
  assert "'validation'" in empty
  assert constant.endswith('never known to be 0: x.')
  assert absent.endswith('never 1 in the training split: y.')
  rows = np.flatnonzero(data.split != 'dropped')
  assert data.load_images(rows)[:, 0, 0, 0].tolist() == [10, 30, 50]


def test_a_dropped_row_does_not_make_a_group_cross(tmp_path):
  path = write(
    tmp_path, 'path,subject,split,x', 'a.png,S,train,1', 'b.png,S,test,1'
  )
  assert 'more than one split' in load(path).notes[0]
  (tmp_path / 'b.png').unlink()
  notes = load(path, unreadable='drop').notes
  assert not any('more than one split' in note for note in notes)


def test_nothing_left_to_train_on(tmp_path):
  path = write(tmp_path, 'path,split,x', 'a.png,train,1', images=False)
  message = r"t\.csv:2: no image file 'a\.png'\. Paths are relative to '"
  with pytest.raises(ValueError, match=message):
    load(path, unreadable='drop')


def test_dropping_does_not_change_the_other_splits(tmp_path):
  lines = [f'{n}.png,1' for n in range(20)]
  path = write(tmp_path, 'path,x', *lines)
  whole = load(path).split
  (tmp_path / '7.png').unlink()
  data = load(path, unreadable='drop')
  assert data.split[7] == 'dropped'
  np.testing.assert_array_equal(np.delete(data.split, 7), np.delete(whole, 7))
