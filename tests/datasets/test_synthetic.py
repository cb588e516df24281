"""Drawn faces: labels with Table I's imbalance, subjects, pictures."""

import json
import pathlib

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import action_units
from aubal_jax.datasets import loading
from aubal_jax.datasets.drawn import face_parts
from aubal_jax.datasets.drawn import faces
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets

# Table I, column "non-aug": images with AU01, AU02, AU04, AU06, AU12, AU15,
# AU20, AU25, and all images.
TABLE = np.array([62180, 12699, 48209, 18455, 33237, 5306, 9600, 28175])
IMAGES = 322551


@pytest.fixture(scope='module')
def data():
  return synthetic.load(num_train=600, num_validation=60, num_test=120, seed=3)


def _view(code=None, seed=0, size=112):
  """One picture of one subject, at rest or with one action unit."""
  subject = faces.make_subject(np.random.default_rng([seed, 0]))
  intensity = np.array([c == code for c in action_units.CODES], float)
  rng = np.random.default_rng([seed, 1])
  return faces.draw_face(subject, intensity, rng, size).astype(int)


def test_action_units_are_the_papers_in_its_order():
  assert action_units.CODES == (
    'AU01', 'AU02', 'AU04', 'AU06', 'AU12', 'AU15', 'AU20', 'AU25',
  )  # fmt: skip


def test_joint_has_table1s_totals():
  patterns, counts = synthetic.joint()
  np.testing.assert_array_equal(counts @ patterns, TABLE)
  assert counts.sum() == IMAGES
  assert len(np.unique(patterns, axis=0)) == len(patterns)


@pytest.mark.parametrize('num_rows', [100, 800, 2400])
@pytest.mark.parametrize('seed', range(5))
def test_every_split_keeps_table1s_ratios(num_rows, seed):
  labels = synthetic.draw_labels(num_rows, np.random.default_rng(seed))
  error = np.abs(labels.sum(axis=0) - TABLE / IMAGES * num_rows)
  rarest = np.argsort(TABLE)
  assert error[rarest[0]] < 1
  assert (error[rarest[1:]] < 1 + 2.0 ** np.arange(7)).all()
  assert error.max() < 10


def test_a_small_split_still_shows_the_rarest_unit():
  labels = synthetic.draw_labels(800, np.random.default_rng(1))
  assert labels[:, action_units.CODES.index('AU15')].sum() in (13, 14)


def test_labels_are_in_no_order(data):
  # Were the rows in the order of the draw, AU15 would come in one run.
  rows = np.flatnonzero(data.labels[:600, action_units.CODES.index('AU15')])
  assert len(rows) >= 8
  assert np.ptp(rows) > 200


def test_labelsets_come_as_often_as_in_the_joint():
  patterns, counts = synthetic.joint()
  labels = synthetic.draw_labels(5000, np.random.default_rng(0))
  found = (labels[:, None] == patterns).all(axis=2).sum(axis=0)
  assert found.sum() == 5000
  assert np.abs(found - counts / IMAGES * 5000).max() < 1


def test_load_returns_a_whole_dataset(data):
  assert data.num_rows() == {
    'train': 600, 'validation': 60, 'test': 120, 'dropped': 0,
  }  # fmt: skip
  assert data.labels.shape == (780, 8)
  assert data.labels.dtype == np.uint8
  assert data.known.all()
  assert data.label_names == action_units.CODES
  assert len(set(data.ids)) == 780


def test_subjects_never_cross_a_split(data):
  people = [set(data.groups[data.rows(s)]) for s in
            ('train', 'validation', 'test')]  # fmt: skip
  assert [len(p) for p in people] == [50, 20, 20]
  assert len(set.union(*people)) == 90
  sizes = np.unique(data.groups[data.rows('train')], return_counts=True)[1]
  assert sizes.min() == sizes.max() == 12


def test_ids_name_split_and_subject(data):
  for row in (0, 599, 600, 779):
    split, subject, name = data.ids[row].split('/')
    assert (split, subject) == (data.split[row], data.groups[row])
    assert name.endswith('.png')


def test_a_subject_looks_the_same_in_all_its_images():
  # Greys of hair and skin are the subject's; a picture's own light is not.
  one = faces.make_subject(np.random.default_rng(0))
  assert one == faces.make_subject(np.random.default_rng(0))
  assert one != faces.make_subject(np.random.default_rng(1))


def test_image_does_not_depend_on_its_company(data):
  together = data.load_images(np.arange(590, 610))
  for rows in ([605], [605, 591], np.arange(609, 589, -1)):
    alone = data.load_images(rows)
    for image, row in zip(alone, rows, strict=True):
      np.testing.assert_array_equal(image, together[row - 590])


def test_images_do_not_depend_on_the_sizes_of_other_splits(data):
  other = synthetic.load(num_train=5, num_validation=60, num_test=0, seed=3)
  np.testing.assert_array_equal(other.labels[5:], data.labels[600:660])
  np.testing.assert_array_equal(
    other.load_images([5, 40]), data.load_images([600, 635])
  )


@pytest.mark.parametrize('size, channels', [(112, 1), (48, 3), (16, 1)])
def test_shapes_and_dtypes(size, channels):
  data = synthetic.load(
    num_train=3,
    num_validation=0,
    num_test=2,
    seed=0,
    image_size=size,
    channels=channels,
  )
  images = data.load_images(np.array([4, 0, 2]))
  assert images.shape == (3, size, size, channels)
  assert images.dtype == np.uint8
  assert (images == images[..., :1]).all()
  assert (images.reshape(3, -1).std(axis=1) > 5).all()
  assert data.load_images([]).shape == (0, size, size, channels)


def test_seeds_differ_and_repeat(data):
  again = synthetic.load(num_train=600, num_validation=60, num_test=120, seed=3)
  np.testing.assert_array_equal(again.labels, data.labels)
  np.testing.assert_array_equal(
    again.load_images([7, 700]), data.load_images([7, 700])
  )
  other = synthetic.load(num_train=600, num_validation=60, num_test=120, seed=4)
  assert (other.labels != data.labels).any()
  assert (other.load_images([7]) != data.load_images([7])).mean() > 0.5


def test_splits_have_different_people_and_views(data):
  # The first image of each split, were the split forgotten, would be one.
  images = data.load_images([0, 600, 660])
  assert (images[0] != images[1]).mean() > 0.5
  assert (images[1] != images[2]).mean() > 0.5


# Head coordinates y (the eyes are at -0.17, the mouth at 0.7, the chin at
# 1.3) between which a unit may change the picture.
REGIONS = {
  'AU01': (-1.0, -0.3),
  'AU02': (-1.0, -0.3),
  'AU04': (-0.7, -0.1),
  'AU06': (-0.35, 0.4),
  'AU12': (0.2, 1.0),
  'AU15': (0.5, 1.2),
  'AU20': (0.5, 1.0),
  'AU25': (0.55, 1.45),
}


@pytest.mark.parametrize('code', action_units.CODES)
def test_a_unit_changes_its_region_and_no_other(code):
  x, y = np.meshgrid(np.linspace(-0.9, 0.9, 91), np.linspace(-1.2, 1.4, 131))
  head = np.stack([x.ravel(), y.ravel()], axis=1)
  low, high = REGIONS[code]
  inside = (head[:, 1] > low) & (head[:, 1] < high)
  for seed in range(4):
    change = np.abs(_view(code, seed) - _view(None, seed)) > 15
    pixels = faces.project(
      head, faces.draw_view(np.random.default_rng([seed, 1])), 112
    )
    column, row = np.floor(pixels).astype(int).T
    changed = change[row, column]
    assert change.sum() > 80, seed  # Pixels of 112 x 112.
    assert changed[~inside].sum() < 0.05 * changed.sum(), seed


def test_inner_brow_moves_up_and_lips_show_a_dark_gap():
  rest, raised = _view(None), _view('AU01')
  changed = np.abs(raised - rest) > 25
  above = raised[changed] < rest[changed]
  rows = np.nonzero(changed)[0]
  assert rows[above].mean() < rows[~above].mean() - 2  # Dark came in above.
  lips = _view('AU25')
  changed = np.abs(lips - rest) > 25
  assert lips[changed].min() < 40 < 120 < lips[changed].max()  # Gap, teeth.


def test_intensity_matters():
  areas = []
  rest = _view(None)
  for strength in (0.3, 0.6, 1.0):
    intensity = np.zeros(8)
    intensity[7] = strength
    rng = np.random.default_rng([0, 1])
    subject = faces.make_subject(np.random.default_rng([0, 0]))
    face = faces.draw_face(subject, intensity, rng, 112).astype(int)
    areas.append((np.abs(face - rest) > 15).sum())
  assert areas[0] < areas[1] < areas[2]


@pytest.mark.parametrize(
  'code, right, down',
  [('AU12', 1, -1), ('AU15', 0, 1), ('AU20', 1, 0), ('AU25', 0, 0)],
)
def test_corner_of_the_mouth_moves_in_proportion(code, right, down):
  subject = faces.make_subject(np.random.default_rng(0))
  corners = []
  for strength in (0.0, 0.5, 1.0):
    a = dict.fromkeys(action_units.CODES, 0.0) | {code: strength}
    outline, _, _ = next(face_parts._mouth(subject, a))
    corners.append(outline[outline[:, 0].argmax()])
  half, full = corners[1] - corners[0], corners[2] - corners[0]
  np.testing.assert_allclose(full, 2 * half, atol=1e-12)
  # 0.08 is 2.4 pixels of 112, more than two people differ at rest.
  np.testing.assert_array_equal(
    np.where(np.abs(full) > 0.08, np.sign(full), 0), [right, down]
  )


def test_gap_between_the_lips_opens_in_proportion():
  subject = faces.make_subject(np.random.default_rng(0))
  heights = []
  for strength in (0.5, 1.0):
    a = dict.fromkeys(action_units.CODES, 0.0) | {'AU25': strength}
    gap = next(p for p, grey, _ in face_parts._mouth(subject, a) if grey == 14)
    heights.append(gap[13:, 1].max() - gap[:13, 1].min())
  rest = subject.mouth_curve
  assert heights[1] + rest == pytest.approx(2 * (heights[0] + rest), rel=0.2)
  assert heights[1] > 0.2


def test_labels_decide_what_is_drawn(data):
  # A table of pictures against labels: the darkest spot of the mouth region
  # tells open from closed lips much better than chance.
  column = action_units.CODES.index('AU25')
  with_unit = np.flatnonzero(data.labels[:, column] == 1)[:40]
  without = np.flatnonzero(data.labels[:, column] == 0)[:40]
  dark = [
    np.sort(data.load_images(rows)[:, 60:92, 36:76, 0].reshape(40, -1))[:, 12]
    for rows in (with_unit, without)
  ]
  wins = (dark[0][:, None] < dark[1][None, :]).mean()
  assert wins > 0.7


def test_rows_outside_the_table_are_refused():
  data = synthetic.load(num_train=3, num_validation=0, num_test=0, seed=0)
  with pytest.raises(IndexError):
    data.load_images([3])


def test_the_joint_lies_in_the_package_as_compact_json():
  path = pathlib.Path(synthetic.__file__).with_name('table1_joint.json')
  table = json.loads(path.read_text())
  assert table['label_names'] == list(action_units.CODES)
  assert path.stat().st_size < 20_000


def test_the_made_up_table():
  data = synthetic.load_table()
  counts = data.labels.sum(axis=0)
  patterns, number = synthetic.joint()
  share = number @ patterns / number.sum()
  assert np.abs(counts - share * len(data)).max() < 70
  assert labelsets.imbalance(data.labels)['mean_ir'] > 3
  # A positive is told from a negative, but not surely.
  for k in range(8):
    one, zero = (data.features[data.labels[:, k] == y] for y in (1, 0))
    direction = one.mean(0) - zero.mean(0)
    assert (one @ direction).mean() > (zero @ direction).mean()
    assert (one @ direction).min() < (zero @ direction).max()
  again = synthetic.load_table()
  np.testing.assert_array_equal(data.features, again.features)
  assert data.fingerprint() != synthetic.load_table(seed=1).fingerprint()


@pytest.mark.parametrize('name', ['synthetic', 'synthetic_table'])
def test_path_beside_drawn_data_is_refused(name):
  config = settings.default()
  config.data.name = name
  config.data.path = 'sets/mine.csv'
  with pytest.raises(errors.UserError, match=r'sets/mine\.csv is not read'):
    loading.load(config)
