"""Where predictions go: no file of somebody else's is written or deleted."""

import random

import pytest

from aubal_jax import settings
from aubal_jax.runs import errors
from aubal_jax.serving import outputs

MINE = ('predictions.csv', 'predictions.csv.partial', 'predictions.json')
MINE += ('predictions.html',)


@pytest.fixture(name='config')
def fixture_config():
  return settings.default()


def test_in_the_folder_of_the_run_by_any_name_of_it(config, tmp_path):
  for out in (
    '',
    tmp_path / 'predictions.csv',
    tmp_path / 'x' / '..' / 'predictions.csv',
  ):
    config.predict.out = str(out)
    found = outputs.find(config, tmp_path)
    assert not found.is_own
    assert found.rows == tmp_path / 'predictions.csv'
    assert found.partial == tmp_path / 'predictions.csv.partial'
    assert found.record == tmp_path / 'predictions.json'
    assert found.page == tmp_path / 'predictions.html'
    assert found.submission == tmp_path / 'submission'


def test_beside_a_file_of_ones_own(config, tmp_path):
  rng = random.Random(0)
  for _ in range(30):
    stem = ''.join(rng.choice('ab.é ') for _ in range(rng.randint(1, 6))) + 'x'
    of_faces = rng.random() < 0.5
    suffix = rng.choice(['.csv', '.CSV', '.parquet', '.json', ''])
    config.predict.out = str(tmp_path / f'{stem}{suffix}')
    good = {'.csv', '.parquet'} if of_faces else {'.csv'}
    last = (tmp_path / f'{stem}{suffix}').suffix.lower()
    if last not in good:
      with pytest.raises(errors.UserError, match='predictions are a') as told:
        outputs.find(config, tmp_path / 'run', of_faces=of_faces)
      assert f'predict.out={config.predict.out}' in str(told.value)
      assert ('.parquet;' in str(told.value)) == of_faces
      continue
    found = outputs.find(config, tmp_path / 'run', of_faces=of_faces)
    assert found.is_own
    whole = f'{stem}{suffix}'
    assert found.rows.name == whole
    written = [found.rows, found.partial, found.record, found.page]
    assert all(path.parent == tmp_path for path in written)
    assert all(path.name.startswith(whole) for path in written)
    assert len({*written, found.submission}) == 5


def test_what_may_not_be_written_is_told(config, tmp_path):
  (tmp_path / 'd.csv').mkdir()
  (tmp_path / 'read.csv').touch()
  (tmp_path / 'link.csv').symlink_to(tmp_path / 'read.csv')
  cases = [('d.csv', {}, 'that is a folder'), ('no/x.csv', {}, 'no folder')]
  for name in ('read.csv', 'link.csv'):
    for key in ('predict.path', 'data.path', 'predict.also'):
      cases.append((name, {key: tmp_path / 'read.csv'}, f'that is {key}'))
  for name, more, words in cases:
    config = settings.default()
    config.predict.out = str(tmp_path / name)
    for key, value in more.items():
      section, key = key.split('.')
      value = (str(value),) if key == 'also' else str(value)
      config[section][key] = value
    with pytest.raises(errors.UserError, match=words) as told:
      outputs.find(config, tmp_path / 'run')
    assert str(told.value).startswith(f'predict.out={tmp_path / name}: ')


@pytest.mark.parametrize('own', [False, True])
def test_only_what_predictions_are_is_deleted(config, tmp_path, own):
  rng = random.Random(own)
  names = ['predictions', 'results', 'results.csv', 'other']
  ends = [
    '',
    '.csv',
    '.csv.partial',
    '.json',
    '.csv.json',
    '.html',
    '.csv.html',
  ]
  every = [f'{name}{end}' for name in names for end in ends]
  config.predict.out = str(tmp_path / 'results.csv') if own else ''
  found = outputs.find(config, tmp_path)
  mine = {
    found.rows.name,
    found.partial.name,
    found.record.name,
    found.page.name,
  }
  assert own or mine == {*MINE}
  for _ in range(10):
    there = {name for name in every if rng.random() < 0.6}
    for name in there:
      (tmp_path / name).touch()
    outputs.clear(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == there - mine
    for path in tmp_path.iterdir():
      path.unlink()


@pytest.mark.parametrize('own', [False, True])
def test_a_second_process_waits_outside(config, tmp_path, own):
  config.predict.out = str(tmp_path / 'results.csv') if own else ''
  found = outputs.find(config, tmp_path)
  left = tmp_path / f'.{found.record.name}.123.tmp'
  for name in (left.name, '.notes.txt.1.tmp'):
    (tmp_path / name).touch()
  with outputs.locked(found, tmp_path):
    assert not left.exists()  # What a kill left.
    with (
      pytest.raises(errors.UserError, match='Another run'),
      outputs.locked(found, tmp_path),
    ):
      pass
  assert {path.name for path in tmp_path.iterdir()} == {'.notes.txt.1.tmp'}
