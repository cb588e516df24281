"""What every task does before its work."""

import time

import pytest

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.experiments.compare import table_cells


def make_config(**data):
  config = settings.default()
  config.data.num_train, config.data.num_validation = 30, 12
  config.data.num_test, config.data.image_size = 12, 16
  config.data.update(data)
  return config


@pytest.mark.parametrize('task', [*commands.STAGES, 'run'])
def test_every_task_tells_which_labels_it_reads(
  task, tmp_path, monkeypatch, capsys
):
  worked = []
  for name, stage in commands.STAGES.items():
    idle = stage._replace(run=lambda _, name=name: worked.append(name))
    monkeypatch.setitem(commands.STAGES, name, idle)
  (tmp_path / 't.csv').write_text('cat,dog,f\n1,0,.1\n0,1,.2\n1,1,.3\n0,,.4\n')
  config = make_config(allow_constant=True)
  wanted = 'Cells of labels: absent ('
  if task == 'compare':
    config.data.feature_columns = ('f',)
    config.compare.data = (str(tmp_path / 't.csv'),)
    wanted = 'Labels: cat, dog (all columns but f).\nCells of labels: 0 = abs'
  if task == 'controls':
    config.controls.methods = ('none',)
  config.distill.students = int(task == 'distill')
  config.task = task
  commands.run_task(config, tmp_path / 'run', started=time.perf_counter())
  assert wanted in capsys.readouterr().out
  assert task in worked or task == 'run'


def test_a_label_of_one_value_is_no_table_to_compare_on(tmp_path):
  path = tmp_path / 't.csv'
  path.write_text('cat,dog,f\n1,0,.1\n1,1,.2\n1,,.3\n')
  config = make_config(feature_columns=('f',))
  config.compare.data = (str(path),)
  with pytest.raises(ValueError, match=r't\.csv: .*Never known to be 0: cat\.'):
    table_cells.load(config, [str(path)])
  config.data.allow_constant = True
  assert table_cells.load(config, [str(path)])['t'].label_names == (
    'cat',
    'dog',
  )
