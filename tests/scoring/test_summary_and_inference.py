"""Every row once on any batch and devices; the report against scikit-learn."""

import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import tracemalloc

import flax.linen as nn
import jax
import numpy as np
import pytest
from sklearn import metrics as sk

from aubal_jax.datasets import streams
from aubal_jax.network import heads
from aubal_jax.network import inference
from aubal_jax.network import models
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import metrics
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds as thresholds_lib
from aubal_jax.scoring.thresholds import Thresholds
from tests.makers import compiled

NAMES = ('AU01', 'AU02', 'AU04', 'AU06')


class Trunk(nn.Module):
  """Batch norm, enough to tell train from evaluation."""

  @nn.compact
  def __call__(self, image, *, train):
    x = image.reshape(image.shape[0], -1) - 0.5
    return nn.BatchNorm(use_running_average=not train)(x)


HEADS = [heads.Head('labels', 'binary', NAMES, 'bce')]


def make_predict(devices=None):
  net = models.Network(Trunk(), (('labels', 4),))
  return inference.make_predict(net, HEADS, devices)


@dataclasses.dataclass
class State:
  params: dict
  batch_stats: dict


def setup_net(num_images=13):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (num_images, 6, 5, 1), np.uint8)
  variables = models.Network(Trunk(), (('labels', 4),)).init(
    jax.random.key(0), {'image': images[:1]}
  )
  return images, State(variables['params'], variables['batch_stats'])


def predict_rows(state, read, rows, batch_size, devices=None):
  """Predicts rows of images that are read by a function."""
  seen = streams.of_images(read, (6, 5, 1))
  run = make_predict(devices)(state.params, state.batch_stats)
  found = inference.predict_rows(run, [seen], rows, batch_size=batch_size)
  return found['labels']


def expected(images, state):
  params = jax.tree.map(np.asarray, state.params)
  layer, norm = params['logits'], params['BatchNorm_0']
  x = images.reshape(len(images), -1) / 255.0 - 0.5
  x = x / np.sqrt(1 + 1e-5) * norm['scale'] + norm['bias']
  logits = x @ layer['kernel'] + layer['bias']
  return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize('batch_size', [1, 4, 5, 13, 64])
def test_every_row_once_whatever_the_batch_size(batch_size):
  images, state = setup_net()
  rows = np.array([12, 0, 3, 3, 7, 1, 2, 4, 5, 6, 8])
  got = predict_rows(state, images.__getitem__, rows, batch_size)
  assert got.dtype == np.float32 and got.shape == (11, 4)
  np.testing.assert_allclose(got, expected(images[rows], state), atol=1e-6)


def test_the_state_goes_to_the_devices_once_for_all_batches():
  images, state = setup_net()
  predict = make_predict()
  assert len(jax.local_devices()) == 4
  with (
    jax.transfer_guard_device_to_device('disallow_explicit'),
    pytest.raises(Exception, match='Disallowed device-to-device'),
  ):
    predict(state.params, state.batch_stats)  # Or this test could not fail.
  run = predict(state.params, state.batch_stats)
  with jax.transfer_guard_device_to_device('disallow'):
    got = [run({'image': images[i : i + 4]})['labels'] for i in (0, 4, 8)]
  np.testing.assert_allclose(
    np.concatenate(got), expected(images[:12], state), atol=1e-6
  )


def test_a_state_on_all_devices_is_not_copied():
  """As after a training step, so that validation costs no copy."""
  images, state = setup_net()
  mesh = jax.make_mesh((4,), ('x',))
  whole = jax.NamedSharding(mesh, jax.P())
  params, stats = jax.device_put((state.params, state.batch_stats), whole)
  with jax.transfer_guard_device_to_device('disallow_explicit'):
    got = make_predict()(params, stats)({'image': images[:12]})['labels']
  np.testing.assert_allclose(got, expected(images[:12], state), atol=1e-6)


def test_equal_models_share_a_program():
  images, state = setup_net()

  def predict_by_two():
    for _ in range(2):
      make_predict()(state.params, state.batch_stats)({'image': images[:12]})

  programs = compiled.programs_of(predict_by_two)
  assert programs and len(programs) == len({*programs})


def test_no_rows_and_no_batch_are_errors():
  images, state = setup_net()
  with pytest.raises(ValueError, match='rows must name at least one image'):
    predict_rows(state, images.__getitem__, [], 4)
  with pytest.raises(
    ValueError, match='batch_size must be at least 1, but is 0'
  ):
    predict_rows(state, images.__getitem__, [0], 0)


def environment(num_devices):
  root = str(pathlib.Path(__file__).parents[2])
  return {
    **os.environ,
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={num_devices}',
    'JAX_PLATFORMS': 'cpu',
    'PYTHONPATH': root,
  }


def test_three_devices_equal_one():
  images, state = setup_net()
  assert len(jax.local_devices()) > 3
  for devices in (jax.local_devices()[:3], jax.local_devices()[1:2]):
    got = predict_rows(state, images.__getitem__, np.arange(13), 5, devices)
    np.testing.assert_allclose(got, expected(images, state), atol=1e-6)


def test_two_processes_share_the_rows():
  """Also where there are fewer rows than processes."""
  code = (
    'import sys, jax\n'
    "jax.config.update('jax_cpu_collectives_implementation', 'gloo')\n"
    'jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))\n'
    'import numpy as np\n'
    'from tests.scoring import test_summary_and_inference as t\n'
    'images, state = t.setup_net()\n'
    'read = []\n'
    'for n in (13, 1):\n'
    '  got = t.predict_rows(state,\n'
    '    lambda r: (read.extend(r), images[r])[1],\n'
    '    np.arange(n), 5)\n'
    '  want = t.expected(images[:n], state)\n'
    '  np.testing.assert_allclose(got, want, atol=1e-6)\n'
    'assert len(read) == 7 + 1, read\n'
  )
  with socket.socket() as free:
    free.bind(('localhost', 0))
    address = f'localhost:{free.getsockname()[1]}'
  command = [sys.executable, '-c', code, address]
  pipe = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True}
  running = [
    subprocess.Popen([*command, str(i)], env=environment(1), **pipe)
    for i in range(2)
  ]
  try:
    said = [process.communicate(timeout=1200)[0] for process in running]
  finally:
    for process in running:
      process.kill()
  assert [process.returncode for process in running] == [0, 0], said


def fake(num_images=240, seed=0):
  rng = np.random.default_rng(seed)
  label = rng.random((num_images, 4)) < [0.5, 0.1, 0.0, 0.3]
  known = rng.random(label.shape) < 0.9
  probability = 1 / (1 + np.exp(-rng.normal(1.5 * label - 1.2)))
  groups = np.array([f's{i}' for i in rng.integers(0, 12, num_images)])
  return probability.astype(np.float32), label.astype(np.uint8), known, groups


def summarise(**changes):
  probability, label, known, groups = fake()
  arguments = {
    'probability': probability,
    'label': label,
    'known': known,
    'thresholds': Thresholds(
      np.array([0.3, 0.4, 0.5, 0.2]), 0.6, np.array([30, 0, 4, 10])
    ),
    'label_names': NAMES,
    'groups': groups,
    'num_resamples': 50,
  }
  arguments.update(changes)
  return summary.summarise(**arguments)


def test_report_equals_scikit_learn():
  probability, label, known, _ = fake()
  report = summarise(split='test', num_dropped=3)
  assert report['num_images'] == 240 and report['num_images_dropped'] == 3
  assert report['labels_without_positives'] == ['AU04']
  assert list(report['per_label']) == report['label_names'] == list(NAMES)
  f1 = []
  for i, name in enumerate(NAMES):
    entry, k = report['per_label'][name], known[:, i]
    truth, score = label[k, i], probability[k, i]
    assert entry['known'] == k.sum() and entry['positives'] == truth.sum()
    for part, t in ((entry, 0.5), (entry['tuned'], (0.3, 0.4, 0.5, 0.2)[i])):
      p, r, f, _ = sk.precision_recall_fscore_support(
        truth, score >= t, average='binary', zero_division=0
      )
      assert part['threshold'] == t
      got = part['precision'], part['recall'], part['f1']
      np.testing.assert_allclose(got, (p, r, f), atol=1e-6)
      assert sum(part[x] for x in ('tp', 'fp', 'fn', 'tn')) == k.sum()
    f1.append(entry['f1'])
    assert entry['f1_all_positive'] == pytest.approx(
      sk.f1_score(truth, np.ones(len(truth)), zero_division=0), abs=1e-6
    )
    if name != 'AU04':
      assert entry['auc'] == pytest.approx(
        sk.roc_auc_score(truth, score), abs=1e-6
      )
  assert report['per_label']['AU04']['auc'] is None
  assert report['f1_macro'] == pytest.approx(np.mean(f1), abs=1e-6)
  correct = (probability >= 0.5) == label
  assert report['accuracy'] == pytest.approx(correct[known].mean(), abs=1e-6)
  assert report['awc'] == pytest.approx(
    (report['f1_macro'] + report['accuracy']) / 2, abs=1e-6
  )
  pooled = report['pooled']
  assert pooled['f1'] == report['f1_micro']
  assert pooled['auc'] == pytest.approx(
    sk.roc_auc_score(label[known], probability[known]), abs=1e-6
  )
  floors = report['floors']
  assert floors['all_negative']['f1_macro'] == 0
  assert floors['all_negative']['accuracy'] == pytest.approx(
    1 - label[known].mean(), abs=1e-6
  )
  assert floors['all_positive']['f1_macro'] == pytest.approx(
    np.mean([report['per_label'][n]['f1_all_positive'] for n in NAMES]),
    abs=1e-6,
  )


@pytest.mark.parametrize('seed', range(5))
def test_shrunk_thresholds_are_scored_beside_the_tuned(seed):
  """Against counting decisions, of thresholds mixed by hand."""
  probability, label, known, _ = fake()
  rng = np.random.default_rng(seed)
  own, one, behind = rng.random(4), rng.random(), rng.integers(0, 30, 4)
  report = summarise(thresholds=Thresholds(own, one, behind))
  logits = np.log(own / (1 - own)), np.log(one / (1 - one))
  mixed = (behind * logits[0] + 10 * logits[1]) / (behind + 10)
  at = 1 / (1 + np.exp(-mixed))
  f1 = []
  for i, name in enumerate(NAMES):
    entry, k = report['per_label'][name], known[:, i]
    found = entry['shrunk']
    said = probability[k, i] >= at[i]
    f1.append(sk.f1_score(label[k, i], said, zero_division=0))
    assert found['f1'] == pytest.approx(f1[-1], abs=1e-6)
    assert found['threshold'] == pytest.approx(at[i], rel=1e-8)
    assert entry['threshold_positives'] == behind[i]
    assert found['f1_interval'][0] <= found['f1'] <= found['f1_interval'][1]
  assert report['shrunk']['f1_macro'] == pytest.approx(np.mean(f1), abs=1e-6)
  assert report['threshold_of_all'] == pytest.approx(one, rel=1e-8)
  said = (probability >= at)[known]
  pooled = sk.f1_score(label[known], said)
  assert report['pooled']['shrunk']['f1'] == pytest.approx(pooled, abs=1e-6)


def test_thresholds_of_an_older_checkpoint_are_not_shrunk():
  older = summarise(thresholds=Thresholds(np.array([0.3, 0.4, 0.5, 0.2])))
  report = summarise()
  assert 'shrunk' not in older and older['threshold_of_all'] is None
  assert older['tuned'] == report['tuned']
  assert older['per_label'][NAMES[0]]['threshold_positives'] is None


def test_report_is_plain_json_and_the_same_again():
  first, second = (json.dumps(summarise(), allow_nan=False) for _ in range(2))
  assert first == second
  assert json.loads(first) == summarise()
  assert first != json.dumps(summarise(seed=1))


def test_order_of_images_does_not_matter():
  probability, label, known, groups = fake()
  p = np.random.default_rng(1).permutation(len(label))
  shuffled = summarise(
    probability=probability[p], label=label[p], known=known[p], groups=groups[p]
  )
  assert shuffled == summarise()


def test_interval_is_that_of_resampled_groups():
  """Against a loop that draws subjects and counts their images again."""
  probability, label, known, groups = fake()
  unit = bootstrap.units(240, groups)
  decided = [metrics.decisions(probability, label.astype(bool), known)]
  (got,) = bootstrap.resample(decided, unit, 40, seed=3)
  rng = np.random.default_rng((3, 0))
  for r, drawn in enumerate(rng.integers(12, size=(40, 12))):
    rows = np.concatenate([np.flatnonzero(unit == u) for u in drawn])
    want = metrics.Confusion.from_probabilities(
      probability[rows], label[rows], known[rows]
    )
    for field in dataclasses.fields(want):
      np.testing.assert_array_equal(
        getattr(got, field.name)[r], getattr(want, field.name)
      )
  report = summarise(num_resamples=40, seed=3)
  low, high = report['f1_macro_interval']
  np.testing.assert_allclose(
    [low, high], np.quantile(got.f1_macro, [0.025, 0.975]), atol=1e-6
  )
  assert low < report['f1_macro'] < high


def test_interval_of_images_has_the_width_theory_gives():
  """Accuracy of one label is a binomial share: sd = sqrt(p (1 - p) / n)."""
  rng = np.random.default_rng(0)
  label = rng.random((2000, 1)) < 0.3
  probability = np.where(rng.random(label.shape) < 0.8, label, ~label) * 0.8
  report = summary.summarise(
    probability,
    label,
    None,
    thresholds=Thresholds(np.array([0.5])),
    label_names=['a'],
  )
  low, high = report['accuracy_interval']
  p = report['accuracy']
  sd = (p * (1 - p) / 2000) ** 0.5
  assert (high - low) / (2 * 1.96 * sd) == pytest.approx(1, abs=0.1)
  assert report['bootstrap']['unit'] == 'image'


def test_one_group_has_no_interval():
  report = summarise(groups=np.array(['s'] * 240))
  assert 'f1_macro_interval' not in report
  assert report['bootstrap']['num_resamples'] == 0


def test_images_without_a_group_are_each_their_own():
  """As if each had a name nobody else has; and not one large group."""
  groups = fake()[3].astype('U8')
  groups[::3] = ''
  named = np.where(groups == '', [f'z{i:03}' for i in range(240)], groups)
  for thresholds in (None, Thresholds(np.full(4, 0.5))):
    got = summarise(groups=groups, thresholds=thresholds)
    assert got == summarise(groups=named, thresholds=thresholds)
    assert got['bootstrap']['num_units'] == 12 + 80
  plain = summarise(groups=groups.astype(object))
  assert plain['bootstrap']['num_units'] == 12 + 80
  nothing = summarise(groups=[''] * 240)
  assert nothing['bootstrap']['num_units'] == 240


def test_thresholds_without_a_test_split_come_from_the_other_half():
  probability, label, known, groups = fake()
  report = summarise(thresholds=None, split='validation')
  assert report['cross_fitted'] and not summarise()['cross_fitted']
  half = bootstrap.halves(bootstrap.units(240, groups), seed=0)
  for subject in np.unique(groups):
    assert len(np.unique(half[groups == subject])) == 1
  assert abs(np.sum(half == 0) - np.sum(half == 1)) < 40
  total = None
  for h in (0, 1):
    mine, other = half == h, half != h
    t = metrics.tune_thresholds(probability[other], label[other], known[other])
    part = metrics.Confusion.from_probabilities(
      probability[mine], label[mine], known[mine], t
    )
    total = part if total is None else total + part
    for i, name in enumerate(NAMES):
      got = report['per_label'][name]['tuned']['thresholds_of_halves'][h]
      assert got == pytest.approx(t[i], rel=1e-8)
  assert report['tuned']['f1_macro'] == pytest.approx(total.f1_macro, abs=1e-6)
  whole = metrics.tune_thresholds(probability, label, known)
  for i, name in enumerate(NAMES):
    tuned = report['per_label'][name]['tuned']
    assert tuned['threshold'] == pytest.approx(whole[i], rel=1e-8)


@pytest.mark.parametrize('seed', range(3))
def test_shrunk_thresholds_are_cross_fitted_as_the_tuned_are(seed):
  probability, label, known, groups = fake()
  report = summarise(thresholds=None, seed=seed)
  half = bootstrap.halves(bootstrap.units(240, groups), seed=seed)
  at = np.empty(label.shape)
  for h in (0, 1):
    other = half != h
    at[half == h] = thresholds_lib.find(
      probability[other], label[other], known[other]
    ).shrunk
  counts = metrics.Confusion.from_probabilities(probability, label, known, at)
  assert report['shrunk']['f1_macro'] == round(counts.f1_macro, 6)
  whole = thresholds_lib.find(probability, label, known)
  assert report['threshold_of_all'] == pytest.approx(whole.of_all, rel=1e-8)
  for i, name in enumerate(NAMES):
    entry = report['per_label'][name]
    assert entry['shrunk']['f1'] == round(counts.f1[i], 6)
    assert entry['shrunk']['threshold'] == pytest.approx(whole.shrunk[i])
    assert entry['threshold_positives'] == (label & known)[:, i].sum()
    halves = [at[half == h][0, i] for h in (0, 1)]
    assert entry['shrunk']['thresholds_of_halves'] == pytest.approx(halves)


def test_errors_of_summarise():
  with pytest.raises(ValueError, match='4 distinct names'):
    summarise(label_names=('a', 'a', 'b', 'c'))
  with pytest.raises(ValueError, match='groups must name the group of each'):
    summarise(groups=np.array(['s'] * 3))
  with pytest.raises(ValueError, match='at least one image'):
    summarise(probability=np.zeros((0, 4)), label=np.zeros((0, 4)), known=None)


def test_a_thousand_resamples_are_not_held_at_once():
  rng = np.random.default_rng(0)
  label = rng.random((20_000, 8)) < 0.2
  decided = [
    metrics.decisions(rng.random(label.shape), label, np.ones_like(label))
  ] * 2
  tracemalloc.start()
  try:
    bootstrap.resample(decided, np.arange(20_000), 1000, seed=0)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert peak < 100e6  # 1,000 times 20,000 numbers are 160 MB.


@pytest.mark.parametrize('seed', range(8))
def test_what_validation_finds_is_that_of_scikit_learn(seed):
  rng = np.random.default_rng(seed)
  probability = rng.random((30, 4)).round(1)  # With ties, at .5 as well.
  label, known = rng.random((2, 30, 4)) < [[[0.3]], [[0.8]]]
  label[:, seed % 4] = False  # A label without a positive has no AP.
  found = summary.of_validation(probability, label, known)
  assert [*found] == [s.name for s in summary.scores_in('validation')]
  columns = [
    (label[known[:, k], k], probability[known[:, k], k]) for k in range(4)
  ]
  areas = [sk.average_precision_score(y, p) for y, p in columns if y.any()]
  assert found['map'] == pytest.approx(np.mean(areas))
  f1 = [sk.f1_score(y, p >= 0.5, zero_division=0) for y, p in columns]
  assert found['f1_macro'] == pytest.approx(np.mean(f1))
  right = [(y == (p >= 0.5)) for y, p in columns]
  assert found['accuracy'] == pytest.approx(np.concatenate(right).mean())
  nothing = summary.of_validation(probability, label & False, known)
  assert nothing['map'] == 0
