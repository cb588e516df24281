"""Networks that see windows of a video predict clips, images and arrays."""

import csv
import dataclasses
import functools
import time

import cv2
import jax
import numpy as np
import pytest
from scipy import special

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.network import bundle
from aubal_jax.network import heads as heads_lib
from aubal_jax.network import models
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.serving import clips
from aubal_jax.serving import face_job
from aubal_jax.serving import in_parts
from aubal_jax.serving import rows_in_videos
from aubal_jax.serving import sources
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from tests.makers import targets as targets_lib
from tests.makers import trained_runs

LABELS = ('AU01', 'AU25')
OTHERS = {'va': targets_lib.numbers(-1, 1, ('valence', 'arousal'))}
COLUMNS = (*LABELS, 'valence', 'arousal')
T = 4
# Of a clip of 11 frames; each is scored where it is first.
WINDOWS = [[0, 1, 2, 3], [4, 5, 6, 7], [7, 8, 9, 10]]
ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]


def write(path, seed=0, **options):
  recurrent = {'heads': 'gru', 'window': T}
  options = {'name': 'tiny', 'multitask': recurrent, **options}
  return trained_runs.write(path, LABELS, seed=seed, others=OTHERS, **options)


def write_over(path, eye, *, config=True, **options):
  """A network that sees what the frozen one in `eye` says of a row."""
  weights = bundle.load(eye / 'checkpoints').digest()
  seen = {'features': (np.dtype(np.float32), (4,))}
  made = {'features': {'weights': weights}}
  write(path, 7, name='features', seen=seen, made=made, **options)
  if config:
    held = {'multitask': {'features_of': str(eye)}}
    files.write_json(path / 'config.json', {'format': 1, 'config': held})
  return path


@pytest.fixture(autouse=True, scope='module')
def fixture_networks():
  """One that is compiled at once."""
  with trained_runs.tiny():
    yield


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """Networks of both kinds, and clips of 11 frames and of 2."""
  home = tmp_path_factory.mktemp('home')
  write(home / 'own')
  write(home / 'own2', 1)
  write(home / 'eye', 2, multitask={})
  write_over(home / 'over', home / 'eye')
  for name, frames in pictures().items():
    (home / 'clips' / name).mkdir(parents=True)
    for k, frame in enumerate(frames):
      cv2.imwrite(str(home / f'clips/{name}/{k:02d}.png'), frame)
  return home


@functools.cache
def pictures():
  rng = np.random.default_rng(0)
  draw = functools.partial(rng.integers, 0, 256, dtype=np.uint8)
  return {'long': draw((11, 16, 16)), 'short': draw((2, 16, 16))}


def run(path, *given, task='predict', **changes):
  c = settings_lib.default()
  c.data.name, c.task, c.predict.batch_size = 'manifest', task, 8
  for name, value in {'predict__smooth': 0, **changes}.items():
    section, key = name.split('__')
    c[section][key] = value
  if given:
    c.predict.path, *more = map(str, given)
    c.predict.also = tuple(more)
  commands.run_task(c, path, started=time.perf_counter())


def predict(path, out, *given, **changes):
  run(path, *given, predict__out=str(out), **changes)
  return read(out)


def read(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def numbers(rows):
  return np.float32([[float(row[c]) for c in COLUMNS] for row in rows])


def forward(path, name, x):
  """The outputs of the whole network, run by hand."""
  one = bundle.load(path / 'checkpoints')
  model, _ = bundle.make_network(one.description)
  variables = {'params': one.params, 'batch_stats': one.batch_stats}
  heads = one.description.heads
  found = jax.jit(lambda x: model.apply(variables, {name: x}))(x)
  return {k: np.float32(v) for k, v in found.items()}, heads


def seen_by_eye(home, frames):
  """The frozen network, and what it says of images by hand."""
  eye = bundle.load(home / 'eye/checkpoints')
  model, _ = bundle.make_network(eye.description)
  variables = {'params': eye.params, 'batch_stats': eye.batch_stats}
  see = jax.jit(lambda x: models.features_of(model, variables, {'image': x}))
  return eye, np.asarray(see(frames))


def by_hand(path, name, x):
  """What is said of rows that are whole windows, [W * T, K]."""
  said = heads_lib.predictions(*reversed(forward(path, name, x)))
  return np.concatenate([said['labels'], said['va']], axis=1)


def test_rows_of_clips_are_those_of_their_windows(home, tmp_path, capsys):
  """Of a short one, too, and where few have a row; as arrays, to the bit."""
  rows = predict(
    home / 'own', tmp_path / 'x.csv', home / 'clips', predict__fps=25.0
  )
  assert 'in windows of 4 frames' in capsys.readouterr().out
  found = numbers(rows)
  frames = pictures()['long'][..., None]
  windows = frames[np.ravel(WINDOWS)]
  few = pictures()['short'][[0, 1, 1, 1], ..., None]
  repeated = np.repeat(frames, T, axis=0)
  wanted, wanted_of_few, alone = np.split(
    by_hand(home / 'own', 'image', np.concatenate([windows, few, repeated])),
    [len(windows), len(windows) + T],
  )
  np.testing.assert_allclose(found[:11], wanted[ORDER], atol=1e-5)
  np.testing.assert_allclose(found[11:], wanted_of_few[:2], atol=1e-5)
  # It is not said of a frame alone.
  assert abs(found[:11] - alone[::T]).max() > 0.01
  some = predict(
    *(home / 'own', tmp_path / 'y.csv', home / 'clips'),
    predict__fps=25.0,
    predict__every='3',
  )
  assert some == [*rows[:11:3], rows[11]]
  model = aubal.load(home / 'own')
  assert 'in windows of 4' in repr(model)
  said = model.predict(frames[..., 0], batch_size=8)
  np.testing.assert_array_equal(said['labels'], found[:11, :2])
  np.testing.assert_array_equal(said['va'], found[:11, 2:])
  mixed = np.concatenate([frames[:5], pictures()['short'][..., None]])
  both = model.predict(
    mixed[[5, 0, 6, 1, 2, 3, 4]], groups=[*'babaaaa'], batch_size=8
  )
  np.testing.assert_array_equal(both['va'][[0, 2]], found[11:, 2:])


def test_faces_have_windows_of_their_own(monkeypatch):
  """By hand, with heads that say the mean of their window."""

  def say(x):
    windows = np.asarray(x).reshape(-1, T, 1)
    return np.repeat(windows.mean(axis=1), T, axis=0)

  parts = in_parts.InParts(1, 1, T, see=None, say=say)
  rows, kept = [], []
  for frame in range(7):
    for face in (1, 2) if frame != 3 else (1,):
      rows.append(clips.Row(0, frame, frame / 25, face))
      kept.append(10.0**face * frame)
    if frame == 3:  # The other face is not to be seen.
      rows.append(clips.Row(0, frame, frame / 25, 2, status='unreadable: x'))
      kept.append(np.nan)
  job = face_job.Job(None, None, np.zeros(1), 1, 'faces', 8, parts)
  monkeypatch.setattr(face_job.Job, 'others', ())
  said = job.say(rows, np.float32(kept)[:, None])[:, 0]
  one = [x for x, row in zip(said, rows, strict=True) if row.face == 1]
  assert one == [15] * 4 + [45] * 3
  other = [x for x, row in zip(said, rows, strict=True) if row.face == 2]
  np.testing.assert_array_equal(other, [175] * 3 + [np.nan, 175, 425, 425])


def test_what_a_frozen_network_says_is_seen_in_windows(home, tmp_path, capsys):
  options = {'predict__fps': 25.0}
  out = tmp_path / 'x.csv'
  rows = predict(home / 'over', out, home / 'clips/long', **options)
  frames = pictures()['long'][..., None]
  eye, seen = seen_by_eye(home, frames)
  wanted = by_hand(home / 'over', 'features', seen[np.ravel(WINDOWS)])[ORDER]
  np.testing.assert_allclose(numbers(rows), wanted, atol=1e-5)
  loaded = aubal.load(home / 'over')
  assert loaded.pixels == eye.description.pixels
  said = loaded.predict(frames[..., 0], batch_size=8)
  np.testing.assert_array_equal(said['va'], numbers(rows)[:, 2:])
  # A copy of checkpoints/ does not tell the folder; it may be named.
  copy = write_over(tmp_path / 'copy', home / 'eye', config=False)
  with pytest.raises(errors.UserError, match=r'config\.json .* name its'):
    predict(copy, tmp_path / 'n.csv', home / 'clips/long', **options)
  options['multitask__features_of'] = str(home / 'eye')
  again = predict(copy, tmp_path / 'y.csv', home / 'clips/long', **options)
  assert again == rows
  again = aubal.load(copy, features_of=home / 'eye').predict(frames)
  assert again['va'].shape == (11, 2)


def test_rows_alone_of_what_a_frozen_network_says(home, tmp_path):
  path = write_over(tmp_path / 'alone', home / 'eye', multitask={})
  rows = predict(path, tmp_path / 'x.csv', home / 'clips/long')
  found = aubal.load(path).predict(pictures()['long'], batch_size=8)
  np.testing.assert_array_equal(numbers(rows)[:, :2], found['labels'])
  _, seen = seen_by_eye(home, pictures()['long'][..., None])
  wanted = by_hand(path, 'features', seen)
  np.testing.assert_allclose(numbers(rows), wanted, atol=1e-5)


def test_another_frozen_network_is_refused(home, tmp_path, capsys):
  write(tmp_path / 'other', 3, multitask={})
  for folder, words in (
    (tmp_path / 'other', 'has other weights than'),
    (tmp_path / 'none', r'no network is there: name its folder'),
  ):
    with pytest.raises(errors.UserError, match=words):
      predict(
        *(home / 'over', tmp_path / 'x.csv', home / 'clips/long'),
        predict__fps=25.0,
        multitask__features_of=str(folder),
      )
    with pytest.raises(errors.UserError, match=words):
      aubal.load(home / 'over', features_of=folder)
  with pytest.raises(errors.UserError, match='sees rows itself: leave it out'):
    aubal.load(home / 'own', features_of=home / 'eye')


def test_a_run_that_does_not_tell_weights_says_so(home, tmp_path, capsys):
  seen = {'features': (np.dtype(np.float32), (4,))}
  path = write(tmp_path / 'old', 7, name='features', seen=seen)
  held = {'multitask': {'features_of': str(home / 'eye')}}
  content = {'format': 1, 'config': held}
  files.write_json(path / 'config.json', content)
  wanted = aubal.load(home / 'over').predict(pictures()['long'])
  capsys.readouterr()
  found = aubal.load(path).predict(pictures()['long'])
  assert 'nothing tells the weights' in capsys.readouterr().out
  np.testing.assert_array_equal(found['labels'], wanted['labels'])
  content['stages'] = {
    'train': {'done': True, 'settings': {'the features': 'f00'}}
  }
  files.write_json(path / 'config.json', content)
  with pytest.raises(errors.UserError, match=r'of weights .* of f00'):
    aubal.load(path)


def test_images_are_frames_of_what_a_table_says(home, tmp_path, capsys):
  """Rows in any order; without columns, and of a folder, each is alone."""
  rows = predict(
    *(home / 'own', tmp_path / 'c.csv', home / 'clips'), predict__fps=25.0
  )
  clip = {}
  for row in rows:
    name = f'{row["file"].rpartition("/")[2]}/{int(row["frame"]):02d}.png'
    clip[name] = row
  names = [*np.random.default_rng(0).permutation([*clip])]
  table = tmp_path / 'table.csv'
  lines = [f'{name},{name.partition("/")[0]},{name[-6:-4]}' for name in names]
  lines.insert(3, 'long/none.png,long,4.5')
  table.write_text('\n'.join(['path,video,n', *lines]), encoding='utf-8')
  found = predict(
    *(home / 'own', tmp_path / 'x.csv', table),
    data__group_column='video',
    data__frame_column='n',
    data__image_dir=str(home / 'clips'),
  )
  bad = found.pop(3)
  assert bad['status'].startswith('unreadable') and not bad['AU01']
  # A row in another place of a batch may be rounded otherwise.
  np.testing.assert_allclose(
    numbers(found), numbers([clip[name] for name in names]), atol=1e-6
  )
  capsys.readouterr()
  alone = predict(home / 'own', tmp_path / 'y.csv', home / 'clips/long')
  assert 'each is predicted alone' in capsys.readouterr().out
  model = aubal.load(home / 'own')
  said = model.predict(pictures()['long'], groups=[''] * 11, batch_size=8)
  np.testing.assert_array_equal(numbers(alone)[:, :2], said['labels'])
  with pytest.raises(errors.UserError, match='does not tell which these are'):
    predict(
      *(home / 'own', tmp_path / 'z.csv', home / 'clips/long'),
      predict__submission='aff_wild2',
    )


def test_columns_of_videos_are_those_of_training(tmp_path, capsys):
  """Or those that are named; one that is not there is told of."""
  table = tmp_path / 'table.csv'
  table.write_text('path,video,n,m\na,x,2,1\nb,x,1,2\n', encoding='utf-8')
  held = {'data': {'group_column': 'video', 'frame_column': 'n'}}
  content = {'format': 1, 'config': held}
  files.write_json(tmp_path / 'config.json', content)
  c = settings_lib.default()
  c.predict.path = str(table)

  def find():
    rows = sources.Source(['a', 'b'], read=None, fingerprint='')
    found = rows_in_videos.find(c, tmp_path, rows)
    return [*found.groups], found.frames

  groups, frames = find()
  assert groups == ['x', 'x']
  np.testing.assert_array_equal(frames, [2, 1])
  assert not capsys.readouterr().out
  held['data']['frame_column'] = 'time'
  files.write_json(tmp_path / 'config.json', content)
  assert find()[1] is None
  assert 'data.frame_column=time, and' in capsys.readouterr().out
  c.data.frame_column = 'm'
  np.testing.assert_array_equal(find()[1], [1, 2])
  assert not capsys.readouterr().out


def test_a_network_of_a_table_has_no_frozen_one(home):
  """Of as many numbers as that would make."""
  path = home / 'over'
  there = bundle.read(path / 'checkpoints')
  seen = {**there.streams['features'], 'mean': [0.0] * 4, 'std': [1.0] * 4}
  description = dataclasses.replace(there, streams={'features': seen})
  c = settings_lib.default()
  c.multitask.features_of = str(home / 'eye')
  with pytest.raises(errors.UserError, match='leave it out'):
    in_parts.find_eye(c, path, [], description)


def test_groups_are_names_of_videos(home):
  model = aubal.load(home / 'own')
  images = pictures()['long']
  for groups in (['a'], 'a', [['a'] * 11]):
    with pytest.raises(errors.UserError, match='each of the 11 images'):
      model.predict(['none.png'] * 11, groups=groups)  # Before it is read.
  for groups in ([None] * 11, ['a'] * 10 + [float('nan')]):
    with pytest.raises(errors.UserError, match='must be names or whole'):
      model.predict(images, groups=groups)
  with pytest.raises(errors.UserError, match='sees each alone: leave them out'):
    aubal.load(home / 'eye').predict(images, groups=['a'] * 11)
  empty = model.predict([])
  assert {k: x.shape for k, x in empty.items()} == {
    'labels': (0, 2),
    'va': (0, 2),
  }


def test_a_mean_of_networks_of_windows(home, tmp_path):
  runs = (str(home / 'own'), str(home / 'own2'))
  rows = predict(
    *(tmp_path / 'mean', tmp_path / 'x.csv', home / 'clips/long'),
    ensemble__runs=runs,
    predict__fps=25.0,
  )
  frames = pictures()['long'][..., None][np.ravel(WINDOWS)]
  logits = sum(forward(home / n, 'image', frames)[0]['labels'][ORDER]
    for n in ('own', 'own2')) / 2  # fmt: skip
  np.testing.assert_allclose(
    numbers(rows)[:, :2], special.expit(logits), atol=1e-5
  )
  wide = write(tmp_path / 'wide', multitask={'heads': 'gru', 'window': 5})
  with pytest.raises(errors.UserError, match=r'same windows \(multitask'):
    predict(
      *(tmp_path / 'mean', tmp_path / 'y.csv', home / 'clips/long'),
      ensemble__runs=(str(home / 'own'), str(wide)),
      predict__fps=25.0,
    )


def test_whole_windows_leave_as_stablehlo(home, tmp_path):
  from jax import export

  out = tmp_path / 'm.stablehlo'
  options = {'export__format': 'stablehlo', 'export__out': str(out)}
  run(home / 'own', task='export', **options)
  record = files.read_json(tmp_path / 'm.stablehlo.json')
  assert record['compared']['difference']['JAX'] < 1e-5
  assert record['input']['shape'] == ['4 * windows', 16, 16, 1]
  frames = pictures()['long'][..., None][np.ravel(WINDOWS)]
  called = export.deserialize(bytearray(out.read_bytes())).call(frames)
  wanted = by_hand(home / 'own', 'image', frames)
  np.testing.assert_allclose(called['va'], wanted[:, 2:], atol=1e-5)
  with pytest.raises(errors.UserError, match=r'gru.*format=stablehlo'):
    run(home / 'own', task='export')


@pytest.mark.long
@pytest.mark.parametrize('kind', ['own', 'over'])
def test_clips_are_predicted_as_evaluation_scores_them(tmp_path, kind):
  """A drawn film, by the line; also the split, of the run's own data."""
  c = settings_lib.default()
  c.data.drawn_targets = ('labels', 'valence_arousal')
  c.data.drawn_film = True
  c.data.image_size = 16
  c.data.num_train, c.data.num_validation, c.data.num_test = 400, 200, 200
  c.balance.method, c.augment.rows, c.loss.name = 'none', 'none', 'bce'
  c.model.name, c.model.stem = 'resnet8_16', '3x3'
  c.train.batch_size, c.train.learning_rate = 32, 1e-3
  c.train.num_steps, c.train.eval_every_steps = 20, 10
  eye = tmp_path / 'eye'
  if kind == 'over':
    c.multitask.heads = 'deng'
    _line(c, eye, 'balance', 'train')
    c.model.name, c.multitask.features_of = 'features', str(eye)
  c.multitask.heads, c.multitask.window = 'gru', T
  path = tmp_path / 'run'
  _line(c, path, 'balance', 'train', 'evaluate')
  dataset, rows, wanted = _evaluated(c, path)
  split = predict(path, tmp_path / 's.csv', predict__split='test')
  assert [row['path'] for row in split] == dataset.ids[rows].tolist()
  names = (*dataset.label_names, 'valence', 'arousal')
  found = [[float(row[name]) for name in names] for row in split]
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  videos = sorted({*dataset.groups[rows]})
  said = {}
  for video in videos:
    own = rows[dataset.groups[rows] == video]
    own = own[np.argsort(dataset.frames[own], kind='stable')]
    (tmp_path / 'clips' / video).mkdir(parents=True)
    for k, image in enumerate(dataset.load_images(own)):
      cv2.imwrite(str(tmp_path / f'clips/{video}/{k:04d}.png'), image)
    said[video] = own
  clip_rows = predict(
    *(path, tmp_path / 'c.csv', tmp_path / 'clips'), predict__fps=25.0
  )
  found = [[float(row[name]) for name in names] for row in clip_rows]
  place = {row: k for k, row in enumerate(rows)}
  order = [place[row] for video in videos for row in said[video]]
  np.testing.assert_allclose(found, wanted[order], atol=1e-5)


def _line(config, path, *tasks):
  for task in tasks:
    config.task = task
    commands.run_task(config, path, started=time.perf_counter())


def _evaluated(config, path):
  """The data set, the rows of its test split, and what evaluation says."""
  run = run_lib.load(config, path, progress.Watch(time.perf_counter()))
  found = evaluate.predict(run)
  assert found.split == 'test'
  va = found.targets['valence_arousal']
  np.testing.assert_array_equal(va.rows, found.rows)
  both = np.concatenate([found.probability, va.prediction], axis=1)
  return run.dataset, found.rows, both
