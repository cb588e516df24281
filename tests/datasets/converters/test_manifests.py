import pathlib
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from aubal_jax.datasets.converters import manifests
from tests.makers import fake_data

SCRIPT = pathlib.Path(__file__).parents[3] / 'scripts/to_manifest.py'


def test_raf_au_is_read_back(tmp_path):
  folder, out = fake_data.raf_au(tmp_path / 'RAF'), tmp_path / 'm.csv'
  notes = manifests.raf_au(folder, out)
  data = fake_data.load_manifest(out)
  assert data.label_names == tuple(
    f'AU{n:02d}' for n in (1, 4, 12, 19, 22, 24, 25, 26)
  )
  assert data.labels.tolist() == [
    [1, 1, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1, 0],
    [0, 0, 1, 1, 0, 1, 0, 0],
    [0, 0, 0, 0, 1, 0, 0, 1],
  ]
  assert data.known.all()
  assert data.ids[0] == 'RAF/aligned/0001_aligned.jpg'
  assert data.load_images([3])[0, 5, 5, 0] == 50
  assert '5 images of 6 rows' in notes[0]
  assert notes[1:] == ('Rows left out: 1 (no image).',)


def test_a_manifest_away_from_its_images(tmp_path):
  folder, out = fake_data.raf_au(tmp_path / 'RAF'), tmp_path / 'out/m.csv'
  *_, note = manifests.raf_au(folder, out)
  assert f'data.image_dir={str(folder)!r}' in note
  data = fake_data.load_manifest(out, image_dir=str(folder))
  assert data.ids[0] == 'aligned/0001_aligned.jpg'
  assert data.load_images([3])[0, 5, 5, 0] == 50


def test_raf_au_one_side_and_originals(tmp_path):
  folder, out = fake_data.raf_au(tmp_path), tmp_path / 'm.csv'
  manifests.raf_au(folder, out, images='original', one_sided='absent')
  data = fake_data.load_manifest(out)
  # L4 is one side, R12+L12 are both, T24 is one lip and no side; the 4 of the
  # last line keeps the column.
  of_label = dict(zip(data.label_names, data.labels.T.tolist(), strict=True))
  assert of_label['AU04'] == [0, 0, 0, 0, 0]
  assert of_label['AU12'] == [0, 0, 0, 1, 0]
  assert of_label['AU24'] == [0, 0, 0, 1, 0]
  assert data.ids[0] == 'original/0001.jpg'
  assert data.load_images([3])[0, 5, 5, 0] == 100


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('0001.jpg 1+2\n0002.jpg\n', r"label\.txt:2: '0002.jpg'\. A line is"),
    ('0001.jpg 1+X4\n', r"label\.txt:1: '0001.jpg 1\+X4'"),
    ('0001.jpg 1++4\n', r'label\.txt:1: '),
    ('0001.jpg 1 4\n', r"label\.txt:1: '0001.jpg 1 4'"),
    ('0001.jpg 0\n', r'label\.txt:1: '),
    ('0001.jpg 1\n\n0001.jpg 2\n', r'label\.txt:3: 0001.jpg a second time'),
    ('\n', r'label\.txt:1: no line'),
  ],
)
def test_raf_au_bad_lines_are_named(tmp_path, text, message):
  folder, out = fake_data.raf_au(tmp_path), tmp_path / 'm.csv'
  (folder / 'RAFAU_label.txt').write_text(text)
  with pytest.raises(ValueError, match=message):
    manifests.raf_au(folder, out)
  assert not out.exists()


def test_raf_au_what_is_wrong_is_named(tmp_path):
  folder, out = fake_data.raf_au(tmp_path / 'RAF'), tmp_path / 'm.csv'
  with pytest.raises(ValueError, match=r'images must be one of .*'):
    manifests.raf_au(folder, out, images='cropped')
  with pytest.raises(ValueError, match=r'one_sided must be one of'):
    manifests.raf_au(folder, out, one_sided='maybe')
  with pytest.raises(ValueError, match=r'name the \.csv file'):
    manifests.raf_au(folder, tmp_path)
  shutil.rmtree(folder / 'original')
  with pytest.raises(FileNotFoundError, match=r"original in it.*'aligned/'"):
    manifests.raf_au(folder, out, images='original')
  for path in (folder / 'aligned').iterdir():
    path.unlink()
  with pytest.raises(FileNotFoundError, match=r'of 6 rows none.*6 \(no image'):
    manifests.raf_au(folder, out)
  (folder / 'RAFAU_label.txt').unlink()
  with pytest.raises(FileNotFoundError, match=r'RAFAU_label\.txt in it'):
    manifests.raf_au(folder, out)
  assert not out.exists()


def test_fer_plus_is_read_back(tmp_path):
  folder, out = fake_data.fer_plus(tmp_path / 'FER'), tmp_path / 'm.csv'
  notes = manifests.fer_plus(folder, out)
  data = fake_data.load_manifest(out)
  assert data.label_names == manifests.EMOTIONS
  assert data.labels.tolist() == [
    [1, 0, 0, 0, 1, 1, 0, 0],
    [0, 1, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 1, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 1],
  ]
  assert data.split.tolist() == ['train', 'train', 'validation', 'test']
  # The second image is that of row 2: names are no numbers of rows.
  assert data.ids.tolist() == [
    f'fer2013/fer000000{n}.png' for n in (0, 1, 3, 5)
  ]
  assert data.load_images(range(4))[:, 0, 0, 0].tolist() == [10, 12, 14, 16]
  image = cv2.imread(str(tmp_path / data.ids[0]), cv2.IMREAD_UNCHANGED)
  np.testing.assert_array_equal(image, np.full((48, 48), 10, np.uint8))
  assert '4 images of 7 rows' in notes[0]
  assert notes[1] == (
    'Rows left out: 1 (no emotion has 2 votes), 2 (not a face).'
  )


def test_fer_plus_least_votes(tmp_path):
  folder, out = fake_data.fer_plus(tmp_path), tmp_path / 'm.csv'
  manifests.fer_plus(folder, out, min_votes=1)
  labels = fake_data.load_manifest(out).labels
  assert labels[0].tolist() == [1, 0, 0, 1, 1, 1, 0, 0]
  assert labels[3].tolist() == [1] * 8
  for votes in (0, 11, 2.5, '2'):
    with pytest.raises(ValueError, match='from 1 to 10'):
      manifests.fer_plus(folder, out, min_votes=votes)


def test_fer_plus_names_that_stand_twice(tmp_path):
  folder, out = fake_data.fer_plus(tmp_path), tmp_path / 'm.csv'
  edit(folder / 'fer2013new.csv', 'fer0000003', 'fer0000001')
  # Row 3, no face, takes no name from a row after it.
  edit(folder / 'fer2013new.csv', 'fer0000002', 'fer0000005')
  notes = manifests.fer_plus(folder, out)
  data = fake_data.load_manifest(out)
  assert data.ids.tolist() == [f'fer2013/fer000000{n}.png' for n in (0, 1, 5)]
  assert data.load_images(range(3))[:, 0, 0, 0].tolist() == [10, 12, 16]
  assert '1 (an image of an earlier row)' in notes[1]


def edit(path, old, new):
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new, 1))


def test_fer_plus_goes_on_where_it_was_stopped(tmp_path):
  folder, out = fake_data.fer_plus(tmp_path), tmp_path / 'm.csv'
  manifests.fer_plus(folder, out)
  paths = sorted((tmp_path / 'fer2013').iterdir())
  contents = [path.read_bytes() for path in paths]
  paths[0].unlink()
  paths[1].write_bytes(contents[1][:40])
  before = [path.stat().st_ino for path in paths[2:]]
  manifests.fer_plus(folder, out)
  assert [path.read_bytes() for path in paths] == contents
  assert [path.stat().st_ino for path in paths[2:]] == before


def test_fer_plus_takes_images_that_are_there(tmp_path):
  folder, out = fake_data.fer_plus(tmp_path), tmp_path / 'm.csv'
  (folder / 'fer2013.csv').unlink()
  with pytest.raises(FileNotFoundError, match=r'no image such as fer0000005'):
    manifests.fer_plus(folder, out)
  for n in (0, 1, 3):
    fake_data.write_image(folder / f'FER2013Train/fer{n:07d}.png', 40 * n, 48)
  notes = manifests.fer_plus(folder, out)
  data = fake_data.load_manifest(out)
  assert data.load_images(range(3))[:, 0, 0, 0].tolist() == [0, 40, 120]
  assert '1 (no image)' in notes[1]
  fake_data.write_image(folder / 'FER2013Train/fer0000006.png', 10, 48)
  with pytest.raises(ValueError, match=r'numbered by rows'):
    manifests.fer_plus(folder, out)


@pytest.mark.parametrize(
  ('name', 'old', 'new', 'message'),
  [
    ('fer2013new.csv', ',NF', ',N', r"csv:1: there is no column 'NF'"),
    ('fer2013new.csv', ',4,', ',11,', r"csv:2: column 'neutral' holds '11'"),
    (
      'fer2013new.csv',
      'Training',
      'Test',
      r"csv:2: column 'Usage' holds 'Test'",
    ),
    ('fer2013.csv', 'pixels', 'x', r"2013\.csv:1: the columns are 'emotion'"),
    ('fer2013.csv', '12 12', '12 256', r"2013\.csv:4: pixels '12 256 12"),
    ('fer2013.csv', '12 12', '12', r'2013\.csv:4: pixels'),
    ('fer2013.csv', '12 12', '12 x', r'2013\.csv:4: pixels'),
    ('fer2013.csv', ',PublicTest', '', r"csv:5: this row is '', and line 5 of"),
    ('fer2013.csv', 'PublicTest', 'Training', r"is 'Training', and line 5 of"),
  ],
)
def test_fer_plus_bad_rows_are_named(tmp_path, name, old, new, message):
  folder, out = fake_data.fer_plus(tmp_path), tmp_path / 'm.csv'
  edit(folder / name, old, new)
  with pytest.raises(ValueError, match=message):
    manifests.fer_plus(folder, out)
  assert not out.exists()


def test_fer_plus_tables_of_unequal_length(tmp_path):
  folder, out = fake_data.fer_plus(tmp_path), tmp_path / 'm.csv'
  path = folder / 'fer2013.csv'
  lines = path.read_text().splitlines()
  path.write_text('\n'.join([*lines, lines[-1]]))
  with pytest.raises(ValueError, match=r'csv:9: .*the other has 7 rows only'):
    manifests.fer_plus(folder, out)
  path.write_text('\n'.join(lines[:-1]))
  with pytest.raises(ValueError, match=r'has 6 rows, and fer2013new.csv has 7'):
    manifests.fer_plus(folder, out)


def test_the_command(tmp_path):
  folder = fake_data.raf_au(tmp_path)
  command = [sys.executable, SCRIPT, 'raf_au', '--one_sided=absent']
  done = subprocess.run(
    [*command, f'--folder={folder}', f'--out={tmp_path / "m.csv"}'],
    capture_output=True,
    text=True,
    check=True,
  )
  assert '5 images of 6 rows' in done.stdout
  assert (tmp_path / 'm.csv').is_file()
  done = subprocess.run(
    [*command, f'--folder={folder / "no"}', f'--out={tmp_path / "m.csv"}'],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert done.stderr.startswith('Error: ')
  assert 'does not exist' in done.stderr
