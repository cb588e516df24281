"""Landmarks of tables and of OpenFace's files, and the masks that they give."""

import numpy as np
import pytest

from aubal_jax.datasets import clips
from aubal_jax.datasets import labels
from aubal_jax.datasets import openface
from aubal_jax.runs import errors


def write_csv(path, rows, *, gap=', '):
  """Writes (frame, face, confidence, success, points) as OpenFace does."""
  names = ['frame', 'face_id', 'timestamp', 'confidence', 'success']
  names += [f'{axis}_{k}' for axis in 'xy' for k in range(68)]
  lines = [gap.join(names)]
  for frame, face, sure, success, points in rows:
    cells = [frame, face, frame / 30, sure, success, *points.T.ravel()]
    lines.append(gap.join(f'{cell:.3f}' for cell in cells))
  path.write_text('\n'.join(lines) + '\n')


@pytest.mark.parametrize('gap', [', ', ','])
def test_the_surest_face_of_each_frame_is_read(tmp_path, gap):
  rng = np.random.default_rng(0)
  points = rng.uniform(0, 640, (5, 68, 2)).round(1)
  rows = [(1, 0, 0.6, 1), (1, 1, 0.9, 1), (2, 0, 0.8, 0), (4, 0, 0.1, 1)]
  rows += [(4, 1, 0.9, 0)]
  path = tmp_path / 'v.csv'
  write_csv(path, [(*r, p) for r, p in zip(rows, points, strict=True)], gap=gap)
  frames, found = openface.read(str(path))
  assert frames.tolist() == [0, 3]
  assert found == pytest.approx(points[[1, 3]])
  videos = clips.Videos(
    np.array([1, 1, 1, 1, 0]), np.array(['u', 'v']), np.array([3.0, 0, 1, 2, 0])
  )
  held = openface.Landmarks(openface.find(tmp_path, ['u', 'v']), videos)
  found = held(np.array([4, 0, 2, 1]))
  assert np.isnan(found[[0, 2]]).all()
  assert found[[1, 3]] == pytest.approx(points[[3, 1]])


def test_what_is_no_file_of_openface_is_told(tmp_path):
  (tmp_path / 'v.csv').write_text('frame,x_0\n1,2\n')
  with pytest.raises(errors.UserError, match="no column 'x_1'"):
    openface.read(str(tmp_path / 'v.csv'))
  write_csv(tmp_path / 'v.csv', [(1, 0, 1, 1, np.zeros((68, 2)))])
  with (tmp_path / 'v.csv').open('a') as file:
    file.write('2, x\n')
  with pytest.raises(errors.UserError, match='numbers with commas'):
    openface.read(str(tmp_path / 'v.csv'))
  with pytest.raises(errors.UserError, match='no video has a CSV'):
    openface.find(tmp_path, ['w'])
  with pytest.raises(FileNotFoundError, match='landmark_dir'):
    openface.find(tmp_path / 'none', ['w'])


@pytest.mark.parametrize('gap', [' ', ',', '; '])
def test_a_column_of_points_is_read(tmp_path, gap):
  rng = np.random.default_rng(1)
  points = rng.uniform(0, 100, (3, 68, 2)).round(2)
  cells = [gap.join(map(str, x.ravel())) for x in points[:2]] + ['']
  path = tmp_path / 't.csv'
  lines = [f'{k},{k % 2},"{cell}"' for k, cell in enumerate(cells)]
  path.write_text('\n'.join(['path,AU01,points', *lines]) + '\n')
  found = labels.load(str(path), landmark_column='points')
  assert found.label_names == ('AU01',)
  points[2] = np.nan
  for rows in ([2, 0], [1]):
    np.testing.assert_allclose(
      found.landmarks(np.array(rows)), points[rows], rtol=1e-6
    )


@pytest.mark.parametrize('cell', ['1 2 3', 'x ' * 136, 'inf ' * 136])
def test_a_cell_that_is_no_landmarks_is_told(tmp_path, cell):
  path = tmp_path / 't.csv'
  path.write_text(f'path,AU01,points\na,1,{cell}\n')
  with pytest.raises(errors.UserError, match='136 numbers'):
    labels.load(str(path), landmark_column='points')
