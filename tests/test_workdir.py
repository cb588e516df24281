import pytest

from aubal_jax import config as config_lib
from aubal_jax import files
from aubal_jax import workdir


@pytest.fixture(name='config')
def fixture_config():
  return config_lib.default()


def test_stages_are_done_in_order(tmp_path, config):
  path = workdir.open_workdir(tmp_path / 'run', config)
  assert not path.exists()  # Nothing is written before a stage writes.
  for stage in workdir.READS:
    assert not workdir.is_done(path, stage, config)
  workdir.finish(path, 'train', config)
  assert not workdir.is_done(path, 'train', config)  # Not balanced.
  workdir.finish(path, 'balance', config)
  assert workdir.is_done(path, 'balance', config)
  assert workdir.is_done(path, 'train', config)
  workdir.begin(path, 'train', config)
  assert not workdir.is_done(path, 'train', config)
  workdir.finish(path, 'evaluate', config)
  workdir.begin(path, 'train', config)  # More steps: what follows is stale.
  workdir.finish(path, 'train', config)
  assert not workdir.is_done(path, 'evaluate', config)
  with pytest.raises(ValueError, match='dance'):
    workdir.is_done(path, 'dance', config)


def test_other_settings_are_refused_by_name(tmp_path, config):
  path = workdir.open_workdir(tmp_path, config)
  workdir.finish(path, 'balance', config)
  config.train.learning_rate = 1.0  # Not yet read by any stage.
  workdir.open_workdir(tmp_path, config)
  workdir.begin(path, 'train', config)
  config.train.learning_rate = 2.0
  config.balance.lam = 3.0
  with pytest.raises(ValueError) as caught:
    workdir.open_workdir(tmp_path, config)
  message = str(caught.value)
  assert 'train.learning_rate: 1.0 there, 2.0 now' in message
  assert 'balance.lam: 70.0 there, 3.0 now' in message
  assert 'seed' not in message
  assert '--overwrite' in message


def test_what_changes_no_result_is_free_and_steps_may_grow(tmp_path, config):
  config.train.num_steps = 5
  path = workdir.open_workdir(tmp_path, config)
  for stage in workdir.READS:
    workdir.finish(path, stage, config)
  config.task = 'train'
  config.train.num_workers = 7
  config.train.log_every_steps = 3
  config.train.num_steps = 9
  workdir.open_workdir(tmp_path, config)
  assert workdir.is_done(path, 'balance', config)
  assert not workdir.is_done(path, 'train', config)
  config.train.num_steps = 4
  with pytest.raises(ValueError, match=r'train\.num_steps: 5 there, 4 now'):
    workdir.open_workdir(tmp_path, config)


def test_overwrite_deletes_what_a_run_wrote_and_nothing_else(tmp_path, config):
  (tmp_path / 'mine.txt').write_text('keep')
  (tmp_path / 'checkpoints').mkdir()
  for name in workdir.CONTENTS:
    if name != 'checkpoints':
      (tmp_path / name).write_text('{"stages": {}}')
  workdir.open_workdir(tmp_path, config, overwrite=True)
  assert [p.name for p in tmp_path.iterdir()] == ['mine.txt']


def test_config_json_says_what_made_the_folder(tmp_path, config):
  workdir.begin(tmp_path, 'train', config)
  record = files.read_json(tmp_path / 'config.json')
  assert record['config']['balance']['lam'] == 70.0
  assert record['versions']['jax']
  assert record['command'] and record['python']
  assert record['stages']['train']['settings']['train.batch_size'] == 64
  assert 'train.num_workers' not in record['stages']['train']['settings']


def test_every_prefix_names_settings(config):
  names = workdir.flatten(config.to_dict())
  for prefixes in workdir.READS.values():
    for prefix in prefixes:
      assert any(name.startswith(prefix) for name in names), prefix
  assert names.keys() >= workdir._FREE | workdir._MAY_GROW


def test_a_file_is_no_workdir(tmp_path, config):
  (tmp_path / 'x').write_text('')
  with pytest.raises(ValueError, match='is a file'):
    workdir.open_workdir(tmp_path / 'x', config)
