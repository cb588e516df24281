"""When in its video a row is: of tables with such a column, and of readers."""

import re

import numpy as np
import pytest

from aubal_jax.datasets import frames
from aubal_jax.datasets import labels
from aubal_jax.datasets import readers
from aubal_jax.runs import errors
from tests.makers import fake_data

# Of a row's id: its clip, and its number there.
_ID = re.compile(r'(.*?)(\d+)(\.\w+)?')


@pytest.mark.parametrize('name', ['aff_wild2', 'bp4d', 'disfa', 'ck_plus'])
def test_readers_tell_frames_clip_by_clip(name, tmp_path):
  found = readers.read(name, str(getattr(fake_data, name)(tmp_path / name)))
  clips, numbers = [], []
  for row in found.ids.tolist():
    clip, number, _ = _ID.fullmatch(row).groups()
    clips.append(clip)
    numbers.append(int(number))
  check_line(found.frames, np.array(clips), np.array(numbers), found.groups)


def test_clips_lie_one_after_the_other():
  for seed in range(100):
    rng = np.random.default_rng(seed)
    num_rows = int(rng.integers(1, 40))
    clips = rng.choice(['a', 'b/1', 'b/2'], num_rows)
    numbers = rng.integers(0, rng.choice([1, 9, 5000]), num_rows)
    found = frames.on_one_line(clips.tolist(), numbers.tolist())
    check_line(found, clips, numbers, np.full(num_rows, 'one'))


def check_line(found, clips, numbers, groups):
  """Asserts that distances are those in a clip, and larger between clips."""
  distance = np.abs(found[:, None] - found)
  same = clips[:, None] == clips
  of_one = groups[:, None] == groups
  np.testing.assert_allclose(
    distance[same], np.abs(numbers[:, None] - numbers)[same]
  )
  longest = distance[same].max()
  assert (distance[of_one & ~same] > longest).all()


def written(folder, values, name='t.csv', **columns):
  """A table of labels a, b, c with further columns before."""
  lines = [','.join([*columns, 'a', 'b', 'c'])]
  for row, cells in enumerate(values):
    lines.append(','.join([*(c[row] for c in columns.values()), *cells]))
  path = folder / name
  path.write_text('\n'.join(lines) + '\n')
  return path


def test_a_column_of_frames_is_read_and_no_label(tmp_path):
  for seed in range(10):
    rng = np.random.default_rng(seed)
    num_rows = int(rng.integers(2, 30))
    times = rng.normal(size=num_rows).round(3) * 10.0 ** rng.integers(0, 5)
    values = rng.integers(0, 2, (num_rows, 3)).astype(str)
    paths = [f'p{n // 2}' for n in range(num_rows)]
    cells = {'path': paths, 'at': [*map(repr, times.tolist())]}
    path = written(tmp_path, values, **cells)
    data = labels.load(path, frame_column='at')
    assert data.label_names == ('a', 'b', 'c')
    np.testing.assert_array_equal(data.frames, times)
    other = written(tmp_path, values, name='u.csv', **cells)
    both = labels.load(path, frame_column='at', others={'test': other})
    np.testing.assert_array_equal(both.frames, np.tile(times, 2))
    voted = labels.load(path, frame_column='at', least_votes=1)
    np.testing.assert_array_equal(voted.frames, times[::2])


@pytest.mark.parametrize('cell', ['', 'x', 'nan', 'inf', '1:02'])
def test_a_cell_that_is_no_frame_is_told(tmp_path, cell):
  path = written(tmp_path, np.full((2, 3), '1'), at=['3', cell])
  with pytest.raises(errors.UserError, match=r't\.csv:3: .*A frame is a num'):
    labels.load(path, frame_column='at')
  with pytest.raises(errors.UserError, match=r"no column 'when'.*frame_column"):
    labels.load(path, frame_column='when')
