"""Sets of several tasks as one, by the settings that a user gives."""

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import loading
from aubal_jax.runs import errors
from tests.makers import aff_wild2_trees as trees
from tests.makers import face_sets
from tests.makers import fake_data

SOURCES = ('aff_wild2', 'disfa', 'expw', 'afew_va')
TASKS = ('labels', 'expression', 'valence_arousal')


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  """The settings of the four sets of Deng et al. (2020)."""
  rng = np.random.default_rng(5)
  trees.write(tmp_path / 'aff_wild2', '2020', rng, once=True)
  fake_data.disfa(tmp_path / 'disfa')
  face_sets.expw(tmp_path / 'expw')
  face_sets.afew_va(tmp_path / 'afew_va')
  config = settings.default()
  config.data.name, config.data.path = 'merge', str(tmp_path)
  config.data.sources = SOURCES
  config.aff_wild2.targets = ('labels,expression', 'valence_arousal')
  for name in SOURCES[1:]:
    config[name].split = 'train'
  settings.check(config)
  return config


def test_each_target_is_known_where_a_set_has_it(config):
  data = loading.load(config)
  assert {*data.targets} == {*data.splits} == {*TASKS}
  knows = {
    'aff_wild2': {*TASKS},
    'disfa': {'labels'},
    'expw': {'expression'},
    'afew_va': {'valence_arousal'},
  }
  for source, tasks in knows.items():
    mine = data.sources == source
    for task in TASKS:
      known = data.targets[task].rows_known & mine
      assert known.any() == (task in tasks), (source, task)
      split = {*data.splits[task][mine]}
      if source != 'aff_wild2':
        assert split == ({'train'} if task in tasks else {'dropped'})
    # What is cut out of an image is said of these two alone.
    has_corners = ~np.isnan(data.corners[mine]).all()
    assert has_corners == (source in ('expw', 'afew_va'))
  for task in TASKS:
    assert len(data.rows('train', task)) and len(data.rows('validation', task))
  clean = data.clean()
  assert not clean[data.sources != 'aff_wild2'].any()


@pytest.mark.parametrize('overlap', ['drop_train', 'drop_validation'])
def test_overlap_is_a_setting(config, overlap):
  kept = loading.load(config)
  config.data.overlap = overlap
  try:
    data = loading.load(config)
  except errors.UserError as error:
    assert f'data.overlap={overlap!r} leaves the target' in str(error)
    return
  lost = overlap.removeprefix('drop_')
  assert data.fingerprint() != kept.fingerprint()
  for task in TASKS:
    before, after = kept.splits[task], data.splits[task]
    changed = before != after
    assert ({*before[changed]}, {*after[changed]}) in (
      ({lost}, {'dropped'}),
      (set(), set()),
    )


def test_thinning_is_a_setting_and_labels_alone_have_one_split(config):
  whole = loading.load(config)
  config.aff_wild2.thinning = 'published'
  thinned = loading.load(config)
  for task in TASKS:
    before, after = (len(x.rows('train', task)) for x in (whole, thinned))
    assert after < before if task == 'valence_arousal' else after <= before
  config.data.name, config.data.path = (
    'aff_wild2',
    f'{config.data.path}/aff_wild2',
  )
  config.aff_wild2.targets = ('labels',)
  data = loading.load(config)
  assert data.splits == {} and {*data.targets} == {'labels'}
