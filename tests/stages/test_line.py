"""The line from a table of images to report.html, small but whole."""

import dataclasses
import pathlib
import weakref

import jax
import numpy as np
import pytest

from aubal_jax.network import log as log_lib
from aubal_jax.network import loop as loop_lib
from aubal_jax.network import losses
from aubal_jax.network import step as step_lib
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.runs import workdir
from aubal_jax.scoring import course
from aubal_jax.stages import train as train_task
from aubal_jax.tables import plan as plan_lib
from tests.makers import fake_data
from tests.makers import small_runs

run = small_runs.run


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  return small_runs.configure(tmp_path)


@pytest.fixture(name='plain')
def fixture_plain():
  with small_runs.without_pictures():
    yield


def test_run_makes_every_file_and_then_nothing_more(config, tmp_path, capsys):
  path = run(config, tmp_path / 'run')
  stages = {*workdir.LINE} - {*workdir.OPTIONAL}
  made = {name for stage in stages for name in workdir.WRITES[stage]}
  assert {p.name for p in path.iterdir()} == made | {
    *('config.json', 'solution.json', 'plan.csv', 'balance.html')
  }
  solution = files.read_json(path / 'solution.json')
  plan = plan_lib.load(path / 'plan.npz')
  assert len(plan) == solution['images_after'] > solution['images_before']
  assert solution['converged'] and solution['gap'] <= 1e-5
  labelsets = files.read_json(path / 'labelsets.json')
  assert labelsets['images'] == 30
  assert labelsets['label_names'] == ['bright', 'edge', 'rare']
  report = files.read_json(path / 'report.json')
  assert report['split'] == 'test' and report['num_images'] == 15
  page = (path / 'report.html').read_text()
  assert 'bright' in page and 'data:image' in page
  short = course.seems_short(log_lib.read_lines(path / 'metrics.jsonl'))
  said = capsys.readouterr().out
  told = [x for x in said.splitlines() if 'looks short of its rate' in x]
  assert len(told) == bool(short) and short in ''.join(told)
  assert ('short of its rate' in page) == bool(short) and short in page
  told = (path / 'checkpoints/card.md').read_text()
  f1 = report['per_label']['bright']['shrunk']['f1']
  assert '| bright | ' in told and f' {f1:.3f} (' in told
  assert str(tmp_path) not in told
  before = {p: p.stat().st_mtime_ns for p in path.rglob('*')}
  run(config, path)
  printed = capsys.readouterr().out
  assert printed.count('done before') == 4
  assert before == {p: p.stat().st_mtime_ns for p in path.rglob('*')}


@pytest.mark.usefixtures('plain')
def test_each_task_runs_alone_from_the_files_before_it(config, tmp_path):
  whole = run(config, tmp_path / 'whole')
  path = tmp_path / 'alone'
  for stage in workdir.LINE:
    if stage not in workdir.OPTIONAL:
      run(config, path, stage)
  for name in ('labelsets.json', 'plan.npz', 'report.json'):
    assert (whole / name).read_bytes() == (path / name).read_bytes()


def test_a_loss_is_told_how_often_labels_are_in_the_training_rows(
  config, tmp_path, monkeypatch
):
  told = {}

  def make_loss(name, **given):
    told.update(given, name=name)
    raise RuntimeError('told')

  monkeypatch.setattr(losses, 'make_loss', make_loss)
  config.balance.method = 'ml_ros'
  config.loss.name = 'distribution_balanced'
  with pytest.raises(RuntimeError, match='told'):
    run(config, tmp_path / 'run')
  assert told['name'] == 'distribution_balanced'
  lines = pathlib.Path(config.data.path).read_text().splitlines()[1:]
  cells = [line.split(',')[2:] for line in lines if ',train,' in line]
  # Once each, whatever the plan repeats; one cell of `edge` is unknown.
  counts = [
    sum(cell == '1' for cell in column) for column in zip(*cells, strict=True)
  ]
  assert told['counts'].tolist() == counts
  np.testing.assert_allclose(
    told['frequency'], np.divide(counts, [30, 29, 30]), rtol=1e-15
  )


@pytest.mark.usefixtures('plain')
def test_a_run_that_goes_on_equals_a_straight_one(config, tmp_path):
  straight = run(config, tmp_path / 'straight')
  config.train.num_steps = 3
  path = run(config, tmp_path / 'in_two')
  with open(path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 4, "loss": 9}\n{"step"')  # As a kill leaves it.
  config.train.num_steps = 6
  run(config, path)
  assert (straight / 'report.json').read_bytes() == (
    path / 'report.json'
  ).read_bytes()
  logs = [small_runs.strip_times(p / 'metrics.jsonl') for p in (straight, path)]
  assert logs[0] == logs[1]


@pytest.mark.long
def test_all_of_training_in_pieces_equals_a_straight_run(
  config, tmp_path, monkeypatch, capsys
):
  """Averaged weights, a cosine and an early stop, augmented on the device."""
  config.augment.backend = 'device'
  config.augment.rows = 'all'
  config.train.update(
    {
      'num_steps': 20,
      'eval_every_steps': 2,
      'schedule': 'cosine',
      'warmup_steps': 3,
      'clip_norm': 1.0,
      'ema_decay': 0.9,
      'patience': 2,
    }
  )
  straight = run(config, tmp_path / 'straight')
  assert 'looks at validation brought no better F1' in capsys.readouterr().out
  saved = sorted(p.name for p in (straight / 'checkpoints').glob('[0-9]*'))
  polls = iter(range(100))
  with monkeypatch.context() as patch, pytest.raises(loop_lib.Preempted):
    patch.setattr(preemption, 'requested', lambda: next(polls) == 2)
    run(config, tmp_path / 'pieces')
  pieces = run(config, tmp_path / 'pieces')
  assert sorted(p.name for p in (pieces / 'checkpoints').glob('[0-9]*')) == (
    saved
  )
  lines = small_runs.strip_times(straight / 'metrics.jsonl')
  assert small_runs.strip_times(pieces / 'metrics.jsonl') == lines
  assert lines[-1]['step'] < 20
  assert lines[0]['learning_rate'] == 0
  name = 'report.json'
  assert (pieces / name).read_bytes() == (straight / name).read_bytes()


@pytest.mark.usefixtures('plain')
def test_the_state_it_goes_on_from_is_not_held(config, tmp_path, monkeypatch):
  """The devices have it; beside them the host holds no copy."""
  held, alive = [], []
  make_step, newest = step_lib.make_train_step, train_task._newest

  def kept(*args):
    state = newest(*args)
    held.extend(map(weakref.ref, jax.tree.leaves(state)))
    return state

  def looked(*args, **options):
    step = make_step(*args, **options)

    def look(state, batch):
      alive.append(sum(ref() is not None for ref in held))
      return step.run(state, batch)

    return dataclasses.replace(step, run=look)

  monkeypatch.setattr(train_task, '_newest', kept)
  monkeypatch.setattr(step_lib, 'make_train_step', looked)
  config.balance.method = 'none'
  config.train.num_steps = 2
  for task in ('balance', 'train'):
    run(config, tmp_path / 'run', task)
  assert len(held) > 9 and alive == [0, 0]


@pytest.mark.usefixtures('plain')
@pytest.mark.parametrize('method', ['none', 'random'])
def test_the_other_plans(config, tmp_path, method):
  config.balance.method = method
  path = run(config, tmp_path / 'run', 'balance')
  plan = plan_lib.load(path / 'plan.npz')
  labelsets = files.read_json(path / 'labelsets.json')
  if method == 'none':
    assert len(plan) == 30 and not plan.augment.any()
    assert not (path / 'solution.json').exists()
    assert labelsets['grown'] == []
  else:
    solution = files.read_json(path / 'solution.json')
    assert len(plan) == solution['images_after']
    assert plan.augment.sum() == solution['images_after'] - 30
  run(config, path, 'report')


def test_random_adds_what_aubal_adds_where_images_are_left_out(
  config, tmp_path, capsys
):
  # a x 100 and b x 10, growth .9 to 3: the best is 90 and 30.
  config.data.name = 'labels'
  config.data.path = str(tmp_path / 'labels.npy')
  np.save(config.data.path, np.repeat(np.eye(2, dtype=int), [100, 10], axis=0))
  config.balance.lower, config.balance.upper = 0.9, 3.0
  config.balance.lam_images = 1e9
  plans = []
  for method in ('aubal', 'random'):
    config.balance.method = method
    path = run(config, tmp_path / method, 'balance')
    plans.append(plan_lib.load(path / 'plan.npz'))
    said = 'the control: 120 rows, 20 of them' in capsys.readouterr().out
    assert said == (method == 'random')
  for plan in plans:
    assert len(plan) == 120
    assert plan.augment.sum() == 20
    assert len(set(plan.source.tolist())) == 100


def test_labels_alone_can_be_balanced_and_reported(config, tmp_path):
  config.data.name = 'labels'
  np.savez(
    tmp_path / 'labels.npz',
    labels=np.random.default_rng(0).random((50, 4)) < 0.3,
  )
  config.data.path = str(tmp_path / 'labels.npz')
  path = run(config, tmp_path / 'run', 'balance')
  run(config, path, 'report')
  with pytest.raises(ValueError, match='labels but no images'):
    run(config, path, 'train')
  assert not (path / 'checkpoints').exists()


@pytest.mark.parametrize(
  ('task', 'words'),
  [
    ('train', ['plan.npz', 'balance']),
    ('evaluate', ['checkpoints', 'train']),
    ('dance', ['task', 'evaluate', 'dance']),
  ],
)
def test_what_is_missing_is_named(config, tmp_path, task, words):
  with pytest.raises(ValueError) as caught:
    run(config, tmp_path / 'run', task)
  for word in words:
    assert word in str(caught.value)
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('key', 'value', 'words'),
  [
    ('seed', -1, ['seed', '-1']),
    ('train.num_steps', -1, ['train.num_steps', '-1']),
    ('train.eval_every_steps', 0, ['train.eval_every_steps', '0']),
    ('evaluate.batch_size', 0, ['evaluate.batch_size', '0']),
    ('data.name', 'nothing', ['data.name', 'manifest', 'nothing']),
    ('data.path', '', ['data.path', 'table.csv']),
    ('data.path', 'nowhere.csv', ['nowhere.csv']),
    ('data.label_columns', ('brigth',), ['brigth', 'bright']),
    ('balance.method', 'magic', ['balance.method', 'magic']),
    ('balance.optimizer', 'adm', ['optimizer', 'adam', 'adm']),
    ('augment.flip', 2.0, ['flip', '2.0']),
    ('augment.rows', 'some', ['augment.rows', 'some']),
    ('model.name', 'resnet9', ['resnet9', 'resnet18_112']),
    ('loss.name', 'f2', ['f2', 'soft_f1']),
    ('train.optimizer', 'adm', ['adm', 'adam']),
  ],
)
def test_bad_settings_are_named_and_nothing_is_pinned(
  config, tmp_path, key, value, words
):
  section, _, name = key.rpartition('.')
  (config[section] if section else config)[name] = value
  with pytest.raises((ValueError, OSError)) as caught:
    run(config, tmp_path / 'run')
  for word in words:
    assert word in str(caught.value)
  # The mended settings are not refused because of the bad ones.
  assert not (tmp_path / 'run').exists()


@pytest.mark.usefixtures('plain')
def test_a_batch_that_devices_cannot_share_is_named_and_mended(
  config, tmp_path
):
  config.train.batch_size = 6
  with pytest.raises(ValueError, match=r'batch_size .*4 devices, got 6'):
    run(config, tmp_path / 'run')
  config.train.batch_size, config.train.num_steps = 8, 1
  run(config, tmp_path / 'run', 'balance')
  run(config, tmp_path / 'run', 'train')


@pytest.mark.parametrize(
  ('rows', 'names', 'message'),
  [
    ([0, 1], ('x',), 'was made for the labels'),
    ([0, 2], ('bright', 'edge', 'rare'), 'not in the training split'),
    ([0, 99], ('bright', 'edge', 'rare'), 'names row 99'),
  ],
)
def test_a_plan_of_another_table_is_refused(
  config, tmp_path, rows, names, message
):
  path = run(config, tmp_path / 'run', 'balance')
  plan = plan_lib.unchanged(np.array(rows), label_names=names)
  plan.save(path / 'plan.npz')
  with pytest.raises(ValueError, match=message):
    run(config, path, 'train')


def test_a_table_that_changes_is_noticed(config, tmp_path):
  path = run(config, tmp_path / 'run', 'balance')
  table = pathlib.Path(config.data.path)
  header, *lines = table.read_text().splitlines()
  table.write_text('\n'.join([header, *reversed(lines)]))
  with pytest.raises(ValueError, match='the table'):
    run(config, path)


def test_overwrite_deletes_only_when_all_is_well(config, tmp_path):
  path = run(config, tmp_path / 'run', 'balance')
  old = (path / 'plan.npz').read_bytes()
  good, config.data.path = config.data.path, 'nowhere.csv'
  with pytest.raises(FileNotFoundError):
    run(config, path, overwrite=True)
  assert (path / 'plan.npz').read_bytes() == old
  config.data.path, config.balance.method = good, 'none'
  run(config, path, 'balance', overwrite=True)
  assert (path / 'plan.npz').read_bytes() != old


@pytest.mark.usefixtures('plain')
def test_checkpoints_of_another_run_are_not_gone_on_from(config, tmp_path):
  config.train.num_steps = 2
  path = run(config, tmp_path / 'run')
  straight = (path / 'report.json').read_bytes()
  record = files.read_json(path / 'config.json')
  record['stages'] = {}  # As when a kill came in the middle of --overwrite.
  files.write_json(path / 'config.json', record)
  config.train.learning_rate = 0.5
  run(config, path)
  assert (path / 'report.json').read_bytes() != straight


@pytest.mark.usefixtures('plain')
def test_a_file_that_is_gone_is_made_again(config, tmp_path):
  config.train.num_steps = 1
  path = run(config, tmp_path / 'run')
  kept = (path / 'report.json').read_bytes()
  (path / 'report.json').unlink()
  run(config, path)
  assert (path / 'report.json').read_bytes() == kept


@pytest.mark.usefixtures('plain')
@pytest.mark.parametrize(
  'count', [60, pytest.param(1500, marks=pytest.mark.long)]
)
def test_damage_to_a_stages_files_is_told(config, tmp_path, count):
  config.train.num_steps = 2
  path = run(config, tmp_path / 'run')
  page = (path / 'report.html').read_bytes()
  rng = np.random.default_rng(count)
  summed = ('labelsets.json', 'solution.json', 'rows.csv')
  for number in range(count):
    name = [*summed, 'report.json', 'config.json'][number % 5]
    content = (path / name).read_bytes()
    damaged = bytearray(content)
    place = int(rng.integers(len(damaged)))
    damaged[place] ^= 1 << int(rng.integers(8))
    (path / name).write_bytes(damaged[: place if number % 7 == 6 else None])
    try:
      workdir.check_folder(path)
      workdir.refuse_other(path, {stage: {} for stage in workdir.WRITES})
      workdir.check_before(path, 'report')
      assert name == 'config.json'
    except errors.UserError as error:
      assert str(path) in str(error)
    (path / name).write_bytes(content)
  (path / 'labelsets.json').write_text('{}')
  with pytest.raises(
    ValueError, match=r'labelsets\.json is not as the task bal'
  ):
    run(config, path, 'report')
  run(config, path)  # Made again.
  assert (path / 'report.html').read_bytes() == page


@pytest.mark.usefixtures('plain')
def test_all_plans_train_equally_long(config, tmp_path):
  config.train.num_steps = 0
  config.train.num_epochs = 1.0
  config.balance.lam_images = 1e5
  config.balance.upper = 30.0
  for method in ('none', 'aubal'):
    config.balance.method = method
    path = run(config, tmp_path / method, 'balance')
    run(config, path, 'train')
    # 30 training images in batches of 8.
    steps = [int(p.name) for p in (path / 'checkpoints').glob('[0-9]*')]
    assert max(steps) == 4


def test_a_broken_test_image_is_found_before_training(config, tmp_path):
  (pathlib.Path(config.data.path).parent / 'images/3.png').write_bytes(b'no')
  with pytest.raises(ValueError, match=r'images/3\.png'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run/checkpoints').exists()


def test_no_positive_at_all_is_an_error(config, tmp_path):
  config.data.name = 'labels'
  config.data.path = str(tmp_path / 'labels.npy')
  np.save(config.data.path, np.zeros((5, 2), np.uint8))
  with pytest.raises(ValueError, match='No label has a positive'):
    run(config, tmp_path / 'run', 'balance')
  assert not (tmp_path / 'run').exists()


@pytest.mark.usefixtures('plain')
def test_a_label_without_a_positive_is_said(config, tmp_path, capsys):
  table = pathlib.Path(config.data.path)
  lines = table.read_text().splitlines()
  # In place of `rare`: as many labels are the programs of the other tests.
  lines = [line.rpartition(',')[0] for line in lines]
  lines = [f'{line},{"never" if not i else 0}' for i, line in enumerate(lines)]
  table.write_text('\n'.join(lines))
  with pytest.raises(ValueError, match=r'Never known to be 1: never\. .*codes'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
  config.data.allow_constant = True
  path = run(config, tmp_path / 'run')
  assert 'never' in capsys.readouterr().err
  report = files.read_json(path / 'report.json')
  assert 'never' in report['labels_without_positives']


def test_contact_sheet_shows_rows_of_the_plan(config, tmp_path):
  from aubal_jax.batches import draws
  from aubal_jax.batches import pipeline
  from aubal_jax.datasets import streams
  from aubal_jax.media import images
  from aubal_jax.stages import report

  path = run(config, tmp_path / 'run', 'balance')
  plan = plan_lib.load(path / 'plan.npz')
  dataset = fake_data.load_manifest(config.data.path, pixels=images.Pixels(32))
  for strength, exponent in ((1.0, 0.0), (2.0, 0.0), (0.5, 1.0)):
    changes = {'strength': strength, 'growth_exponent': exponent}
    config.augment.update(changes)
    entries = report._contact_sheet(config, dataset, plan, dataset.load_images)
    assert entries
    batch = next(
      pipeline.train_batches(
        plan,
        [streams.of_images(dataset.load_images, (32, 32, 1))],
        dataset.targets,
        batch_size=len(plan),
        seed=config.seed,
        num_steps=1,
        settings=draws.Settings(**changes),
      )
    )
    seen = {image.tobytes() for image in batch['image']}
    for entry in entries:
      assert entry['original'].tobytes() in seen
      assert all(image.tobytes() in seen for image in entry['augmented'])


@pytest.mark.usefixtures('plain')
def test_unknown_labels_are_absent_a_third_value_or_dropped(config, tmp_path):
  """Row 4, which trains, does not know `edge`."""
  found, rows = {}, {}
  for unknown in ('absent', 'separate', 'drop'):
    config.data.unknown = unknown
    path = run(config, tmp_path / unknown, 'balance')
    found[unknown] = files.read_json(path / 'labelsets.json')
    rows[unknown] = (path / 'rows.csv').read_text().splitlines()
  assert found['absent']['images'] == found['separate']['images'] == 30
  assert found['separate']['labelsets'] == found['absent']['labelsets'] + 1
  (odd,) = (x for x in found['separate']['largest'] if x['unknown'])
  assert odd['unknown'] == ['edge'] and odd['count'] == 1
  assert found['drop']['images'] == 29
  assert rows['drop'][5].endswith('dropped,unknown label')
  assert rows['absent'][5].split(',')[2] == 'train'
