"""Drawn faces with expression, valence and arousal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aubal_jax import settings
from aubal_jax.datasets import action_units
from aubal_jax.datasets import loading
from aubal_jax.datasets.drawn import expressions
from aubal_jax.datasets.drawn import face_parts
from aubal_jax.datasets.drawn import faces
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.runs import errors

SEEDS = st.integers(0, 2**31)
SIZES = {'num_train': 90, 'num_validation': 30, 'num_test': 20}
# Expression -> its labels, and valence and arousal, of the specification.
TABLE = {
  'Neutral': ('', 0.0, 0.0),
  'Anger': ('AU04', -0.5, 0.7),
  'Disgust': ('AU04 AU15', -0.7, 0.3),
  'Fear': ('AU01 AU02 AU04 AU20 AU25', -0.6, 0.8),
  'Happiness': ('AU06 AU12', 0.8, 0.4),
  'Sadness': ('AU01 AU15', -0.7, -0.4),
  'Surprise': ('AU01 AU02 AU25', 0.2, 0.8),
}


def load(seed=0, **options):
  return expressions.load(**SIZES | {'seed': seed, 'image_size': 48} | options)


@given(SEEDS)
def test_labels_and_affect_follow_the_expression(seed):
  data = load(seed)
  mood, affect = (
    data.targets[name] for name in ('expression', 'valence_arousal')
  )
  assert mood.names == tuple(TABLE)
  lips = action_units.CODES.index('AU25')
  speaks = 0
  for row, code in enumerate(mood.values.tolist()):
    units, valence, arousal = TABLE[mood.names[code]]
    expected = [name in units.split() for name in action_units.CODES]
    speaks += data.labels[row, lips] and not expected[lips]
    expected[lips] |= bool(data.labels[row, lips])
    np.testing.assert_array_equal(data.labels[row], expected)
    centre = np.array([valence, arousal])
    scale = np.linalg.norm(affect.values[row])
    if scale:
      scale /= np.linalg.norm(centre)
      assert 0.5 - 1e-6 <= scale <= 1 + 1e-6
    np.testing.assert_allclose(affect.values[row], scale * centre, atol=1e-6)
  assert 10 < speaks < 60  # Of 140, of which 5 / 7 have no AU25 else: 30.
  assert all(target.known.all() for target in data.targets.values())


@given(SEEDS, st.floats(1, 30))
def test_expressions_come_in_their_ratio(seed, ratio):
  truth = expressions.draw_truth(700, np.random.default_rng(seed), ratio)
  counts = np.bincount(truth.codes, minlength=7)
  order = [expressions.NAMES.index(n) for n in expressions._BY_FREQUENCY]
  shares = ratio ** -np.linspace(0, 1, 7)
  expected = 700 * shares / shares.sum()
  assert np.abs(counts[order] - expected).max() <= 1


@given(SEEDS, st.booleans(), st.sets(st.sampled_from(expressions.TARGETS)))
def test_masks_come_after_the_truth(seed, apart, targets):
  if not targets:
    with pytest.raises(errors.UserError, match='drawn_targets is empty'):
      load(seed, targets=())
    return
  whole, data = load(seed), load(seed, targets=[*targets], apart=apart)
  assert {*data.targets} == {'labels', *targets}
  train = data.split == 'train'
  known = np.zeros(len(data), int)
  for name in targets:
    target, truth = data.targets[name], whole.targets[name]
    known += target.rows_known
    np.testing.assert_array_equal(
      target.values[target.rows_known], truth.values[target.rows_known]
    )
    assert not target.values[~target.rows_known].any()
    assert target.rows_known[~train].all()
    if apart:
      assert abs(target.rows_known[train].sum() - 90 / len(targets)) < 1
  np.testing.assert_array_equal(known, np.where(train & apart, 1, len(targets)))
  if 'labels' not in targets:
    assert data.labels.shape == (140, 0)
  rows = np.array([0, 95, 139])
  np.testing.assert_array_equal(data.load_images(rows), whole.load_images(rows))


def views(seed, size, intensity, hidden):
  """One face at one view, for each of some hidden units."""
  subject = faces.make_subject(np.random.default_rng([seed, 0]))
  return [
    faces.draw_face(
      subject, intensity, np.random.default_rng([seed, 1]), size, one
    ).astype(int)
    for one in hidden
  ]


@hypothesis_settings(max_examples=20)
@given(SEEDS)
def test_what_is_not_hidden_is_drawn_as_ever(seed):
  rng = np.random.default_rng(seed)
  intensity = rng.random(8) * (rng.random(8) < 0.5)
  nothing = dict.fromkeys(face_parts.HIDDEN, 0.0)
  before, after = views(seed, 48, intensity, [None, nothing])
  np.testing.assert_array_equal(before, after)


# Head coordinates y between which a hidden unit changes the picture.
REGIONS = {'AU07': (-0.5, 0.1), 'AU09': (-0.25, 0.45)}


@pytest.mark.parametrize('code', face_parts.HIDDEN)
@pytest.mark.parametrize('seed', range(4))
def test_a_hidden_unit_changes_its_region_and_no_other(code, seed):
  rest, half, whole = views(
    seed, 112, np.zeros(8), [None, {code: 0.5}, {code: 1.0}]
  )
  change = np.abs(whole - rest) > 15
  x, y = np.meshgrid(np.linspace(-0.9, 0.9, 91), np.linspace(-1.2, 1.4, 131))
  head = np.stack([x.ravel(), y.ravel()], axis=1)
  low, high = REGIONS[code]
  inside = (head[:, 1] > low) & (head[:, 1] < high)
  pixels = faces.project(
    head, faces.draw_view(np.random.default_rng([seed, 1])), 112
  )
  column, row = np.floor(pixels).astype(int).T
  changed = change[row, column]
  assert change.sum() > 60
  assert changed[~inside].sum() < 0.05 * changed.sum()
  assert np.abs(half - rest).sum() < np.abs(whole - rest).sum()


@hypothesis_settings(max_examples=10)
@given(SEEDS)
def test_people_and_splits_are_those_of_the_other_drawn_faces(seed):
  data, other = load(seed), synthetic.load(**SIZES, seed=seed)
  for name in ('split', 'ids', 'groups'):
    np.testing.assert_array_equal(getattr(data, name), getattr(other, name))
  assert data.fingerprint() == load(seed).fingerprint()
  assert data.fingerprint() != load(seed + 1).fingerprint()
  assert data.fingerprint() != load(seed, apart=True).fingerprint()


def test_settings_lead_to_them():
  config = settings.default()
  config.data.num_train, config.data.num_validation = 20, 5
  plain = loading.load(config)
  assert {*plain.targets} == {'labels'}
  config.data.drawn_targets = ('labels', 'expression')
  config.data.drawn_ratio = 4.0
  config.data.drawn_apart = True
  settings.check(config)
  data = loading.load(config)
  assert {*data.targets} == {'labels', 'expression'}
  train = data.split == 'train'
  assert data.targets['expression'].known[train].sum() == 10
  assert 'expression, one of them' in data.notes[0]
  # Anger has no label of its own that Disgust lacks: the picture tells.
  rows = data.targets['expression'].values == 1
  assert data.load_images(np.flatnonzero(rows)[:1]).shape == (1, 112, 112, 1)


@pytest.mark.parametrize('seed', range(5))
def test_a_film_moves_smoothly_and_each_person_by_itself(seed):
  sizes = {'num_train': 90, 'num_validation': 23, 'num_test': 7}
  still = expressions.load(seed=seed, image_size=16, **sizes)
  film = expressions.load(seed=seed, image_size=16, film=True, **sizes)
  assert still.frames is None
  assert film.groups.tolist() == still.groups.tolist()
  affect = film.targets['valence_arousal'].values
  for group in {*film.groups}:
    rows = np.flatnonzero(film.groups == group)
    assert film.frames[rows].tolist() == [*range(len(rows))]
    poses = rows[::4]
    was = still.targets['valence_arousal'].values
    np.testing.assert_allclose(affect[poses], was[poses], atol=1e-6)
    # Between two poses it is a straight line.
    for start in poses:
      between = affect[start : min(start + 5, rows[-1] + 1)]
      bend = np.diff(between, 2, axis=0)
      np.testing.assert_allclose(bend, 0, atol=1e-6)
  codes = film.targets['expression'].values
  assert {*np.unique(codes)} <= {*range(len(expressions.NAMES))}
  assert film.load_images([0, 1]).shape == (2, 16, 16, 1)
