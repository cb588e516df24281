"""ExpW and AFEW-VA: faces that are pieces of images."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from aubal_jax.datasets import annotations
from aubal_jax.datasets import merged
from aubal_jax.datasets import splits
from aubal_jax.datasets.readers import afew_va
from aubal_jax.datasets.readers import expw
from aubal_jax.media import images
from aubal_jax.runs import errors
from tests.makers import face_sets

SEEDS = st.integers(0, 2**31)


@settings(max_examples=15)
@given(SEEDS)
def test_expw_has_a_row_for_each_face(tmp_path_factory, seed):
  folder, rows = face_sets.expw(tmp_path_factory.mktemp('set'), seed)
  found = expw.read(folder)
  assert found.labels.shape == (len(rows), 0) and found.split is None
  mood = found.targets['expression']
  assert sorted(found.ids) == sorted(rows)
  for row, name in enumerate(found.ids.tolist()):
    expression, (left, top, right, bottom), reason = rows[name]
    assert mood.names[mood.values[row]] == expression
    assert found.corners[row].tolist() == [
      [left, top], [right, top], [left, bottom],
    ]  # fmt: skip
    assert found.reasons[row] == reason
    assert found.groups[row] == name.rpartition('/')[0]
    assert found.describe(row).partition(':')[0].endswith('label.lst')
  data = annotations.to_dataset(found, where='x', draw=splits.Draw())
  for group in {*found.groups}:
    split = {*data.split[(data.groups == group) & (found.reasons == '')]}
    assert len(split) <= 1
  assert any('1 of 5 images have no line' in note for note in found.notes)


@settings(max_examples=15)
@given(SEEDS)
def test_afew_va_joins_frames_by_number(tmp_path_factory, seed):
  folder, rows = face_sets.afew_va(tmp_path_factory.mktemp('set'), seed)
  found = afew_va.read(str(folder))
  both = found.targets['valence_arousal']
  assert found.ids.tolist() == sorted(rows)
  for row, name in enumerate(found.ids.tolist()):
    values, parts, reason = rows[name]
    np.testing.assert_allclose(both.values[row], np.divide(values, 10))
    assert found.reasons[row] == reason
    assert found.groups[row] == name.partition('/')[0]
    if parts is None:
      assert np.isnan(found.corners[row]).all()
      continue
    left, right, mouth = parts + 0.5
    upper_left, upper_right, lower_left = found.corners[row]
    across, down = upper_right - upper_left, lower_left - upper_left
    middle = (left + right) / 2
    side = 2 * max(np.linalg.norm(right - left), np.linalg.norm(mouth - middle))
    np.testing.assert_allclose(np.linalg.norm(across), side, rtol=1e-4)
    np.testing.assert_allclose(down, [-across[1], across[0]], atol=1e-3)
    level = (right - left) / np.linalg.norm(right - left)
    np.testing.assert_allclose(across / side, level, atol=1e-4)
    centre = upper_left + (across + down) / 2
    np.testing.assert_allclose(centre, (middle + mouth) / 2, atol=1e-3)
  assert (np.diff(found.frames) > 0).all()


def test_sets_of_one_target_each_are_one_set(tmp_path):
  faces, rows = face_sets.expw(tmp_path / 'expw')
  clips, others = face_sets.afew_va(tmp_path / 'afew_va')
  both = merged.merge({'expw': expw.read(faces), 'va': afew_va.read(clips)})
  assert both.labels.shape == (len(rows) + len(others), 0)
  assert {*both.targets} == {'expression', 'valence_arousal'}
  known = both.targets['expression'].known
  assert known.tolist() == [True] * len(rows) + [False] * len(others)
  np.testing.assert_array_equal(
    both.targets['valence_arousal'].known.all(axis=1), ~known
  )
  data = annotations.to_dataset(
    both, where='x', draw=splits.Draw(), pixels=images.Pixels(8)
  )
  usable = np.flatnonzero(both.reasons == '')
  greys = data.load_images(usable)
  for row, grey in zip(usable.tolist(), greys, strict=True):
    if both.sources[row] == 'expw':
      number = int(both.ids[row].split('.')[1])
      assert abs(grey.astype(int) - 40 * number).max() <= 3


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('a.jpg 0 1 2 3 4 5.0', r'label\.lst:2: the line is .*A line is 8 fields'),
    ('a.jpg 0 1 2 3 4 5.0 7', r'label\.lst:2: .*a class from 0 to 6'),
    ('a.jpg 0 1 2 3 4 x 1', r'label\.lst:2: '),
    ('a.jpg 0 1 2 nan 4 1 1', r'label\.lst:2: '),
    ('b.jpg 0 1 2 3 4 5 1', r'label\.lst:2: .*one line only'),
  ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
  face_sets.expw(tmp_path)
  path = tmp_path / 'label/label.lst'
  path.write_text(f'b.jpg 0 1 2 3 4 5 0\n{line}\nc.jpg 0 1 2 3 4 5 0\n')
  with pytest.raises(errors.UserError, match=message):
    expw.read(tmp_path)
  path.write_text('\n')
  with pytest.raises(errors.UserError, match=r'label\.lst:1'):
    expw.read(tmp_path)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{', r"000\.json: the file of a clip is JSON with 'frames'"),
    ('{"frame": {}}', r"JSON with 'frames' \(KeyError"),
    ('{"frames": {}}', r'there is none'),
    ('{"frames": {"x": {}}}', r"'x'"),
    ('{"frames": {"00000": {"valence": 1}}}', r'frame 00000 has .*\[1, None\]'),
    (
      json.dumps({'frames': {'00000': {'valence': 11, 'arousal': 0}}}),
      r'frame 00000 .*\[11, 0\]; both are numbers from -10 to 10',
    ),
  ],
)
def test_a_bad_clip_is_named(tmp_path, text, message):
  face_sets.afew_va(tmp_path)
  (tmp_path / '01/000/000.json').write_text(text)
  with pytest.raises(errors.UserError, match=message):
    afew_va.read(tmp_path)
