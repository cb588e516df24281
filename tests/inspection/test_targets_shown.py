"""inspect of data sets with targets beside the labels."""

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.datasets import annotations
from aubal_jax.datasets import task_splits
from aubal_jax.inspection import findings
from aubal_jax.inspection import target_sections
from aubal_jax.inspection import target_survey
from aubal_jax.runs import files
from tests.makers import targets as makers
from tests.report import test_report

SEEDS = st.integers(0, 2**31)
PARTS = ('train', 'validation', 'test')


def drawn(seed, *, own):
  """A data set with three targets; `own`: each with its own splits."""
  rng = np.random.default_rng(seed)
  size = int(rng.integers(20, 60))
  forms = {name: makers.form(name, rng) for name in ('mood', 'va', 'tags')}
  found = makers.annotations_of(rng, size, forms)
  groups = rng.integers(0, 9, size).astype(str)
  splits = {
    name: rng.choice([*PARTS, 'dropped'], 9)[groups.astype(int)]
    for name in ('labels', *forms)
  }
  split = task_splits.first_of(splits) if own else rng.choice(PARTS, size)
  split[0] = 'train'
  if own:
    splits['labels'][0] = 'train'
  found = dataclasses.replace(
    found, groups=groups, split=split, splits=splits if own else {}
  )
  return annotations.to_dataset(found, where='here')


@pytest.mark.parametrize('own', [False, True])
@given(seed=SEEDS)
def test_counts_are_those_of_the_rows(own, seed):
  data = drawn(seed, own=own)
  entries = target_survey.targets(data)
  assert [entry['name'] for entry in entries] == ['mood', 'va', 'tags']
  for entry in entries:
    target = data.targets[entry['name']]
    split = data.split_of(entry['name'])
    rows = {part: split == part for part in PARTS}
    rows['all'] = split != 'dropped'
    for part, where in rows.items():
      assert entry['known'][part] == (where & target.rows_known).sum()
      for k, one in enumerate(entry.get('counts', ())):
        shows = target.values == k
        if target.kind == 'binary':
          shows = target.values[:, k] == 1
        known = target.known if target.kind == 'class' else target.known[:, k]
        assert one[part] == (shows & known & where).sum()
    for k, one in enumerate(entry.get('numbers', ())):
      values = target.values[rows['all'] & target.known[:, k], k]
      assert one['known'] == len(values) == sum(one['histogram'])
      if len(values):
        ends = [one['min'], one['max'], one['mean'], one['std']]
        values = values.astype(float)
        expected = [values.min(), values.max(), values.mean(), values.std()]
        np.testing.assert_allclose(ends, expected, atol=1e-4)
    assert ('groups' in entry) == own
    if own:
      for part in PARTS:
        mine = {*data.groups[rows[part] & target.rows_known]}
        assert entry['groups'][part] == len(mine)
      trains = np.any([x == 'train' for x in data.splits.values()], axis=0)
      mine = data.groups[rows['validation'] & target.rows_known]
      clean = {*mine} - {*data.groups[trains]}
      assert entry['groups']['clean'] == len(clean)


@given(seed=SEEDS)
def test_the_page_has_every_name_and_number(seed):
  entries = target_survey.targets(drawn(seed, own=True))
  entries[0]['names'][0] = entries[0]['counts'][0]['name'] = 'a <b> & c'
  made = target_sections.targets({'targets': entries})
  assert '<b> &' not in made
  page = test_report.Page(f'<html><body>{made}</body></html>')
  text = ' '.join(page.text)
  for entry in entries:
    for name in (entry['name'], *entry['names']):
      assert name in text
    for one in entry.get('counts', ()):
      assert f'{one["all"]}' in text
  assert target_sections.targets({}) == ''


@given(seed=SEEDS)
def test_what_is_wrong_with_a_target_is_found(seed):
  rng = np.random.default_rng(seed)
  entries = target_survey.targets(drawn(seed, own=False))
  mood, numbers = entries[0], entries[1]
  place = int(rng.integers(len(mood['counts'])))
  name = mood['counts'][place]['name']
  mood['counts'] = [
    {'name': one['name'], 'all': 90, 'train': 50, 'validation': 40}
    for one in mood['counts']
  ]
  mood['counts'][place] |= {'train': 0}
  mood['known'] = {'all': 900, 'train': 500, 'validation': 400, 'test': 0}
  numbers['known'] |= {'validation': 0, 'train': 7}
  numbers['numbers'][0] |= {'known': 7, 'min': 0.5, 'max': 0.5}
  rows = {'train': 600, 'validation': 400, 'test': 0, 'dropped': 0}
  found = [*findings._targets(entries, rows)]
  told = {entry['what']: entry for entry in found}
  one = told['1 mood value is never in train, though elsewhere.']
  assert one['names'] == [name] and one['level'] == 'wrong'
  assert 'The target va is known in no row of validation.' in told
  assert 'valence of the target va is 0.5 in every row.' in told


@pytest.mark.parametrize(
  'targets',
  [
    ('labels',),
    ('expression',),
    ('valence_arousal',),
    ('labels', 'expression', 'valence_arousal'),
  ],
)
def test_drawn_faces_are_shown_whatever_they_teach(tmp_path, targets, capsys):
  config = settings.default()
  config.task = 'inspect'
  config.data.num_train, config.data.num_validation = 40, 10
  config.data.num_test, config.data.image_size = 10, 16
  config.inspect.images_per_label = 2
  config.data.drawn_targets = targets
  commands.run_task(config, tmp_path / 'run', started=time.perf_counter())
  content = files.read_json(tmp_path / 'run/inspect.json')
  page = test_report.Page((tmp_path / 'run/inspect.html').read_text())
  shown = [entry['name'] for entry in content.get('targets', ())]
  assert shown == [name for name in targets if name != 'labels']
  assert ('targets' in content) == (targets != ('labels',))
  text = ' '.join(page.text)
  assert ('Other targets' in text) == (targets != ('labels',))
  strips = 8 * ('labels' in targets) + 1 + 7 * ('expression' in targets)
  assert len(content['examples']) == strips
  told = capsys.readouterr().out
  for name in shown:
    assert f'Target {name}: ' in told and f'inspect: target {name}' in told
