"""configs/paper.py on made-up examples of its four data sets, all stages."""

import csv
import pathlib
import time

import pytest

from aubal_jax import commands
from aubal_jax.runs import files
from tests import test_configs
from tests.makers import fake_data
from tests.makers import small_network

AUS = ['AU01', 'AU02', 'AU04', 'AU06', 'AU12', 'AU15', 'AU20', 'AU25']


def write_sets(folder):
  """Writes the four sets; the Actor Study has three images of two actors."""
  fake_data.aff_wild2(folder / 'aff_wild2')
  fake_data.emotionet(folder / 'emotionet')
  fake_data.ck_plus(folder / 'ck_plus')
  actors = folder / 'actor_study'
  lines = [','.join(['path', 'subject', *AUS])]
  for number, bits in enumerate(('10000000', '00100001', '00010010')):
    fake_data.write_image(actors / f'{number}.png', 40 * number + 40)
    lines.append(f'{number}.png,actor{number // 2},{",".join(bits)}')
  (actors / 'table.csv').write_text('\n'.join(lines) + '\n')
  return folder


def load(name, folder):
  c = test_configs.load(test_configs.ROOT / 'configs' / name).get_config()
  c.data.path = str(folder / 'sets')
  c.data.cache_dir = str(folder / 'cache')
  c.data.image_size = 16
  c.balance.optimizer = 'newton'
  c.model.name = small_network.NAME
  c.train.batch_size = 8
  c.train.num_steps = 2
  c.train.eval_every_steps = 2
  return c


def run(config, path):
  commands.run_task(config, path, started=time.perf_counter())
  return pathlib.Path(path)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  made = tmp_path_factory.mktemp('paper')
  write_sets(made / 'sets')
  return made


def test_all_stages_of_the_paper(folder, capsys):
  path = run(load('paper.py', folder), folder / 'run')
  told = capsys.readouterr().out
  found = files.read_json(path / 'labelsets.json')
  assert found['label_names'] == AUS
  assert list(found['sources']) == [
    *('aff_wild2', 'emotionet', 'ck_plus', 'actor_study')
  ]
  actors = found['sources']['actor_study']
  assert actors['class_counts'] == [1, 0, 1, 1, 0, 0, 1, 1]
  assert actors['images'] == 3
  # The left half of Table I, printed: one line a label, one column a set.
  (line,) = (x for x in told.splitlines() if x.startswith('AU25'))
  counts = [entry['class_counts'][7] for entry in found['sources'].values()]
  assert line.split()[1:] == [*map(str, counts), str(sum(counts))]
  with open(path / 'rows.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  used = [row for row in rows if row['split'] != 'dropped']
  assert len(used) == sum(e['images'] for e in found['sources'].values())
  assert {row['split'] for row in used} == {'train', 'validation'}
  assert {row['source'] for row in used if row['split'] == 'validation'} == {
    'aff_wild2'
  }
  assert all(row['reason'] for row in rows if row['split'] == 'dropped')
  report = files.read_json(path / 'report.json')
  assert report['split'] == 'validation' and report['cross_fitted']
  assert 'Where the images come from' in (path / 'report.html').read_text()
  assert list((folder / 'cache').glob('images-*/*.npy'))


def test_the_paper_without_balance_has_its_originals_alone(folder, capsys):
  config = load('paper_non_aug.py', folder)
  config.data.unlabelled = 'absent'
  config.task = 'balance'
  path = run(config, folder / 'non_aug')
  assert not (path / 'solution.json').exists()
  sources = files.read_json(path / 'labelsets.json')['sources']
  assert sources['emotionet']['known'] == [sources['emotionet']['images']] * 8


def test_a_set_that_is_not_there_is_named(folder):
  config = load('paper.py', folder)
  config.ck_plus.path = str(folder / 'nowhere')
  with pytest.raises(FileNotFoundError, match='nowhere'):
    run(config, folder / 'none')
  assert not (folder / 'none').exists()


def test_the_actor_study_is_the_one_table_of_its_folder(folder, tmp_path):
  config = load('paper.py', folder)
  config.actor_study.path = str(tmp_path)
  message = r'looked for one table of images .*, and found nothing\. Set actor_'
  with pytest.raises(FileNotFoundError, match=message):
    run(config, folder / 'none')
  for name in ('b.csv', 'a.CSV'):
    (tmp_path / name).write_text('path,AU01\n')
  with pytest.raises(FileNotFoundError, match=r'found a\.CSV, b\.csv'):
    run(config, folder / 'none')


def test_a_set_that_is_named_twice_is_refused(folder):
  config = load('paper.py', folder)
  config.data.sources = ('ck_plus', 'emotionet', 'ck_plus')
  with pytest.raises(ValueError, match=r'data\.sources names a set twice'):
    run(config, folder / 'twice')
