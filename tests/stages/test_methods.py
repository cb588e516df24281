"""The balance task by methods that solve nothing, from a table of labels."""

import pathlib
import re
import time

import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import resampling
from aubal_jax import settings
from aubal_jax.runs import files
from aubal_jax.tables import plan as plan_lib
from tests.resampling import test_resampling

# Every second row trains; of these a x 30, b x 8, ab x 4.
LABELS = np.repeat(
  np.array([[1, 0], [0, 1], [1, 1]], np.uint8), [60, 16, 8], axis=0
)
SPLIT = np.array(['train', 'test'] * 42)
ROWS = np.arange(0, 84, 2)


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = settings.default()
  c.data.name = 'labels'
  c.data.path = str(tmp_path / 'labels.csv')
  lines = (f'{a},{b},{s}\n' for (a, b), s in zip(LABELS, SPLIT, strict=True))
  (tmp_path / 'labels.csv').write_text('a,b,split\n' + ''.join(lines))
  c.balance.optimizer = 'newton'
  c.train.batch_size = 10
  return c


def run(config, path, task='balance'):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter())
  return path


WITHOUT_FEATURES = [
  name
  for name in resampling.RESAMPLERS
  if not resampling.takes(name, 'features') and name not in ('aubal', 'random')
]


@pytest.mark.parametrize('method', WITHOUT_FEATURES)
def test_the_task_is_the_function_on_the_training_split(
  config, tmp_path, method
):
  config.balance.method, config.seed = method, 5
  takes = resampling.takes(method, 'fraction')
  config.balance.fraction = 0.5 if takes else 0.0
  path = run(config, tmp_path / 'run')
  plan = plan_lib.load(path / 'plan.npz')
  assert set(plan.source) <= {*ROWS}
  other = aubal.resample(
    LABELS[ROWS],
    method,
    fraction=0.5 if takes else None,
    seed=5,
    rows=ROWS,
    label_names=('a', 'b'),
  )
  test_resampling.assert_same(plan, other)
  assert (path / 'solution.json').exists() == (method == 'keep')


def test_what_the_method_did_is_told(config, tmp_path, capsys):
  config.balance.method = 'lp_ros'
  path = run(config, tmp_path / 'run')
  printed = capsys.readouterr().out
  assert 'the plan has 52 rows, 10 of them added; 0 images are in none' in (
    printed
  )
  # Of ten rows b takes five and ab five: a is in 39 rows, b in 22.
  told = files.read_json(path / 'labelsets.json')['plan']
  assert told['class_counts'] == [39, 22]
  assert told['mean_ir'] == pytest.approx((1 + 39 / 22) / 2)
  expected = {'method': 'lp_ros', 'epochs': 1, 'rows': 52, 'added': 10}
  assert {**told, **expected, 'mixed': 0, 'left_out': 0} == told
  page = (run(config, path, 'report') / 'report.html').read_text()
  assert 'that of <code>lp_ros</code>: 10 rows added.' in page


def test_a_method_that_finds_nothing_to_do_says_so(config, tmp_path, capsys):
  config.data.path = str(tmp_path / 'unlike.npy')
  np.save(config.data.path, np.array([[1, 0], [0, 1], [1, 1]]))
  for method in ('lp_ros', 'none'):
    config.balance.method = method
    run(config, tmp_path / method)
    said = 'Note: lp_ros finds nothing to change' in capsys.readouterr().out
    assert said == (method == 'lp_ros')


def test_a_method_without_an_amount_says_so(config, tmp_path):
  config.balance.method, config.balance.fraction = 'remedial', 0.25
  with pytest.raises(ValueError, match='remedial has no amount'):
    run(config, tmp_path / 'run')


def test_random_with_a_fraction_solves_nothing(config, tmp_path):
  config.balance.method, config.balance.fraction = 'random', 0.25
  path = run(config, tmp_path / 'run')
  assert not (path / 'solution.json').exists()
  assert len(plan_lib.load(path / 'plan.npz')) == 52


def test_the_fraction_of_aubal_is_its_budget(config, tmp_path):
  config.balance.fraction = 0.25
  path = run(config, tmp_path / 'run')
  assert len(plan_lib.load(path / 'plan.npz')) == 52
  solution = files.read_json(path / 'solution.json')
  assert solution['budget'] == solution['images_after'] == 52
  config.balance.budget_growth = 1.2
  with pytest.raises(ValueError, match=r'fraction is 0.25, .* balance.budget'):
    run(config, tmp_path / 'other')
  config.balance.update(fraction=99.0, budget_growth=0.0)
  with pytest.raises(ValueError, match=r'^balance.fraction is 99.*most.*upper'):
    run(config, tmp_path / 'other')


def test_neighbours_by_pixels_want_images(config, tmp_path):
  config.balance.update(method='mlsmote', features='pixels')
  with pytest.raises(ValueError, match=r'balance.features=pixels.*no images'):
    run(config, tmp_path / 'run')


def test_rows_are_drawn_anew_for_each_epoch(config, tmp_path):
  config.balance.method = 'inverse_frequency'
  config.balance.redraw_each_epoch = True
  config.train.num_steps = 9  # 90 rows, of 42 an epoch.
  path = run(config, tmp_path / 'run')
  assert len(plan_lib.load(path / 'plan.npz')) == 3 * 42
  assert files.read_json(path / 'labelsets.json')['plan']['epochs'] == 3
  page = (run(config, path, 'report') / 'report.html').read_text()
  assert 'drawn anew for each of 3 epochs' in page
  # Longer training needs another plan: it does not go on from this one.
  config.train.num_steps = 18
  with pytest.raises(ValueError, match='rows drawn: 90 there, 180 now'):
    run(config, path)


def test_only_samplers_draw_anew():
  c = settings.default()
  c.balance.redraw_each_epoch = True
  for method in resampling.RESAMPLERS:
    c.balance.method = method
    is_sampler = resampling.takes(method, 'num_epochs')
    if is_sampler:
      settings.check(c)
    else:
      with pytest.raises(ValueError, match=f'redraw_each_epoch .*{method}'):
        settings.check(c)


def write_frames(config, seed):
  """The same labels as frames of videos; returns video and frame of each."""
  rng = np.random.default_rng(seed)
  videos = rng.integers(0, 3, len(LABELS))
  frames = rng.permutation(len(LABELS)) * 2.5
  lines = [
    f'{a},{b},{s},{v},{f}\n'
    for (a, b), s, v, f in zip(LABELS, SPLIT, videos, frames, strict=True)
  ]
  path = pathlib.Path(config.data.path)
  path.write_text('a,b,split,video,frame\n' + ''.join(lines))
  config.data.update(group_column='video', frame_column='frame')
  return videos, frames


@pytest.mark.parametrize('method', ['keep', 'keep_every'])
def test_groups_and_frames_of_a_table_are_those_of_the_function(
  config, tmp_path, method
):
  for seed, share in ((0, 0.25), (1, 0.5), (2, 0.75)):
    videos, frames = write_frames(config, seed)
    config.balance.method, config.keep.share = method, share
    config.seed = seed
    path = run(config, tmp_path / f'run{seed}', 'keep')
    plan = plan_lib.load(path / 'plan.npz')
    other = aubal.resample(
      LABELS[ROWS],
      method,
      share=share,
      seed=seed,
      rows=ROWS,
      label_names=('a', 'b'),
      groups=videos[ROWS],
      frames=frames[ROWS],
    )
    test_resampling.assert_same(plan, other)
    assert len(plan) == round(share * len(ROWS))


def test_what_keeps_no_rows_is_refused_to_keep(config, tmp_path, capsys):
  config.balance.method = 'lp_ros'
  with pytest.raises(ValueError, match=r"task keep needs.* it is 'lp_ros'"):
    run(config, tmp_path / 'run', 'keep')
  config.balance.method = 'keep'
  config.balance.fraction = 0.25
  with pytest.raises(ValueError, match=r'keep\.share says how many'):
    run(config, tmp_path / 'run')
  config.balance.fraction, config.keep.share = 0.0, 0.01
  message = r'^keep\.share must keep at least one row of labels; 0\.01 of 42 '
  with pytest.raises(ValueError, match=message):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run' / 'plan.npz').exists()
  write_frames(config, 0)
  lines = pathlib.Path(config.data.path).read_text().splitlines()
  of_one = [re.sub(r',\d,([\d.]+)$', r',v,\1', line) for line in lines]
  pathlib.Path(config.data.path).write_text('\n'.join(of_one) + '\n')
  config.keep.share = 0.5
  run(config, tmp_path / 'run')
  assert 'Note: All rows are of one group' in capsys.readouterr().out
