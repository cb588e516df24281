"""New images to predictions.csv: every file has a row, every row is right."""

import csv
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import cv2
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet
from sklearn import metrics as sk_metrics

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.media import crop
from aubal_jax.media import images as images_lib
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.runs import workdir
from aubal_jax.scoring import thresholds
from aubal_jax.serving import predictions
from aubal_jax.serving import sources
from tests.makers import damage as damage_lib
from tests.makers import small_network

LABELS = ('bright', 'edge, "half"')


def write_table(folder, num_images=48, size=20, labels=LABELS):
  """Images whose labels can be seen, in three splits."""
  rng = np.random.default_rng(0)
  (folder / 'images').mkdir(parents=True)
  with open(folder / 'table.csv', 'w', newline='') as file:
    table = csv.writer(file)
    table.writerow(['path', 'split', *labels])
    for i in range(num_images):
      bright, edge = rng.random(2) < [0.5, 0.3]
      image = rng.integers(0, 80, (size, size), np.uint8) + 100 * bright
      image[:, size // 2 :] += np.uint8(70 * edge)
      cv2.imwrite(str(folder / f'images/{i}.png'), image.astype(np.uint8))
      split = ('train', 'validation', 'test')[i % 3]
      table.writerow([f'images/{i}.png', split, int(bright), int(edge)])
  return folder / 'table.csv'


def run(config, path, task, **options):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return pathlib.Path(path)


@pytest.fixture(name='trained', scope='module')
def fixture_trained(tmp_path_factory):
  """The configuration of a run, and its folder."""
  folder = tmp_path_factory.mktemp('trained')
  c = settings_lib.default()
  c.data.name = 'manifest'
  c.data.path = str(write_table(folder / 'data'))
  c.data.image_size = 16
  c.balance.method = 'none'
  c.model.name = small_network.NAME
  c.train.batch_size = 8
  c.train.num_steps = 6
  c.train.eval_every_steps = 3
  c.evaluate.batch_size = c.predict.batch_size = 8
  return c, run(c, folder / 'run', 'run')


@pytest.fixture(name='config')
def fixture_config(trained):
  """Any configuration: what the network needs is not in it."""
  c = settings_lib.default()
  c.predict.batch_size = trained[0].predict.batch_size
  return c


@pytest.fixture(name='home')
def fixture_home(trained, tmp_path):
  """A folder with a copy of the checkpoints, and nothing else."""
  shutil.copytree(trained[1] / 'checkpoints', tmp_path / 'home/checkpoints')
  return tmp_path / 'home'


def read_rows(path):
  with open(path, newline='', encoding='utf-8', errors='surrogateescape') as f:
    return list(csv.DictReader(f))


def columns(rows, suffix=''):
  return np.array([[float(row[n + suffix]) for n in LABELS] for row in rows])


@pytest.mark.parametrize('kind', ['shrunk', 'tuned'])
def test_a_split_scores_as_the_report_says(trained, home, kind):
  config, path = trained
  config = config.copy_and_resolve_references()
  assert config.predict.thresholds == 'shrunk'
  config.predict.thresholds = kind
  config.data.image_size, config.data.channels = 40, 3  # They have no say.
  run(config, home, 'predict')
  with open(config.data.path, newline='') as file:
    truth = [row for row in csv.DictReader(file) if row['split'] == 'test']
  rows = read_rows(home / 'predictions.csv')
  assert [row['path'] for row in rows] == [row['path'] for row in truth]
  label, probability = columns(truth), columns(rows)
  decision = probability >= columns(rows, '_threshold')
  np.testing.assert_array_equal(decision, columns(rows, '_decision'))
  report = files.read_json(path / 'report.json')
  for entry, found in (
    (report, probability >= 0.5),
    (report[kind], decision),
  ):
    wanted = sk_metrics.f1_score(label, found, average='macro', zero_division=0)
    assert entry['f1_macro'] == round(wanted, 6)
  for name, threshold in zip(
    LABELS, columns(rows, '_threshold')[0], strict=True
  ):
    kept = report['per_label'][name][kind]['threshold']
    assert kept == float(f'{threshold:.9g}')


def test_without_images_it_is_a_split_of_the_data_set_of_the_run(trained, home):
  shutil.copy(trained[1] / 'config.json', home)
  for split in ('train', 'test'):
    named = trained[0].copy_and_resolve_references()
    unnamed = settings_lib.default()
    unnamed.data.name = 'manifest'  # As of `aubal_jax predict RUN`.
    unnamed.predict.batch_size = named.predict.batch_size
    named.predict.split = unnamed.predict.split = split
    run(unnamed, home, 'predict', overwrite=True)
    content = (home / 'predictions.csv').read_bytes()
    run(named, home, 'predict', overwrite=True)
    assert (home / 'predictions.csv').read_bytes() == content
    assert content.count(b'ok,') == 16
  (home / 'config.json').unlink()
  with pytest.raises(ValueError, match=r'predict .*home IMAGES, a folder or'):
    run(unnamed, home, 'predict')


def test_predictions_go_to_the_file_that_is_named(
  config, home, tmp_path, monkeypatch, capsys
):
  config.predict.path = str(write_table(tmp_path / 'new', 30).parent)
  run(config, home, 'predict')
  straight = (home / 'predictions.csv').read_bytes()
  workdir.clear(home, workdir.PREDICTIONS)
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'to').mkdir()
  for n, name in enumerate(('x.csv', 'to/a b.y.CSV')):
    out = tmp_path / name
    beside = out.with_suffix('.json')
    beside.write_text('of somebody else')
    config.predict.out = name if n else str(out)
    stops = iter([*[False] * n, *[True] * 9]).__next__
    with monkeypatch.context() as patch:
      patch.setattr(preemption, 'requested', stops)
      patch.setattr(preemption, '_received', signal.SIGTERM)
      with pytest.raises(SystemExit):
        run(config, home, 'predict')
    assert not out.exists()
    run(config, home, 'predict')
    assert out.read_bytes() == straight
    assert beside.read_text() == 'of somebody else'
    assert f'written to {config.predict.out}' in capsys.readouterr().out
    out.write_text('mine')
    record = out.with_name(f'{out.name}.json')
    record.unlink()
    with pytest.raises(ValueError, match='holds predictions of nobody knows'):
      run(config, home, 'predict')
    assert out.read_text() == 'mine'
    run(config, home, 'predict', overwrite=True)
    assert out.read_bytes() == straight
  assert [p.name for p in home.iterdir()] == ['checkpoints']
  held = {p.name for p in (tmp_path / 'to').iterdir()}
  assert held == {'a b.y.CSV', 'a b.y.CSV.json', 'a b.y.json'}


@pytest.mark.parametrize(
  ('out', 'words'),
  [
    ('x.txt', ['predict.out=x.txt', 'x.csv']),
    ('csv', ['a .csv']),
    ('.', ['a .csv']),
    ('no/x.csv', ['there is no folder no']),
    ('folder.csv', ['that is a folder']),
    ('new/table.csv', ['that is predict.path']),
    ('new/../new/table.csv', ['that is predict.path']),
    ('new/table.csv/x.csv', ['there is no folder new/table.csv']),
    ('closed/x.csv', ['closed cannot be written to']),
  ],
)
def test_what_is_no_file_for_predictions_is_told(
  config, home, tmp_path, monkeypatch, out, words
):
  monkeypatch.chdir(tmp_path)
  config.predict.path = str(write_table(tmp_path / 'new', 2))
  table = (tmp_path / 'new/table.csv').read_bytes()
  (tmp_path / 'folder.csv').mkdir()
  (tmp_path / 'closed').mkdir()
  monkeypatch.setattr(os, 'access', lambda path, _: path.name != 'closed')
  before = sorted(tmp_path.rglob('*'))
  config.predict.out = out
  with pytest.raises(ValueError) as caught:
    run(config, home, 'predict', overwrite=True)
  for word in words:
    assert word in str(caught.value)
  assert sorted(tmp_path.rglob('*')) == before
  assert (tmp_path / 'new/table.csv').read_bytes() == table


def test_the_usual_file_may_be_named(config, home, tmp_path):
  config.predict.path = str(write_table(tmp_path / 'new', 2).parent)
  config.predict.out = str(home / '../home/predictions.csv')
  run(config, home, 'predict')
  assert {p.name for p in home.iterdir()} == {
    *('checkpoints', 'predictions.csv', 'predictions.json')
  }


def test_thresholds_live_with_their_checkpoint_not_in_the_log(trained):
  path = trained[1]
  assert 'thresholds' not in (path / 'metrics.jsonl').read_text()
  newest = path / 'checkpoints/6/metrics/metrics'
  kept = json.loads(newest.read_text())
  assert len(kept['thresholds']) == len(LABELS)
  assert all(isinstance(t, float) for t in kept['thresholds'])
  with open(trained[0].data.path, newline='') as file:
    truth = [r for r in csv.DictReader(file) if r['split'] == 'validation']
  positives = columns(truth).sum(axis=0)
  assert kept['shrinking']['positives'] == positives.tolist()
  assert isinstance(kept['shrinking']['threshold'], float)
  assert 'shrinking' not in (path / 'metrics.jsonl').read_text()


def test_evaluation_takes_the_thresholds_of_the_checkpoint(trained, tmp_path):
  config, path = trained
  copy = shutil.copytree(path, tmp_path / 'copy')
  for saved in (copy / 'checkpoints').glob('*/metrics/metrics'):
    content = json.loads(saved.read_text())
    saved.write_text(json.dumps(content | {'thresholds': [0.25, 0.75]}))
  damage_lib.without_sums(copy / 'checkpoints')
  config = config.copy_and_resolve_references()
  config.predict.thresholds = 'tuned'
  run(config, copy, 'evaluate')
  report = files.read_json(copy / 'report.json')
  per_label = report['per_label']
  found = [per_label[name]['tuned']['threshold'] for name in LABELS]
  assert found == [0.25, 0.75]
  kept = content['shrinking']
  assert report['threshold_of_all'] == pytest.approx(kept['threshold'])
  for i, t in enumerate(thresholds.shrink([0.25, 0.75], *kept.values())):
    entry = per_label[LABELS[i]]
    assert entry['shrunk']['threshold'] == pytest.approx(t, rel=1e-8)
    assert entry['threshold_positives'] == kept['positives'][i]
  run(config, copy, 'predict')
  rows = read_rows(copy / 'predictions.csv')
  assert (columns(rows, '_threshold') == [0.25, 0.75]).all()


def write_zoo(folder):
  """Writes files of all kinds; returns path -> the status of its row."""
  rng = np.random.default_rng(1)
  grey = rng.integers(0, 256, (24, 30), np.uint8)
  (folder / 'sub dir/ä').mkdir(parents=True)
  made = {}

  def write(name, contents, status='ok'):
    (folder / name).write_bytes(contents)
    made[name] = status

  def encode(image, suffix):
    return cv2.imencode(suffix, image)[1].tobytes()

  png = encode(grey, '.png')
  write('8 bits.PNG', png)
  write('sub dir/16 bits.tiff', encode(grey.astype(np.uint16) * 256, '.tiff'))
  write('sub dir/ä/ü "quoted", yes.png', png)
  write('two\nlines.png', png)
  write('return\rof.png', png)
  write('colour.webp', encode(np.dstack([grey] * 3), '.webp'))
  write('bits.bmp', encode(grey, '.bmp'))
  Image.fromarray(np.dstack([grey] * 4), 'CMYK').save(folder / 'cmyk.JPG')
  made['cmyk.JPG'] = 'ok'
  palette = Image.fromarray(grey).convert('P')
  palette.save(folder / 'palette.png', transparency=3)
  made['palette.png'] = 'ok'
  write('cut.png', png[:-40], 'unreadable: the file is cut short')
  write('empty.jpg', b'', 'unreadable: the file is empty')
  not_one = 'unreadable: not an image that can be decoded'
  write('text.jpeg', b'Not an image.\n', not_one)
  os.symlink('nowhere.png', folder / 'link.png')
  made['link.png'] = 'unreadable: there is no such file'
  write('phone.HEIC', b'....ftypheic....', not_one)
  write('notes.txt', b'No image, and not called one.')
  write('.hidden.png', png)
  del made['notes.txt'], made['.hidden.png']
  os.symlink('..', folder / 'sub dir/loop')
  os.symlink('sub dir', folder / 'again')
  name = os.fsdecode(b'not \xfc utf-8.png')
  write(name, png)
  return made


def test_a_folder_of_anything(config, home, tmp_path, capsys):
  made = write_zoo(tmp_path / 'zoo')
  config.predict.path = str(tmp_path / 'zoo')
  run(config, home, 'predict')
  rows = read_rows(home / 'predictions.csv')
  assert [row['path'] for row in rows] == sorted(made)
  assert {row['path']: row['status'] for row in rows} == made
  for row in rows:
    cells = [
      cell for name, cell in row.items() if name not in ('path', 'status')
    ]
    assert len(cells) == 6 and all(
      bool(c) == (row['status'] == 'ok') for c in cells
    )
  found = {row['path']: row['bright'] for row in rows}
  assert (
    found['8 bits.PNG'] == found['sub dir/16 bits.tiff'] == found['bits.bmp']
  )
  assert found['8 bits.PNG'] != found['cmyk.JPG']
  printed = capsys.readouterr().out
  assert f'{len(made)} images, 10 of them ok' in printed
  assert '1 unreadable: the file is empty' in printed
  assert 'nor like a clip have no row: 1 .txt.' in printed
  assert 'positive in' in printed and str(home / 'predictions.csv') in printed
  assert not (home / 'predictions.csv.partial').exists()
  # Only predict's own files are there.
  assert {p.name for p in home.iterdir()} == {
    *('checkpoints', 'predictions.csv', 'predictions.json')
  }


@pytest.mark.parametrize('suffix', ['.csv', '.parquet'])
def test_a_table_needs_paths_alone(trained, config, home, tmp_path, suffix):
  table = tmp_path / f'new{suffix}'
  cells = ['7.png', 'gone.png', '1.png']
  if suffix == '.csv':
    lines = [f'{cell},not a label' for cell in cells]
    table.write_text('\n'.join(['photo,bright', *lines]))
  else:
    other = ['not a label'] * len(cells)
    parquet.write_table(pyarrow.table({'photo': cells, 'bright': other}), table)
  config.predict.path = str(table)
  config.data.path_column = 'photo'
  config.data.image_dir = str(
    pathlib.Path(trained[0].data.path).parent / 'images'
  )
  run(config, home, 'predict')
  rows = read_rows(home / 'predictions.csv')
  assert [row['path'] for row in rows] == cells
  missing = 'unreadable: there is no such file'
  assert [row['status'] for row in rows] == ['ok', missing, 'ok']


def test_the_same_command_goes_on_after_a_signal(
  config, home, tmp_path, monkeypatch, capsys
):
  config.predict.path = str(write_table(tmp_path / 'new', 30).parent)
  run(config, home, 'predict')
  straight = (home / 'predictions.csv').read_bytes()
  asked = []

  def requested():
    asked.append(None)
    return len(asked) > 2  # Before the third batch.

  monkeypatch.setattr(preemption, 'requested', requested)
  monkeypatch.setattr(preemption, '_received', signal.SIGTERM)
  with pytest.raises(SystemExit) as caught:
    run(config, home, 'predict', overwrite=True)
  assert caught.value.code == 143
  assert not (home / 'predictions.csv').exists()
  monkeypatch.undo()
  capsys.readouterr()
  run(config, home, 'predict')
  assert 'goes on after 16 of 30 rows' in capsys.readouterr().out
  assert (home / 'predictions.csv').read_bytes() == straight
  run(config, home, 'predict')
  assert 'done before' in capsys.readouterr().out
  assert (home / 'predictions.csv').read_bytes() == straight
  # Of other settings nothing is gone on from.
  config.predict.thresholds = 'half'
  with pytest.raises(ValueError, match='of other thresholds than') as caught:
    run(config, home, 'predict')
  assert '--overwrite' in str(caught.value)
  assert (home / 'predictions.csv').read_bytes() == straight
  run(config, home, 'predict', overwrite=True)
  rows = read_rows(home / 'predictions.csv')
  assert (columns(rows, '_threshold') == 0.5).all()


SCRIPT = """
  import os, sys
  import numpy as np
  from aubal_jax.serving import predictions
  sys.path.insert(0, {tests!r})
  import test_predictions
  test_predictions.predict_fakes({path!r}, die_at={die_at})
"""
NAMES = [f'{n}\r\n"{n}", {n}.png' for n in range(23)]


def predict_fakes(
  path, die_at=None, names=NAMES, outputs=2, spoilt=None, **options
):
  """Predicts made-up images in batches of 4; kills itself in batch die_at."""
  calls = []

  def read(start, stop):
    assert start % 4 == 0
    images = np.arange(start, stop, dtype=np.uint8).reshape(-1, 1, 1, 1)
    broken = {k: 'why' for k in range(stop - start) if (start + k) % 5 == 2}
    return images, broken

  def compute(images):
    assert images.shape == (4, 1, 1, 1)  # One shape: compiled once.
    if len(calls) == die_at:
      os.kill(os.getpid(), signal.SIGKILL)
    calls.append(None)
    value = images.reshape(-1, 1).astype(np.float32) / np.float32(23)
    for number, odd in (spoilt or {}).items():
      value[images.reshape(-1) == number] = odd
    return np.concatenate([value, 1 - value, value][:outputs], axis=1)

  options = {
    'label_names': LABELS,
    'thresholds': np.array([0.3, np.float32(12) / np.float32(23)]),
    'batch_size': 4,
    'about': {'weights': 'abc'},
    **options,
  }
  whole = predictions.write_predictions(
    path, sources.Source(names, read, 'f00'), compute, **options
  )
  return whole, len(calls)


def test_after_a_kill_at_any_byte_the_result_is_the_straight_one(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(os, 'fsync', lambda _: None)  # It is the kernel's, here.
  path = tmp_path / 'predictions.csv'
  partial = tmp_path / 'predictions.csv.partial'
  assert predict_fakes(path) == (True, 6)
  straight = path.read_bytes()
  rows = read_rows(path)
  assert [row['path'] for row in rows] == NAMES
  assert columns([rows[11]])[0, 1] == np.float32(12) / np.float32(23)
  assert rows[11][LABELS[1] + '_decision'] == '1'  # Equal is positive.
  for cut in range(len(straight)):
    path.unlink()
    partial.write_bytes(straight[:cut])
    assert predict_fakes(path)[0]
    assert path.read_bytes() == straight
  # All rows were written, and no more than renaming was left.
  path.rename(partial)
  assert predict_fakes(path) == (True, 0)
  assert path.read_bytes() == straight


def test_a_kill_loses_one_batch_at_most(tmp_path, capsys):
  path = tmp_path / 'a/predictions.csv'
  code = textwrap.dedent(SCRIPT).format(
    tests=str(pathlib.Path(__file__).parent), path=str(path), die_at=3
  )
  (tmp_path / 'a').mkdir()
  done = subprocess.run([sys.executable, '-c', code], check=False)
  assert done.returncode == -signal.SIGKILL
  assert predict_fakes(path) == (True, 3)
  assert 'goes on after 12 of 23' in capsys.readouterr().out
  predict_fakes(tmp_path / 'straight.csv')
  assert path.read_bytes() == (tmp_path / 'straight.csv').read_bytes()


@pytest.mark.parametrize(
  'other',
  [
    {'thresholds': np.array([0.3, 0.5])},
    {'about': {'weights': 'abd'}},
    {'label_names': ('bright', 'other')},
    {'names': NAMES[:-1]},
  ],
)
def test_what_is_of_anything_else_is_neither_gone_on_from_nor_replaced(
  tmp_path, other
):
  path = tmp_path / 'predictions.csv'
  partial = tmp_path / 'predictions.csv.partial'
  differs = 'images' if 'names' in other else next(iter(other))
  differs = 'weights' if differs == 'about' else differs
  predict_fakes(path, should_stop=iter([False, False, True]).__next__)
  for held in (partial, path):
    content = held.read_bytes()
    with pytest.raises(
      ValueError, match=f'predictions of other {differs}'
    ) as e:
      predict_fakes(path, **other)
    assert str(held) in str(e.value) and '--overwrite' in str(e.value)
    assert held.read_bytes() == content
    predict_fakes(path)
  path.with_suffix('.json').write_text('{')
  with pytest.raises(ValueError, match='holds predictions of nobody knows'):
    predict_fakes(path)
  path.unlink()
  assert predict_fakes(path, **other) == (True, 6)


@pytest.mark.parametrize('raw', [False, True])
def test_whatever_labels_and_images_are_called_columns_differ(tmp_path, raw):
  rng = random.Random(0)
  parts = ('path', 'status', 'a', '_decision', '_threshold', '=', 'decision:')
  rows = []
  for trial in range(40):
    path = tmp_path / f'{trial}.csv'
    labels = {''.join(rng.choices(parts, k=rng.randrange(1, 3))) for _ in '123'}
    names = [f'{rng.choice("=+-@a")}{k}.png' for k in range(6)]
    predict_fakes(
      path,
      names=names,
      label_names=tuple(labels),
      thresholds=np.full(len(labels), 0.5),
      outputs=len(labels),
      raw=raw,
    )
    with open(path, newline='') as file:
      header, *rows = csv.reader(file)
    assert header[:2] == ['path', 'status']
    assert len({*header}) == len(header) == 2 + 3 * len(labels)
    computed = [
      cell for row in (header, *rows) for cell in row if cell[:1] in {*'=+-@'}
    ]
    assert raw or not computed
    found = predictions.read_predictions(path, raw=raw)
    assert [name for name, *_ in found] == names
    plain = {
      f'{n}{end}' for n in labels for end in ('', '_decision', '_threshold')
    } - {'path', 'status'}
    if raw:
      assert (len(plain) == 3 * len(labels)) == (header[2] in labels)


def test_what_is_no_probability_is_not_written(tmp_path):
  rng = random.Random(0)
  for trial in range(20):
    path, bad = tmp_path / f'{trial}.csv', rng.randrange(23)
    spoilt = {bad: rng.choice([np.nan, np.inf, -np.inf, 1.5])}
    if bad % 5 == 2:  # Of an image that could not be read.
      assert predict_fakes(path, spoilt=spoilt)[0]
      continue
    with pytest.raises(ValueError, match='which is no probability') as caught:
      predict_fakes(path, spoilt=spoilt)
    assert f', {bad}.png' in str(caught.value)
    assert not path.exists()
    held = path.with_name(f'{path.name}.partial').read_text().lower()
    assert 'nan' not in held and 'inf' not in held


def test_a_file_that_changes_is_noticed(tmp_path):
  path = tmp_path / 'a.png'
  found = []
  for contents in (None, b'', b'x'):
    if contents is not None:
      path.write_bytes(contents)
    source = sources.of_files(
      ['a', 'b'], [str(path), 'b\0'], images_lib.Pixels(), batch_size=1
    )
    found.append(source.fingerprint)
    assert source.read(1, 2)[1]
  assert len(set(found)) == 3


def test_images_that_are_no_files(tmp_path):
  held = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
  data = dataset_lib.Dataset(
    labels=np.zeros((5, 1), np.uint8),
    known=np.ones((5, 1), bool),
    label_names=('a',),
    split=np.array(['train', 'test', 'test', 'train', 'test']),
    ids=np.array(list('abcde')),
    load_images=held.__getitem__,
  )
  source = sources.of_dataset(data, data.rows('test'))
  assert source.names == ['b', 'c', 'e']
  images, failures = source.read(1, 3)
  assert images.ravel().tolist() == [2, 4] and not failures
  other = sources.of_dataset(data, data.rows('train'))
  assert source.fingerprint != other.fingerprint


def test_faces_are_found_by_chunks(tmp_path, monkeypatch):
  paths = []
  for n in range(7):
    paths.append(str(tmp_path / f'{n}.png'))
    cv2.imwrite(paths[-1], np.full((40, 40), 30 * n, np.uint8))
  asked = []

  def find_faces(some, **options):
    asked.append((len(some), options))
    landmarks = np.tile(crop.TEMPLATE * 40, (len(some), 1, 1))
    missing = [k for k, path in enumerate(some) if path == paths[3]]
    landmarks[missing] = np.nan
    return landmarks, dict.fromkeys(missing, crop.NO_FACE)

  monkeypatch.setattr(crop, 'find_faces', find_faces)
  monkeypatch.setattr(sources, '_FACES', 3)
  source = sources.of_files(
    paths,
    paths,
    images_lib.Pixels(16, 1, crop='mtcnn'),
    batch_size=2,
    num_processes=1,
    cache_dir='kept',
  )
  for start in range(0, 7, 2):
    images, failures = source.read(start, min(start + 2, 7))
    assert failures == ({1: crop.NO_FACE} if start == 2 else {})
    for k in {*range(len(images))} - {*failures}:
      assert (images[k, 4:12, 4:12] == 30 * (start + k)).all()
  settings = {'detector': 'mtcnn', 'cache_dir': 'kept', 'num_processes': 1}
  assert asked == [(4, settings), (3, settings)]
  assert predictions._status(crop.NO_FACE) == 'no face found'


def test_a_submission_is_written_of_the_decisions(tmp_path):
  path = tmp_path / 'predictions.csv'
  names = ['v/00001.jpg', 'v/00002.jpg', 'v/00003.jpg', 'w/00001.jpg']
  labels = ('AU01', 'AU12')
  predict_fakes(path, names=names, label_names=labels)
  written = predictions.write_submission(
    path, tmp_path / 's', labels, 'aff_wild2'
  )
  assert [file.name for file in written] == ['v.txt', 'w.txt']
  # Frame 3 could not be read: it repeats the frame before.
  assert written[0].read_text() == 'AU1,AU12\n0,1\n0,1\n0,1\n'


def test_what_no_submission_can_be_of_is_told_before_any_work(
  config, home, tmp_path
):
  config.predict.path = str(write_table(tmp_path / 'new', 2).parent)
  config.predict.submission = 'aff_wild2'
  with pytest.raises(ValueError, match='A submission is of AUs'):
    run(config, home, 'predict')
  assert not (home / 'predictions.json').exists()


@pytest.mark.parametrize(
  ('damage', 'error', 'words'),
  [
    ('nothing there', FileNotFoundError, ['checkpoints', '--workdir']),
    ('no model.json', FileNotFoundError, ['model.json', 'train task']),
    ('torn model.json', ValueError, ['model.json', 'damaged', 'train task']),
    ('a model nobody knows', ValueError, ['model.json', 'resnet9']),
    ('no checkpoint', FileNotFoundError, ['No latest checkpoint', 'train']),
    ('a torn checkpoint', ValueError, ['damaged', 'delete']),
    ('another model', ValueError, ['another model']),
    ('no thresholds', ValueError, ['predict.thresholds=half']),
    ('thresholds of others', ValueError, ['3 thresholds', '2 labels']),
  ],
)
def test_what_is_wrong_with_a_checkpoint_is_told(
  config, home, tmp_path, damage, error, words
):
  config.predict.path = str(write_table(tmp_path / 'new', 2).parent)
  checkpoints = home / 'checkpoints'
  described = files.read_json(checkpoints / 'model.json')
  del described['sum']
  if damage == 'nothing there':
    shutil.rmtree(checkpoints)
  elif damage == 'no model.json':
    (checkpoints / 'model.json').unlink()
  elif damage == 'torn model.json':
    (checkpoints / 'model.json').write_text('{"format": 1, "la')
  elif damage in ('a model nobody knows', 'another model'):
    described['model']['name'] = (
      'resnet9' if damage == 'a model nobody knows' else 'resnet18_64'
    )
    files.write_json(checkpoints / 'model.json', described)
  elif damage == 'no checkpoint':
    for step in checkpoints.glob('[0-9]*'):
      shutil.rmtree(step)
  elif damage == 'a torn checkpoint':
    for part in checkpoints.glob('*/default/d/*'):
      part.write_bytes(b'torn')
    for part in checkpoints.glob('*/default/ocdbt.process_0/d/*'):
      part.write_bytes(b'torn')
  else:
    wrong = [0.5] * 3 if damage == 'thresholds of others' else None
    for saved in checkpoints.glob('*/metrics/metrics'):
      kept = json.loads(saved.read_text())
      saved.write_text(json.dumps(kept | {'thresholds': wrong}))
    damage_lib.without_sums(checkpoints)
  with pytest.raises(error) as caught:
    run(config, home, 'predict')
  for word in words:
    assert word in str(caught.value)
  assert not (home / 'predictions.csv').exists()


def test_a_checkpoint_of_before_has_tuned_thresholds_alone(
  trained, tmp_path, capsys
):
  config, path = trained
  config = config.copy_and_resolve_references()
  straight = files.read_json(path / 'report.json')
  copy = shutil.copytree(path, tmp_path / 'copy')
  for saved in (copy / 'checkpoints').glob('*/metrics/metrics'):
    content = json.loads(saved.read_text())
    del content['shrinking']
    saved.write_text(json.dumps(content))
  damage_lib.without_sums(copy / 'checkpoints')
  run(config, copy, 'predict')
  assert 'the tuned ones are taken' in capsys.readouterr().out
  rows = read_rows(copy / 'predictions.csv')
  taken = columns(rows, '_threshold')[0]
  tuned = [straight['per_label'][n]['tuned']['threshold'] for n in LABELS]
  np.testing.assert_allclose(taken, tuned, rtol=1e-8)
  # With the images of validation at hand the rest is found anew.
  run(config, copy, 'evaluate')
  again = files.read_json(copy / 'report.json')
  assert again['tuned'] == straight['tuned']
  assert again['shrunk'] == straight['shrunk']


@pytest.mark.parametrize(
  ('shrinking', 'words'),
  [
    ({'threshold': 0.5, 'positives': [1, 2, 3]}, ['3 counts', '2 labels']),
    (
      {'threshold': float('inf'), 'positives': [1, 2]},
      ['finite', 'thresholds'],
    ),
  ],
)
def test_damaged_shrinking_is_told(config, home, shrinking, words):
  for saved in (home / 'checkpoints').glob('*/metrics/metrics'):
    kept = json.loads(saved.read_text())
    saved.write_text(json.dumps(kept | {'shrinking': shrinking}))
  damage_lib.without_sums(home / 'checkpoints')
  config.predict.path = str(write_table(home / 'new', 2).parent)
  with pytest.raises(ValueError) as caught:
    run(config, home, 'predict')
  for word in words:
    assert word in str(caught.value)


def test_model_json_is_written_again_by_the_train_task(trained, tmp_path):
  config, path = trained
  copy = shutil.copytree(path, tmp_path / 'copy')
  kept = (copy / 'checkpoints/model.json').read_bytes()
  (copy / 'checkpoints/model.json').unlink()
  run(config.copy_and_resolve_references(), copy, 'train')
  assert (copy / 'checkpoints/model.json').read_bytes() == kept


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'predict.path': 'nowhere'}, ['nowhere', 'no such']),
    ({'predict.path': '{tmp}'}, ['no image', '.jpg']),
    ({'predict.path': '{tmp}/a.txt'}, ['a.txt', '.csv', 'folder']),
    (
      {'data.name': 'synthetic', 'data.path': ''},
      ['AU', 'bright', 'predict.path'],
    ),
    ({'data.name': 'labels', 'data.path': '{tmp}/l.npy'}, ['no images']),
    ({'data.name': 'manifest', 'predict.split': 'dropped'}, ['dropped', '16']),
  ],
)
def test_what_is_wrong_with_the_images_is_told(
  trained, config, home, tmp_path, settings, words
):
  np.save(tmp_path / 'l.npy', np.eye(4, dtype=np.uint8))
  (tmp_path / 'a.txt').touch()
  config.data.path = trained[0].data.path
  for name, value in settings.items():
    section, _, key = name.partition('.')
    config[section][key] = value.format(tmp=tmp_path)
  with pytest.raises((ValueError, OSError)) as caught:
    run(config, home, 'predict')
  for word in words:
    assert word in str(caught.value)


def test_without_a_validation_split_thresholds_are_a_half(
  trained, tmp_path, capsys
):
  table = tmp_path / 'table.csv'
  lines = pathlib.Path(trained[0].data.path).read_text()
  table.write_text(lines.replace(',validation,', ',train,'))
  config = trained[0].copy_and_resolve_references()
  config.data.path = str(table)
  config.data.image_dir = str(pathlib.Path(trained[0].data.path).parent)
  config.train.num_steps = 1
  path = run(config, tmp_path / 'run', 'balance')
  run(config, path, 'train')
  run(config, path, 'predict')
  assert '.5 is taken' in capsys.readouterr().out
  rows = read_rows(path / 'predictions.csv')
  assert len(rows) == 16
  assert (columns(rows, '_threshold') == 0.5).all()
  workdir.clear(path)
  assert not list(path.iterdir())


def test_a_folder_is_called_by_its_own_name_and_entered_once(tmp_path):
  for name in ('b/deep/2.PNG', 'b/1.jpg', '10.tif', '9.webp', 'x.jpg/3.bmp'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
  os.symlink('b', tmp_path / 'a')
  os.symlink('../..', tmp_path / 'b/deep/up')
  (tmp_path / 'b/notes.TXT').touch()
  (tmp_path / 'Makefile').touch()
  names, paths, others = sources.list_folder(tmp_path)
  assert others == {'.txt': 1, '': 1}
  wanted = ['10.tif', '9.webp', 'b/1.jpg', 'b/deep/2.PNG', 'x.jpg/3.bmp']
  assert names == wanted
  assert paths == [str(tmp_path / name) for name in wanted]
