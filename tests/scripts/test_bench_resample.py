"""The bench of resamplers, small; and the plain loops it measures against."""

import json
import pathlib

import numpy as np
import pytest

from aubal_jax import resampling
from aubal_jax.tables import labelsets as labelsets_lib

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch):
  monkeypatch.syspath_prepend(ROOT / 'scripts')
  import bench_resample

  return bench_resample


def test_bench_tells_of_every_program(script, tmp_path, capsys):
  out = tmp_path / 'rows.json'
  flags = ['--sets', script.BIBTEX, '--scale=0.05', '--repeats=1']
  flags += ['--methods', 'ml_ros', 'mlsmote']
  flags += ['--rivals', 'loop ml_ros', 'loop lp_ros', 'multismote']
  script.main([*flags, f'--json={out}'])
  told = capsys.readouterr().out
  rows = json.loads(out.read_text())
  assert [(row['method'], row['program']) for row in rows] == [
    *(('ml_ros', 'ours'), ('ml_ros', 'loop ml_ros')),
    *(('mlsmote', 'ours'), ('mlsmote', 'multismote')),
  ]
  ours, loop, ours_smote, public = rows
  assert ours['made_up'] and ours['shape'] == [369, 159]
  assert ours['rows'] == loop['rows'] == 369 + round(0.25 * 369)
  assert loop['ratio'] == loop['seconds'] / ours['seconds']
  assert ours['memory'] > 0 and ours_smote['rows'] >= 369
  assert 'seconds' in public or public['failed'] == 'not installed'
  assert 'was not measured' in told  # Not in this size.
  assert f'| {script.BIBTEX} (made up) | ml_ros | ours | 461 |' in told


def test_frames_are_rows_of_videos(script, monkeypatch):
  given = []
  resample = resampling.resample
  monkeypatch.setattr(
    resampling,
    'resample',
    lambda *args, **options: (
      given.append(options) or resample(*args, **options)
    ),
  )
  for method in ('keep_every', 'keep_random'):
    row = script.measure(script.FRAMES, None, 0.01, method, 1)
    assert row['rows'] == 1000
    assert ('frames' in given[-1]) == (method == 'keep_every')
  videos, frames = given[0]['groups'], given[0]['frames']
  assert len({*zip(videos.tolist(), frames.tolist(), strict=True)}) == 4000


def test_bench_reads_files_and_leaves_out_what_cannot_run(script, tmp_path):
  labels = np.eye(4, 3, dtype=np.uint8)
  np.savez(tmp_path / 'emotions.npz', labels=labels)
  found, features, is_made_up = script.load('emotions', tmp_path, 1.0)
  np.testing.assert_array_equal(found, labels)
  assert features is None and not is_made_up
  told = script.measure('emotions', str(tmp_path), 1.0, 'mlsmote', 1)
  assert told == {'failed': 'no features'}
  _, features, is_made_up = script.load('yeast', tmp_path, 0.01)
  assert features.shape == (24, 103) and is_made_up


def test_a_program_that_fails_or_is_slow_is_a_row(script, tmp_path, capsys):
  np.savez(tmp_path / 'emotions.npz', labels=np.full((4, 3), 7))
  out = tmp_path / 'rows.json'
  flags = [f'--labels={tmp_path}', '--sets', 'emotions', '--methods', 'none']
  script.main([*flags, f'--json={out}'])
  (row,) = json.loads(out.read_text())
  assert 'labels must hold 0 and 1' in row['failed']
  assert 'was not measured' in capsys.readouterr().out
  slow = script.in_a_process(0.01, 'emotions', str(tmp_path), 1.0, 'none', 1)
  assert slow == {'failed': 'not in 0 s'}


@pytest.fixture
def labels(script):
  table, _ = script.made_up(400, 12, 2.0, 60, 0)
  return table


def test_the_plain_loop_is_ml_ros(script, labels):
  theirs = script.RIVALS['loop ml_ros'][2](labels, None)
  ours = [
    labels[resampling.resample(labels, 'ml_ros', fraction=0.25, seed=s).source]
    for s in range(20)
  ]
  counts = np.array([table.sum(axis=0, dtype=int) for table in ours])
  # Members are drawn, so counts differ by chance alone.
  far = np.abs(theirs.sum(axis=0, dtype=int) - counts.mean(axis=0))
  assert (far <= 5 * counts.std(axis=0) + 3).all()


def test_the_plain_loop_is_lp_ros(script, labels):
  theirs = script.RIVALS['loop lp_ros'][2](labels, None)
  ours = labels[resampling.resample(labels, 'lp_ros', fraction=0.25).source]
  before, *after = (
    dict(zip(map(bytes, found.patterns), found.counts, strict=True))
    for found in map(labelsets_lib.find_labelsets, (labels, theirs, ours))
  )
  theirs, ours = after
  # Shares are whole, so which of the bags get one more may differ.
  assert sum(theirs.values()) == sum(ours.values())
  assert all(abs(theirs[x] - ours[x]) <= 1 for x in before)
  mean = len(labels) / len(before)
  assert all(n <= mean for x, n in theirs.items() if n > before[x])


def test_the_goal_is_told(script):
  row = {'set': script.BIBTEX, 'method': 'ml_ros', 'program': 'ours'}
  row |= {'shape': [7395, 159], 'seconds': 0.1}
  assert script.goal([row]).endswith('0.1 s, met.')
  assert script.goal([row | {'seconds': 0.3}]).endswith('0.3 s, MISSED.')
  for other in ({'program': 'loop ml_ros'}, {'shape': [10, 159]}):
    assert 'was not measured' in script.goal([row | other])
