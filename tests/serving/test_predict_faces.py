"""Clips and images to a table of faces, by the command's own way."""

import csv
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.runs import errors
from aubal_jax.runs import preemption
from aubal_jax.scoring import thresholds
from aubal_jax.serving import face_rows
from aubal_jax.serving import predict_faces
from tests.makers import clips as clips_lib
from tests.makers import found_faces
from tests.makers import small_network
from tests.makers import targets as targets_lib
from tests.makers import trained_runs

NAMES = ('AU01', 'AU12')
OTHERS = {
  'expression': targets_lib.classes(('Neutral', 'Happiness')),
  'va': targets_lib.numbers(-1, 1, ('valence', 'arousal')),
}


# As two_streams makes them: 3 frames of 16 pixels, a second of sound.
SEEN = {
  'clip': (np.dtype(np.uint8), (3, 16, 16, 2)),
  'sound': (np.dtype(np.float32), (64, 101)),
}
MADE = {
  'clip': {'dilation': 2, 'dilation_seconds': 0.0, 'fps': 25.0},
  'sound': {'window': 'published', 'seconds': 1.0, 'shift': 0.5},
}


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """Two runs, and what they predict."""
  home = tmp_path_factory.mktemp('home')
  small = {'name': small_network.NAME}
  trained_runs.write(home / 'run', NAMES, others=OTHERS, **small)
  trained_runs.write(home / 'faces', NAMES, crop='mtcnn', **small)
  trained_runs.write(
    home / 'hears',
    NAMES,
    seen=SEEN,
    made=MADE,
    name=small_network.OF_CLIPS,
  )
  windows = {'heads': 'gru', 'window': 4}
  trained_runs.write(
    *(home / 'windows', NAMES), crop='mtcnn', multitask=windows, **small
  )
  (home / 'film').mkdir()
  for k in range(21):
    squares = [(8 + 2 * k, 10, 30, 200), (90, 50, 32, 150)]
    picture = found_faces.picture(squares[: 1 + (k % 7 > 2)])
    cv2.imwrite(str(home / f'film/{k:03d}.png'), picture)
  (home / 'images').mkdir()
  rng = np.random.default_rng(0)
  for k in range(11):
    squares = [(10, 10, 25, 120 + 9 * k)] * (k % 3 > 0)
    squares += [(60, 30, 20 + k, 240)] * (k % 4 > 0)
    picture = found_faces.picture(squares)
    picture += rng.integers(0, 15, picture.shape, np.uint8)
    cv2.imwrite(str(home / f'images/{k:02d}.png'), picture)
  (home / 'images/bad.jpg').write_bytes(b'no image')
  return home


@pytest.fixture(name='squares')
def fixture_squares(monkeypatch):
  with found_faces.installed(monkeypatch):
    yield


def config_of(*given, **changes):
  c = settings_lib.default()
  c.data.name, c.task = 'manifest', 'predict'
  c.predict.batch_size = 8
  c.predict.path, *more = map(str, given)
  c.predict.also = tuple(more)
  c.predict.update(changes)
  return c


def run(config, path, **options):
  commands.run_task(config, path, started=time.perf_counter(), **options)


def predict(home, out, *given, run_name='run', **changes):
  run(config_of(*given, out=str(out), **changes), home / run_name)
  return read(out)


def read(path):
  with open(path, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


def test_one_row_a_frame_and_what_is_said_of_each_target(
  home, tmp_path, capsys
):
  rows = predict(home, tmp_path / 'x.csv', home / 'film', fps=25)
  assert [row['frame'] for row in rows] == [str(k) for k in range(21)]
  assert {row['status'] for row in rows} == {'ok'}
  assert float(rows[20]['timestamp']) == 0.8
  assert {*rows[0]} > {'AU12_decision', 'expression_Happiness', 'valence'}
  told = capsys.readouterr().out
  assert '1 clip, with the best checkpoint' in told
  assert '21 rows of 21 frames and images, 21 of them ok' in told
  page = (tmp_path / 'x.csv.html').read_text()
  assert page.count('<svg') == 6 and '21 frames' in page
  assert not (tmp_path / 'x.csv.partial').exists()


def test_images_are_told_of_as_in_the_other_form(home, tmp_path, squares):
  """To the bit; the largest face is that of the other form."""
  for name in ('run', 'faces'):
    old = predict(home, tmp_path / f'{name}-old.csv', home / 'images',
      run_name=name)  # fmt: skip
    new = predict(home, tmp_path / f'{name}-new.csv', home / 'images',
      run_name=name, form='faces')  # fmt: skip
    assert [*old[0]][:2] == ['path', 'status']
    first = {row['file']: row for row in reversed(new)}
    assert len(first) == len(old) == 12
    for row in old:
      other = first[f'{home / "images"}/{row["path"]}']
      if row['path'] != 'bad.jpg':  # Where faces are cut out, it has none.
        assert other['status'] == row['status']
      for label in NAMES:
        assert other[label] == row[label]
        assert other[f'{label}_decision'] == row[f'{label}_decision']
    if name == 'faces':
      counts = [row['face'] for row in new if row['status'] == 'ok']
      assert counts.count('1') == 10 and counts.count('2') == 5


def test_which_form_is_written(home, tmp_path, monkeypatch):
  def form(*given, **changes):
    return predict_faces.form_of(config_of(*given, **changes))

  images = home / 'images'
  assert form('') == form(images) == form('t.csv') == 'images'
  assert form(images, images / '00.png') == 'faces'
  assert form('a.mp4') == form(images, fps=9) == form(images / '00.png')
  assert form('a.mp4') == form(images, out='x.parquet') == 'faces'
  assert form(images, form='pyfeat') == 'pyfeat'
  with pytest.raises(errors.UserError, match='takes one folder or table'):
    form(images, 'a.mp4', form='images')


@pytest.mark.parametrize(
  'name', [pytest.param('run', marks=pytest.mark.long), 'faces', 'windows']
)
def test_stopped_or_killed_anywhere_it_goes_on_to_the_same(
  home, tmp_path, monkeypatch, squares, name
):
  changes = {'fps': 25, 'detect_every': 4, 'run_name': name, 'smooth': 5}
  given = (home / 'film', home / 'film/007.png')
  straight = tmp_path / 'straight.csv'
  monkeypatch.setattr(face_rows, '_ROWS', 1)
  predict(home, straight, *given, **changes)
  out = tmp_path / 'x.csv'
  partial = tmp_path / 'x.csv.partial'
  stops = 0
  for _ in range(30):  # A signal after every line.
    with monkeypatch.context() as patch:
      patch.setattr(preemption, 'requested', lambda: True)
      patch.setattr(preemption, '_received', signal.SIGTERM)
      with pytest.raises(SystemExit):
        predict(home, out, *given, **changes)
    stops += 1
    if re.search(rb'"after":\[2,', partial.read_bytes()):
      break
    # A kill, in the middle of the line after it.
    with open(partial, 'ab') as file:
      file.write(b'{"rows":[[0,')
  assert stops > 2
  assert not out.exists()
  predict(home, out, *given, **changes)
  for suffix in ('', '.html'):
    one, other = (
      (tmp_path / f'{kind}.csv{suffix}').read_bytes()
      for kind in ('x', 'straight')
    )
    assert one == other
  assert not partial.exists()


def test_a_mean_over_frames_is_of_a_face_alone(home, tmp_path, squares):
  options = {'fps': 25, 'run_name': 'faces'}
  plain = predict(home, tmp_path / 'a.csv', home / 'film', smooth=0, **options)
  kept = predict(home, tmp_path / 'k.csv', home / 'film', **options)
  assert kept == plain  # Nothing is kept in this checkpoint.
  smooth = predict(home, tmp_path / 'b.csv', home / 'film', smooth=5, **options)
  value = {
    (row['face'], int(row['frame'])): float(row['AU01']) for row in plain
  }
  assert {face for face, _ in value} == {'1', '2'}
  for row in smooth:
    near = [
      value[row['face'], frame]
      for frame in range(int(row['frame']) - 2, int(row['frame']) + 3)
      if (row['face'], frame) in value
    ]
    assert float(row['AU01']) == pytest.approx(np.mean(near), abs=1e-6)
  with pytest.raises(errors.UserError, match=r'smooth must be odd.* 3 or 5'):
    predict(home, tmp_path / 'c.csv', home / 'film', smooth=4, **options)


def test_a_folder_of_clips_with_one_broken(home, tmp_path, capsys, squares):
  pytest.importorskip('av')
  (tmp_path / 'in').mkdir()
  squares = np.stack([found_faces.picture([(9, 9, 40, 200)])] * 6)
  clips_lib.write(tmp_path / 'in/a.mp4', squares)
  (tmp_path / 'in/b.mp4').write_bytes(b'no clip at all')
  clips_lib.write(tmp_path / 'in/c.mkv', squares[:, :, ::-1])
  dark = np.stack([found_faces.picture([])] * 4)
  clips_lib.write(tmp_path / 'in/dark.mkv', dark)
  out = tmp_path / 'x.csv'
  rows = predict(home, out, tmp_path / 'in', run_name='faces')
  statuses = [row['status'] for row in rows]
  assert statuses == [
    *['ok'] * 6,
    'unreadable: not a video',
    *['ok'] * 6,
    *['no face found'] * 4,
  ]
  told = capsys.readouterr().out
  assert '17 rows of 17 frames and images, 12 of them ok' in told
  assert '1 unreadable: not a video' in told and '4 no face found' in told
  for nothing in ('in/b.mp4', 'in/dark.mkv'):
    with pytest.raises(errors.UserError, match='Nothing was predicted'):
      predict(home, tmp_path / 'n.csv', tmp_path / nothing, run_name='faces')
    assert read(tmp_path / 'n.csv')
    for left in tmp_path.glob('n.csv*'):
      left.unlink()


def test_what_is_asked_for_in_vain_is_told_before_anything(home, tmp_path):
  out = tmp_path / 'x.csv'
  for changes, told in (
    ({'every': '0'}, 'predict.every'),
    ({'submission': 'aff_wild2'}, 'predict.submission'),
    ({'out': str(tmp_path / 'x.txt')}, '.csv or .parquet'),
  ):
    with pytest.raises(errors.UserError, match=told):
      run(
        config_of(home / 'film', **{'out': str(out), 'fps': 9, **changes}),
        home / 'run',
      )
  predict(home, out, home / 'film', fps=9)
  held = out.read_bytes()
  with pytest.raises(errors.UserError, match='of other fps'):
    predict(home, out, home / 'film', fps=10)
  assert out.read_bytes() == held
  predict(home, out, home / 'film', fps=9)  # Done before.
  config = config_of(home / 'film', out=str(out), fps=10)
  run(config, home / 'run', overwrite=True)
  assert out.read_bytes() != held


def test_the_same_faces_as_parquet_and_for_py_feat(home, tmp_path):
  from pyarrow import parquet

  out = tmp_path / 'x.parquet'
  run(config_of(home / 'film', out=str(out), fps=25), home / 'run')
  table = parquet.read_table(out)
  rows = predict(home, tmp_path / 'x.csv', home / 'film', fps=25)
  assert table.column_names == [*rows[0]]
  found = np.array(table.column('AU12'))
  np.testing.assert_array_equal(found, [np.float32(r['AU12']) for r in rows])
  rows = predict(home, tmp_path / 'f.csv', home / 'film', fps=25, form='pyfeat')
  assert [float(row['AU12']) for row in rows] == pytest.approx(found, abs=1e-6)
  assert {'input', 'FaceRectX', 'happiness', 'neutral'} < {*rows[0]}


def test_a_network_of_clips_and_sound(home, tmp_path, capsys):
  film = tmp_path / 'film'
  shutil.copytree(home / 'film', film)
  noise = 0.1 * np.random.default_rng(0).standard_normal(44100)
  quiet = predict(home, tmp_path / 'q.csv', film, fps=25, run_name='hears')
  assert {row['status'] for row in quiet} == {'no sound'}
  clips_lib.write_wav(film / 'a.wav', noise)
  rows = predict(home, tmp_path / 'x.csv', film, fps=25, run_name='hears')
  assert {row['status'] for row in rows} == {'ok'} and len(rows) == 21
  predict(home, tmp_path / 'x.csv', film, fps=25, run_name='hears')
  told = capsys.readouterr().out
  assert '21 no sound' in told and 'lines of landmarks' in told
  assert 'was done before' in told
  assert [row['AU01'] for row in rows] != [row['AU01'] for row in quiet]
  # What it says depends on what was before, not on what comes.
  (film / '020.png').unlink()
  (film / '000.png').write_bytes((film / '019.png').read_bytes())
  other = predict(home, tmp_path / 'o.csv', film, fps=25, run_name='hears')
  same = [k for k in range(20) if rows[k]['AU12'] == other[k]['AU12']]
  assert same == [k for k in range(20) if k not in (0, 2, 4)]
  sparse = predict(
    home, tmp_path / 's.csv', film, fps=25, every='4', run_name='hears'
  )
  assert sparse == other[::4]


def test_the_width_that_validation_chose_is_taken(home, tmp_path, capsys):
  kept = thresholds.Thresholds(np.full(2, 0.5), 0.5, np.ones(2, int), smooth=5)
  trained_runs.write(
    tmp_path / 'run', NAMES, found=kept, name=small_network.NAME
  )
  one = tmp_path / 'one.csv'
  run(config_of(home / 'film', out=str(one), fps=25), tmp_path / 'run')
  assert 'averaged over 5 frames' in capsys.readouterr().out
  other = tmp_path / 'other.csv'
  config = config_of(home / 'film', out=str(other), fps=25, smooth=5)
  run(config, tmp_path / 'run')
  assert one.read_bytes() == other.read_bytes()


@pytest.mark.long
def test_a_killed_process_goes_on_and_the_exit_status_tells(home, tmp_path):
  """By the command line; SIGKILL as soon as a line is there."""
  film = tmp_path / 'film'
  film.mkdir()
  for k in range(400):
    picture = found_faces.picture([(8 + k % 50, 10, 30, 100 + k % 150)])
    cv2.imwrite(str(film / f'{k:04d}.png'), picture)

  def start(out, *more, path=film):
    words = ['predict', str(home / 'run'), str(path), *more, '--fps=25']
    words += ['--batch_size=8', f'--out={out}', '--predict.form=faces']
    return subprocess.Popen([sys.executable, '-m', 'aubal_jax', *words])

  out, partial = tmp_path / 'x.csv', tmp_path / 'x.csv.partial'
  child = start(out)
  while not (partial.exists() and partial.stat().st_size):
    assert child.poll() is None
    time.sleep(0.01)
  child.kill()
  child.wait()
  assert not out.exists()
  assert start(out).wait() == 0
  assert start(tmp_path / 'y.csv', str(tmp_path / 'no.mp4')).wait() == 0
  lines = out.read_bytes().splitlines()
  assert len(lines) == 401
  assert (tmp_path / 'y.csv').read_bytes().splitlines()[:401] == lines
  assert start(tmp_path / 'z.csv', path=tmp_path / 'no.mp4').wait() == 2
  assert b'No such file' in (tmp_path / 'z.csv').read_bytes()
