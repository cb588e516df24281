"""Event files as TensorBoard's own reader takes them."""

import io
import json
import sys
import time
import warnings

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator

from aubal_jax.network import log as log_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network import tensorboard
from tests.makers import small_runs


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  return small_runs.configure(tmp_path)


NAMES = ('a', 'b')


def read(directory):
  accumulator = event_accumulator.EventAccumulator(
    str(directory), size_guidance=dict.fromkeys(('scalars', 'tensors'), 0)
  )
  return accumulator.Reload()


def points(events):
  return [(event.step, event.value) for event in events]


def curve_of(event):
  from tensorboard.util import tensor_util

  return tensor_util.make_ndarray(event.tensor_proto)


def test_lines_are_scalars(tmp_path):
  with tensorboard.open_log(tmp_path) as log:
    log.write_line({'step': 2, 'epoch': 0.5, 'loss': 0.25})
    log.write_line({'step': 2, 'epoch': 0.5, 'validation': {'f1_macro': 0.75}})
    # Read while it is open: what is written is there.
    assert points(read(tmp_path).Scalars('train/loss')) == [(2, 0.25)]
    log.write_line({'step': 3, 'loss': 0.5, 'images_per_second': None})
  found = read(tmp_path)
  assert {*found.Tags()['scalars']} == {
    *('train/loss', 'train/epoch', 'validation/f1_macro')
  }
  assert points(found.Scalars('train/loss')) == [(2, 0.25), (3, 0.5)]
  assert points(found.Scalars('validation/f1_macro')) == [(2, 0.75)]


@pytest.mark.parametrize('clock', [1.0, -1e9])
def test_what_is_done_again_is_shown_once(tmp_path, monkeypatch, clock):
  with tensorboard.open_log(tmp_path) as log:
    for step in range(1, 6):
      log.write_line({'step': step, 'loss': step})
  now = time.time()
  monkeypatch.setattr(time, 'time', lambda: now + clock)
  for again in (3, 4):
    with tensorboard.open_log(tmp_path, step=again) as log:
      log.write_line({'step': again + 1, 'loss': 10 * again})
  assert len([*tmp_path.iterdir()]) == 3
  assert points(read(tmp_path).Scalars('train/loss')) == [
    *((1, 1), (2, 2), (3, 3), (4, 30), (5, 40))
  ]


def test_a_file_that_a_kill_cut_off_does_not_hide_the_next(tmp_path):
  with tensorboard.open_log(tmp_path) as log:
    log.write_line({'step': 1, 'loss': 1})
    log.write_line({'step': 2, 'loss': 2})
  (first,) = tmp_path.iterdir()
  first.write_bytes(first.read_bytes()[:-3])
  with tensorboard.open_log(tmp_path, step=1) as log:
    log.write_line({'step': 2, 'loss': 3})
  assert points(read(tmp_path).Scalars('train/loss')) == [(1, 1), (2, 3)]


def test_curves_equal_those_of_the_plugin(tmp_path):
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    import tensorflow as tf
    from tensorboard.plugins.pr_curve import metadata
    from tensorboard.plugins.pr_curve import summary
  rng = np.random.default_rng(0)
  probability = rng.random((300, 2)).astype(np.float32)
  probability[:3, 0] = 0, 1, 0.5
  label = (rng.random((300, 2)) < probability**2).astype(np.uint8)
  known = rng.random((300, 2)) < 0.8
  label[~known] = 7
  with tensorboard.open_log(tmp_path) as log:
    log.write_curves(9, NAMES, probability, label, known)
  found = read(tmp_path)
  assert found.PluginTagToContent('pr_curves').keys() == {
    'validation/a/pr_curves',
    'validation/b/pr_curves',
  }
  for i, name in enumerate(NAMES):
    here = known[:, i]
    wanted = summary.pb(
      name, label[here, i] == 1, probability[here, i], num_thresholds=127
    )
    (event,) = found.Tensors(f'validation/{name}/pr_curves')
    assert event.step == 9
    np.testing.assert_allclose(
      curve_of(event), tf.make_ndarray(wanted.value[0].tensor), rtol=1e-6
    )
    content = found.PluginTagToContent('pr_curves')
    content = content[f'validation/{name}/pr_curves']
    assert metadata.parse_plugin_metadata(content).num_thresholds == 127


def test_a_label_without_a_known_entry_has_a_curve_of_zeros(tmp_path):
  with tensorboard.open_log(tmp_path) as log:
    log.write_curves(
      1, ['a'], np.full((2, 1), 0.5), np.ones((2, 1)), np.zeros((2, 1), bool)
    )
  (event,) = read(tmp_path).Tensors('validation/a/pr_curves')
  assert not curve_of(event).any()


@pytest.mark.parametrize('channels', [1, 3])
def test_a_contact_sheet_has_every_image_beside_its_original(
  tmp_path, channels
):
  rng = np.random.default_rng(0)
  before, after = rng.integers(0, 256, (2, 5, 6, 7, channels), np.uint8)
  with tensorboard.open_log(tmp_path) as log:
    log.write_sheet(0, before, after)
  (image,) = read(tmp_path).Images('augmented')
  sheet = np.array(Image.open(io.BytesIO(image.encoded_image_string)))
  sheet = sheet.reshape(2, 6, 4, 14, 3)[..., :channels]  # Grey is shown as RGB.
  for i in range(5):
    tile = sheet[i // 4, :, i % 4]
    assert np.array_equal(tile[:, :7], before[i])
    assert np.array_equal(tile[:, 7:], after[i])
  assert not sheet[1, :, 1:].any()
  assert (image.width, image.height) == (4 * 14, 12)


def lines_of(path):
  lines = (path / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def check_scalars(path):
  """The scalars are the lines of metrics.jsonl."""
  found = read(path / 'tensorboard')
  wanted = {}
  for line in lines_of(path):
    for name, value in line.pop('validation', {}).items():
      line[f'validation/{name}'] = value
    of_validation = any('/' in name for name in line)
    for name, value in line.items():
      if name == 'step' or value is None or of_validation != ('/' in name):
        continue
      tag = name if of_validation else f'train/{name}'
      wanted.setdefault(tag, []).append((line['step'], value))
  assert {*found.Tags()['scalars']} == {*wanted}
  for tag, values in wanted.items():
    seen = points(found.Scalars(tag))
    assert [step for step, _ in seen] == [step for step, _ in values], tag
    np.testing.assert_allclose(
      [value for _, value in seen], [value for _, value in values], rtol=1e-6
    )
  return found


@pytest.mark.long
def test_a_run_and_what_goes_on_from_it(config, tmp_path, capsys):
  config.train.tensorboard = True
  config.train.num_steps = 3
  path = small_runs.run(config, tmp_path / 'run', 'balance')
  small_runs.run(config, path, 'train')
  assert f'tensorboard --logdir {path}' in capsys.readouterr().out
  # As of a run that was killed after its last checkpoint.
  with tensorboard.open_log(path / 'tensorboard', step=3) as log:
    log.write_line({'step': 4, 'loss': 99.0})
  config.train.num_steps = 6
  small_runs.run(config, path, 'train')
  found = check_scalars(path)
  for tag in ('learning_rate', 'images_per_second', 'input_wait_fraction'):
    assert f'train/{tag}' in found.Tags()['scalars']
  for name in ('bright', 'edge', 'rare'):
    curves = found.Tensors(f'validation/{name}/pr_curves')
    assert [event.step for event in curves] == [3, 6]
    positives = curve_of(curves[-1])[[0, 3]].sum(axis=0)
    assert (positives == positives[0]).all()
  assert found.Images('augmented')
  # Another run in the same folder does not show the lines of this one.
  small_runs.run(config, path, 'balance', overwrite=True)
  assert not (path / 'tensorboard').exists()


def test_without_the_package_nothing_is_begun(config, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorboardX', None)
  config.train.tensorboard = True
  with pytest.raises(ValueError, match='tensorboardX, which is not in'):
    small_runs.run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_tensorflow_is_not_needed(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow', None)
  ones = np.ones((2, 1))
  with tensorboard.open_log(tmp_path) as log:
    log.write_line({'step': 1, 'loss': 1})
    log.write_curves(1, ['a'], ones, ones, ones == 1)


def test_a_trace_holds_the_steps_asked_for(tmp_path, capsys):
  import jax

  def double(state, _):
    return 2 * state, {}

  step = step_lib.TrainStep(jax.jit(double), jax.local_devices()[:1])
  state = np.float32(1)
  with log_lib.traced(step, tmp_path, num_steps=2) as traced:
    for _ in range(7):
      state, _ = traced.run(state, None)
  assert state == 128
  (folder,) = (tmp_path / 'plugins/profile').iterdir()
  assert (folder / 'perfetto_trace.json.gz').exists()
  (planes,) = folder.glob('*.xplane.pb')
  names = [
    event.name
    for plane in jax.profiler.ProfileData.from_file(str(planes)).planes
    for line in plane.lines
    for event in line.events
  ]
  assert names.count('train') == 2
  said = capsys.readouterr().out
  assert '2 steps traced' in said and str(folder) in said


@pytest.mark.parametrize(('calls', 'traces'), [(2, 0), (3, 0), (4, 1)])
def test_training_may_end_before_the_trace(tmp_path, capsys, calls, traces):
  step = step_lib.TrainStep(lambda s, b: (s, {}), [])
  with log_lib.traced(step, tmp_path, num_steps=9) as traced:
    for _ in range(calls):
      traced.run(np.float32(0), None)
  assert len([*tmp_path.glob('plugins/profile/*')]) == traces
  said = capsys.readouterr()
  assert ('1 steps traced' in said.out) == bool(traces)
  assert ('nothing was traced' in said.err) == (not traces)


@pytest.mark.long
def test_a_traced_run_comes_out_the_same(config, tmp_path):
  plain = small_runs.run(config, tmp_path / 'plain', 'balance')
  small_runs.run(config, plain, 'train')
  config.train.profile_steps = 2
  path = small_runs.run(config, tmp_path / 'traced', 'balance')
  small_runs.run(config, path, 'train')
  assert [*path.glob('profile/plugins/profile/*/*.xplane.pb')]
  assert small_runs.strip_times(path / 'metrics.jsonl') == (
    small_runs.strip_times(plain / 'metrics.jsonl')
  )
