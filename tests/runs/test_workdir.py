import errno
import functools
import os
import random
import types

import pytest

from aubal_jax import settings as settings_lib
from aubal_jax.runs import files
from aubal_jax.runs import workdir
from aubal_jax.stages import run as run_lib


@pytest.fixture(name='config')
def fixture_config():
  return settings_lib.default()


refuse_other = functools.partial(
  workdir.refuse_other, may_grow=settings_lib.MAY_GROW
)


def pin(config, fingerprint='f00', num_steps=10, groups='9'):
  table = types.SimpleNamespace(
    fingerprint=lambda: fingerprint, fingerprint_of_groups=lambda: groups
  )
  return run_lib.pin(config, table, num_steps)


def finish(path, config, *stages, **facts):
  for stage in stages or workdir.LINE:
    for name in workdir.WRITES[stage]:
      path.mkdir(parents=True, exist_ok=True)
      (path / name).touch()
    workdir.finish(path, stage, pin(config, **facts), config)


def test_stages_are_done_in_order(tmp_path, config):
  path = workdir.check_folder(tmp_path / 'run')
  assert not path.exists()  # Nothing is written before a stage writes.
  for stage in workdir.WRITES:
    assert not workdir.is_done(path, stage, pin(config))
  assert {*workdir.WRITES} > {*workdir.LINE}
  finish(path, config, 'train')
  assert not workdir.is_done(path, 'train', pin(config))  # Not balanced.
  finish(path, config, 'balance')
  assert workdir.is_done(path, 'balance', pin(config))
  assert workdir.is_done(path, 'train', pin(config))
  assert workdir.has_begun(path, 'train')
  finish(path, config, 'evaluate')
  workdir.begin(path, 'train', pin(config), config)
  assert not workdir.is_done(path, 'train', pin(config))
  finish(path, config, 'train')
  assert not workdir.is_done(path, 'evaluate', pin(config))  # Stale.
  workdir.begin(path, 'balance', pin(config), config)
  assert not workdir.has_begun(path, 'train')
  with pytest.raises(ValueError, match='dance'):
    workdir.is_done(path, 'dance', pin(config))


@pytest.mark.parametrize(
  ('stage', 'name'),
  [(stage, name) for stage in workdir.WRITES for name in workdir.WRITES[stage]],
)
def test_a_stage_whose_file_is_gone_is_not_done(tmp_path, config, stage, name):
  finish(tmp_path, config, *workdir.WRITES)
  last = 'report' if stage in workdir.LINE else stage
  assert workdir.is_done(tmp_path, last, pin(config))
  (tmp_path / name).unlink()
  line = workdir.LINE
  behind = line[line.index(stage) :] if stage in line else (stage,)
  for other in workdir.WRITES:
    assert workdir.is_done(tmp_path, other, pin(config)) != (other in behind)


@pytest.mark.parametrize(
  'stage', [stage for stage in workdir.WRITES if stage not in workdir.LINE]
)
def test_a_stage_beside_the_line_stands_alone(tmp_path, config, stage):
  finish(tmp_path, config, stage)
  assert workdir.is_done(tmp_path, stage, pin(config))
  assert not workdir.is_done(tmp_path, 'balance', pin(config))
  finish(tmp_path, config)
  workdir.begin(tmp_path, 'balance', pin(config), config)
  assert workdir.is_done(tmp_path, stage, pin(config))
  finish(tmp_path, config)
  workdir.begin(tmp_path, stage, pin(config), config)
  assert workdir.is_done(tmp_path, 'report', pin(config))
  assert not workdir.is_done(tmp_path, stage, pin(config))
  if stage == 'compare':
    return  # A cell of tables reads much of `balance`.
  config.train.learning_rate = 3.0  # Neither the table's nor the problem's.
  config.balance.method = 'none'
  finish(tmp_path / 'other', config, stage)
  config.train.learning_rate = 4.0
  config.balance.method = 'random'
  refuse_other(tmp_path / 'other', pin(config))
  own = {'optimizers': 'max_seconds', 'frontier': 'num_points'}
  config[stage][own.get(stage, 'near_empty')] = 9
  config.balance.lam = 3.0
  with pytest.raises(ValueError) as caught:
    refuse_other(tmp_path / 'other', pin(config))
  if stage != 'inspect':  # It solves nothing.
    assert 'balance.lam: 70.0 there, 3.0 now' in str(caught.value)
  assert f'{stage}.' in str(caught.value)


def test_other_settings_are_refused_by_name(tmp_path, config):
  finish(tmp_path, config, 'balance')
  config.train.learning_rate = 1.0  # Not yet read by any stage.
  config.data.image_size = 64
  refuse_other(tmp_path, pin(config))
  workdir.begin(tmp_path, 'train', pin(config), config)
  config.train.learning_rate = 2.0
  config.balance.lam = 3.0
  with pytest.raises(ValueError) as caught:
    refuse_other(tmp_path, pin(config))
  message = str(caught.value)
  assert 'train.learning_rate: 1.0 there, 2.0 now' in message
  assert 'balance.lam: 70.0 there, 3.0 now' in message
  assert 'seed' not in message
  assert '--overwrite' in message


def test_another_table_is_refused(tmp_path, config):
  finish(tmp_path, config, 'balance')
  with pytest.raises(ValueError, match="the table: 'f00' there, 'ba5' now"):
    refuse_other(tmp_path, pin(config, fingerprint='ba5'))


def test_a_cosine_over_more_steps_is_another_run(tmp_path, config):
  config.train.schedule = 'cosine'
  finish(tmp_path, config, num_steps=5)
  refuse_other(tmp_path, pin(config, num_steps=5))
  for num_steps in (4, 9):
    with pytest.raises(
      ValueError, match=r'train\.num_steps: 5 there, [49] now'
    ):
      refuse_other(tmp_path, pin(config, num_steps=num_steps))


def test_what_changes_no_result_is_free_and_steps_may_grow(tmp_path, config):
  finish(tmp_path, config, num_steps=5)
  config.task = 'train'
  config.data.unreadable = 'drop'
  config.train.num_workers = 7
  config.train.log_every_steps = 3
  config.train.checkpoint_every_steps = 3
  config.balance.max_steps += 1
  refuse_other(tmp_path, pin(config, num_steps=9))
  assert not workdir.is_done(tmp_path, 'balance', pin(config, num_steps=5))
  config.balance.max_steps -= 1
  assert workdir.is_done(tmp_path, 'balance', pin(config, num_steps=9))
  assert not workdir.is_done(tmp_path, 'train', pin(config, num_steps=9))
  # Whichever setting it came from.
  with pytest.raises(ValueError, match=r'train\.num_steps: 5 there, 4 now'):
    refuse_other(tmp_path, pin(config, num_steps=4))


def test_clear_deletes_what_a_run_wrote_and_config_json_last(
  tmp_path, config, monkeypatch
):
  (tmp_path / 'mine.txt').write_text('keep')
  finish(tmp_path, config)
  (tmp_path / 'checkpoints').unlink()
  (tmp_path / 'checkpoints/7').mkdir(parents=True)
  assert workdir.CONTENTS[-1] == 'config.json'
  monkeypatch.setattr(workdir.shutil, 'rmtree', lambda path: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    workdir.clear(tmp_path)
  assert (tmp_path / 'config.json').exists()
  monkeypatch.undo()
  workdir.clear(tmp_path)
  assert [p.name for p in tmp_path.iterdir()] == ['mine.txt']


@pytest.mark.parametrize('text', [None, '{"mine": 1}', '[]', '{"sta'])
def test_files_of_an_unknown_run_are_left_alone(tmp_path, text):
  (tmp_path / 'plan.npz').touch()
  if text is not None:
    (tmp_path / 'config.json').write_text(text)
  with pytest.raises(ValueError, match='delete the folder'):
    workdir.check_folder(tmp_path)


def test_config_json_says_what_made_the_folder(tmp_path, config):
  workdir.begin(tmp_path, 'train', pin(config, num_steps=3), config)
  record = files.read_json(tmp_path / 'config.json')
  assert record['config']['balance']['lam'] == 70.0
  assert record['versions']['jax']
  assert record['command'] and record['python']
  settings = record['stages']['train']['settings']
  assert settings['train.batch_size'] == 64
  assert settings['train.num_steps'] == 3
  assert settings['the table'] == 'f00'
  assert 'train.num_workers' not in settings


def test_a_later_format_is_refused_by_its_number(tmp_path, config):
  finish(tmp_path, config, 'balance')
  record = files.read_json(tmp_path / 'config.json')
  for number, good in ((None, True), (record['format'], True), (99, False)):
    record['format'] = number
    if number is None:  # As the last release has it.
      del record['format']
    files.write_json(tmp_path / 'config.json', record)
    if good:
      assert workdir.is_done(tmp_path, 'balance', pin(config))
      continue
    with pytest.raises(ValueError, match=r'has the format 99.*another'):
      refuse_other(tmp_path, pin(config))


def test_a_folder_that_cannot_be_is_named(tmp_path):
  (tmp_path / 'x').write_text('')
  for path in (tmp_path / 'x', tmp_path / 'x/deep/er'):
    with pytest.raises(ValueError, match='is not a folder'):
      workdir.check_folder(path)
  with pytest.raises(ValueError, match='is empty'):
    workdir.check_folder('')


def test_a_folder_is_for_one_run_and_one_prediction(tmp_path):
  path = tmp_path / 'deep/run'
  with workdir.locked(path):
    with workdir.locked(path, name='.predict.lock'):
      pass
    with (
      pytest.raises(ValueError, match=f'run is at work in {path}.*process'),
      workdir.locked(path),
    ):
      pass
    assert (path / '.lock').exists()
  assert not any(tmp_path.iterdir())  # What was made for the lock is gone.


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path):
  for name in ('.plan.npz.x.tmp', '.predictions.csv.x.tmp', '.mine.tmp'):
    (tmp_path / name).touch()
  (tmp_path / '.lock').write_text('process 1 on a machine')  # Of a dead one.
  with workdir.locked(tmp_path):
    pass
  left = {path.name for path in tmp_path.iterdir()}
  assert left == {'.predictions.csv.x.tmp', '.mine.tmp'}
  with workdir.locked(tmp_path, name='.predict.lock'):
    pass
  assert [path.name for path in tmp_path.iterdir()] == ['.mine.tmp']


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch, capsys):
  def no_locks(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

  monkeypatch.setattr(files.fcntl, 'flock', no_locks)
  with workdir.locked(tmp_path / 'run'):
    assert 'cannot be locked (No locks available)' in capsys.readouterr().err


def test_a_default_of_today_is_not_read_into_a_folder_of_before(
  tmp_path, config
):
  config.model.init = 'he_normal'
  finish(tmp_path, config)
  record = files.read_json(tmp_path / 'config.json')
  for entry in record['stages'].values():
    entry['settings'].pop('model.init', None)
  files.write_json(tmp_path / 'config.json', record)
  defaults = {'defaults': settings_lib.DEFAULTS}
  refuse_other(tmp_path, pin(config), **defaults)
  config.model.init = settings_lib.SETTINGS['model.init'].default
  with pytest.raises(
    ValueError, match="'he_normal' there, 'torch_uniform' now"
  ):
    refuse_other(tmp_path, pin(config), **defaults)


def test_groups_are_pinned_where_a_plan_goes_by_them(tmp_path, config):
  finish(tmp_path / 'aubal', config)
  refuse_other(tmp_path / 'aubal', pin(config, groups='8'))
  config.balance.method = 'keep'
  finish(tmp_path / 'keep', config)
  refuse_other(tmp_path / 'keep', pin(config))
  with pytest.raises(ValueError, match='the groups and frames'):
    refuse_other(tmp_path / 'keep', pin(config, groups='8'))


@pytest.mark.parametrize('seed', range(10))
def test_a_folder_from_before_a_setting_was_there_goes_on(
  tmp_path, config, seed
):
  config.model.init = 'he_normal'  # As it was before there was a choice.
  finish(tmp_path, config)
  record = files.read_json(tmp_path / 'config.json')
  rng = random.Random(seed)
  # Numbers of steps are pinned as they come out, not as they are set.
  counted = {'train.num_steps', 'distill.num_steps'}
  gone = rng.sample(sorted({*settings_lib.SETTINGS} - counted), 15)
  for entry in record['stages'].values():
    for name in gone:
      entry['settings'].pop(name, None)
  files.write_json(tmp_path / 'config.json', record)
  defaults = {'defaults': settings_lib.DEFAULTS}
  refuse_other(tmp_path, pin(config), **defaults)
  assert workdir.is_done(tmp_path, 'report', pin(config), **defaults)
  pinned = {n for n in gone if n in settings_lib.read_by('balance')}
  if pinned:
    assert not workdir.is_done(tmp_path, 'balance', pin(config))
  name = rng.choice(sorted(pinned)) if pinned else 'seed'
  changed = {k: dict(v) for k, v in pin(config).items()}
  changed['balance'][name] = 'another'
  with pytest.raises(ValueError, match='under other settings'):
    refuse_other(tmp_path, changed, **defaults)
  assert not workdir.is_done(tmp_path, 'balance', changed, **defaults)
