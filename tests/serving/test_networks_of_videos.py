"""Networks of clips and sound as files, and as objects of Python."""

import functools
import time
import types

import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.datasets import targets
from aubal_jax.network import bundle
from aubal_jax.network import models
from aubal_jax.network.models import two_stream
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.serving import formats
from aubal_jax.serving import networks
from aubal_jax.stages import run_features
from tests.makers import trained_runs

LABELS = ('bright', 'edge')
SEEN = {
  'clip': (np.dtype('u1'), (2, 16, 16, 4)),
  'sound': (np.dtype('f4'), (64, 11)),
}


@pytest.fixture(name='home', scope='module', autouse=True)
def fixture_home(tmp_path_factory):
  """A run of each set of streams, of networks that are compiled at once."""
  home = tmp_path_factory.mktemp('videos')
  tiny = functools.partial(two_stream.TwoStream, stage_sizes=(1, 1), width=4)
  flat = functools.partial(tiny, stage_sizes=(1,))
  with pytest.MonkeyPatch.context() as patch:
    own = {'tiny': tiny, 'flat': flat}
    patch.setattr(models, 'MODELS', {**models.MODELS, **own})
    runs = [(modalities, 'tiny') for modalities in two_stream.MODALITIES]
    for seed, (run, name) in enumerate([*runs, ('flat', 'flat')]):
      trained_runs.write(
        *(home / run, LABELS),
        name=name,
        seed=seed,
        modalities='both' if run == 'flat' else run,
        channels=3,
        multitask={'bins': 'raw'},
        others={'pain': targets.of_numbers(np.zeros((1, 1)), ('p',), 0, 5)},
        seen=SEEN,
      )
    yield home


def make_rows(count=5, seed=0, modalities='both'):
  rng = np.random.default_rng(seed)
  rows = {
    'clip': rng.integers(0, 256, (count, *SEEN['clip'][1]), np.uint8),
    'sound': rng.normal(size=(count, *SEEN['sound'][1])).astype(np.float32),
  }
  return {name: rows[name] for name in two_stream.MODALITIES[modalities]}


def export(path, **changes):
  config = settings_lib.default()
  config.data.name, config.task = 'manifest', 'export'
  config.export.update(changes)
  commands.run_task(config, path, started=time.perf_counter())
  kind = changes['format']
  return path / f'model.{kind}', files.read_json(path / f'model.{kind}.json')


@pytest.mark.parametrize(
  ('kind', 'modalities'),
  [
    ('onnx', 'both'),
    *(
      pytest.param(kind, modalities, marks=pytest.mark.long)
      for modalities in two_stream.MODALITIES
      for kind in formats.FORMATS
      if (kind, modalities) != ('onnx', 'both')
    ),
  ],
)
def test_a_file_says_what_the_network_says(home, kind, modalities):
  """By every reader there is, and of any number of rows."""
  path = home / modalities
  file, record = export(path, format=kind)
  assert [one['name'] for one in record['inputs']] == [
    *two_stream.MODALITIES[modalities]
  ]
  for one in record['inputs']:
    assert one['shape'] == ['batch', *SEEN[one['name']][1]]
    if one['name'] == 'clip':
      assert one['channels'] == 'red, green, blue, lines of landmarks'
      assert one['prepared']['image_size'] == 16
  assert record['compared']['rows'] == 4
  assert max(record['compared']['difference'].values()) < 2e-5
  if kind == 'onnx':
    assert {*record['compared']['difference']} == {'OpenCV', 'ONNX Runtime'}
  if kind != 'stablehlo':  # Others are read the same by those who wrote them.
    return
  rows = make_rows(6, modalities=modalities)
  wanted = aubal.load(path).predict(rows, batch_size=4)
  trained = bundle.load(path / 'checkpoints')
  readers = formats.FORMATS[kind].readers(file.read_bytes(), trained)
  for run in readers.values():
    assert formats.difference(run(rows), wanted) < 2e-5
    other = {name: x[::-1] for name, x in rows.items()}
    assert formats.difference(run(other), wanted) > 1e-3


def test_a_loaded_network_takes_its_streams(home):
  model = aubal.load(home / 'flat')
  assert 'clip 2 x 16 x 16 x 4 and sound 64 x 11' in repr(model)
  assert model.inputs['sound']['shape'] == (64, 11)
  assert model.inputs['clip']['pixels'].channels == 3
  rows = make_rows(5)
  found = model.predict(rows, batch_size=4)
  assert {name: x.shape for name, x in found.items()} == {
    **{'labels': (5, 2), 'pain': (5, 1)},
  }
  assert ((found['pain'] >= 0) & (found['pain'] <= 5)).all()
  order = np.random.default_rng(0).permutation(5)
  again = model.predict({k: x[order] for k, x in rows.items()}, batch_size=4)
  for name, x in again.items():  # To the bit, whatever beside it.
    np.testing.assert_array_equal(x, found[name][order])
  assert model.decide(found)['labels'].dtype == bool
  none = model.predict({k: x[:0] for k, x in rows.items()})
  assert none['labels'].shape == (0, 2)


def spoilt():
  """Yields what is no input of such a network, and what is said of it."""
  rows = make_rows(2)
  yield rows['clip'], r'takes a dict of arrays, \{clip: uint8\[N, 2.*ndarray'
  yield {'clip': rows['clip']}, r"sound: float32\[N, 64, 11\].*got \['clip'\]"
  yield {**rows, 'image': 0}, 'takes a dict'
  for name in rows:
    yield {**rows, name: rows[name][:, 1:]}, f'{name} is '
    yield {**rows, name: rows[name][:1]}, 'as many rows each'
  yield {**rows, 'clip': rows['clip'] / 255}, 'clip is float64'
  yield {**rows, 'sound': 0 * rows['sound'] + np.nan}, 'must be finite'


def test_what_is_no_stream_of_it_is_told(home):
  model = aubal.load(home / 'both')
  for given, said in spoilt():
    with pytest.raises(errors.UserError, match=said):
      model.predict(given)


def test_what_cannot_be_done_with_it_is_told(home):
  with pytest.raises(
    errors.UserError, match=r'names must be own for model.name=tiny'
  ):
    export(home / 'both', format='safetensors', names='torchvision')
  description = bundle.read(home / 'both/checkpoints')
  with pytest.raises(errors.UserError, match='sees clip and sound of videos'):
    networks.check_image_alone(description)
  assert networks.sees_videos(description)
  config = settings_lib.default()
  with pytest.raises(errors.UserError, match='features_of=old sees clip and'):
    run_features._check(
      types.SimpleNamespace(config=config), 'old', description
    )
