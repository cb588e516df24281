"""Every setting keeps to its declaration: all keys times bad values."""

import json
import math
import random

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.batches import draws
from aubal_jax.runs import errors
from aubal_jax.runs import workdir
from aubal_jax.runs.setting import Setting

NOBODYS = (None, object(), b'x', {1, 2})
OF_TYPE = {
  bool: (0, 1, 'True', None, 1.0),
  int: (1.5, '1', True, math.nan, math.inf, -math.inf, 10**18, -(10**18)),
  float: ('1', True, math.nan, math.inf, -math.inf, 1e300, -1e300, 1j),
  str: (0, 1.0, True, ('x',), ['x']),
}


def bad_values(setting):
  """Yields values that are none of the setting's."""
  kind = setting.kind
  if not isinstance(setting.default, tuple):
    of_type = (
      v for v in OF_TYPE[kind] if not (setting.infinite and v == math.inf)
    )
    yield from (*NOBODYS, (), [], *of_type)
    if setting.choices:
      yield 'nothing of the kind' if kind is str else 10**6
    if kind in (int, float):
      yield from outside(setting)
    return
  yield from (*NOBODYS[:2], 1, 1.5, True)
  yield from ((value,) for value in (None, object(), b'x', True))
  if kind in (int, float):
    yield from ((value,) for value in (math.nan, math.inf, 'x', 1e300))
    yield from ((value,) for value in outside(setting))
  if setting.choices:
    yield ('nothing of the kind',)
  if setting.pair:
    yield from ((), (0.5,), (0.5, 0.4), (0.1, 0.2, 0.3), (-1.0, 0.5))


def outside(setting):
  """Yields the numbers next to the bounds, on their wrong side."""
  step = 1 if setting.kind is int else 1e-3
  least, most = setting._bounds()
  for bound, sign in ((least, -1), (most, 1)):
    if bound is not None and abs(bound) < 2**31 - 1:
      yield setting.kind(bound + sign * max(step, abs(bound) / 100))
  for bound in (setting.above, setting.below):
    if bound is not None:
      yield setting.kind(bound)


def holds(config, name, value):
  """Sets a value as a file might that keeps no type; whether it is held."""
  section, _, key = name.rpartition('.')
  owner = config[section] if section else config
  try:
    with owner.ignore_type():
      owner[key] = value
  except (TypeError, ValueError):
    return False  # ConfigDict takes nothing of the kind.
  return type(owner[key]) is type(value)  # True is 1.0 by now.


@pytest.mark.parametrize(
  'num_held', [1, pytest.param(None, marks=pytest.mark.long)]
)
def test_a_bad_value_is_one_message_that_names_the_setting(num_held):
  """By its declaration each; in a configuration the first, or all of them."""
  rng = random.Random(0)
  for name, setting in settings.SETTINGS.items():
    bad = [*bad_values(setting)]
    assert len(bad) > 5, name
    for value in bad:
      with pytest.raises(errors.UserError, match=rf'^{name} must be .*it is'):
        setting.check(value)
    rng.shuffle(bad)
    config, num_left = settings.default(), num_held
    for value in bad:
      if num_left != 0 and holds(config, name, value):
        num_left = num_left and num_left - 1
        with pytest.raises(errors.UserError, match=rf'^{name} must be .*it is'):
          settings.check(config)
    assert not num_left, name


def test_inf_is_pinned_as_json_and_known_again(tmp_path):
  for name, setting in settings.SETTINGS.items():
    if not setting.infinite:
      continue
    config = settings.default()
    section, _, key = name.rpartition('.')
    for text in ('inf', 'Infinity', str(setting.default)):
      config[section][key] = setting.parse(text)
      settings.check(config)
      flat = settings.flatten(config.to_dict())
      pinned = {stage: {name: flat[name]} for stage in workdir.WRITES}
      workdir.finish(tmp_path, 'inspect', pinned, config)
      assert 'Infinity' not in (tmp_path / 'config.json').read_text()
      workdir.refuse_other(tmp_path, pinned)
      for other in (2.5, -math.inf):
        with pytest.raises(errors.UserError, match=name):
          workdir.refuse_other(tmp_path, {'inspect': {name: other}})


def test_good_values_are_good():
  settings.check(settings.default())
  for name, value in (
    ('train.learning_rate', 1),
    ('balance.target', (1, 2.5)),
    ('data.feature_columns', (1, 2)),
    ('search.learning_rates', ('1e-3,3e-4',)),
    ('augment.contrast', (0, 255)),
    ('compare.methods', ['none', 'random']),
  ):
    settings.SETTINGS[name].check(value)


def test_texts_of_the_command_line():
  parse = {
    name: settings.SETTINGS[name].parse
    for name in (
      *('compare.methods', 'search.learning_rates', 'data.label_columns'),
      *('data.stratify', 'train.batch_size', 'data.unknown_codes'),
      *('balance.lam', 'augment.contrast', 'compare.data'),
    )
  }
  assert parse['compare.methods']('aubal:l1,none') == ('aubal:l1', 'none')
  assert parse['compare.methods']("'aubal:l1,none'") == ('aubal:l1', 'none')
  assert parse['compare.data']('a b/c.csv,d.csv') == ('a b/c.csv', 'd.csv')
  assert parse['search.learning_rates']('1e-3,3e-4') == (1e-3, 3e-4)
  assert parse['data.label_columns']('AU01,AU02') == ('AU01', 'AU02')
  assert parse['data.label_columns']('1,2') == ('1', '2')
  assert parse['data.label_columns']("('a,b','c')") == ('a,b', 'c')
  assert parse['data.unknown_codes']('-1') == ('-1',)
  assert parse['data.label_columns']('()') == ()
  assert parse['augment.contrast']('(0.5, 1)') == (0.5, 1)
  assert parse['data.stratify']('False') is False
  assert parse['train.batch_size']('8') == 8
  assert parse['balance.lam']('2') == 2.0
  for name, text in (
    ('train.batch_size', '8.5'),
    ('balance.lam', 'much'),
    ('data.stratify', 'maybe'),
    ('search.learning_rates', '1e-3,fast'),
  ):
    with pytest.raises(errors.UserError, match=f'{name} must be'):
      parse[name](text)


def test_the_data_of_a_run_are_taken_where_nothing_else_is_said():
  sections = ('data', 'two_stream', *settings.SETS)
  rng = random.Random(0)
  for _ in range(30):
    config, held = settings.default(), settings.default()
    given, wanted = {}, {}
    for name, setting in settings.SETTINGS.items():
      section, _, key = name.rpartition('.')
      for owner, told in ((config, given), (held, wanted)):
        if setting.kind in (str, int) and rng.random() < 0.3:
          other = another(setting, rng)
          (owner[section] if section else owner)[key] = told[name] = other
    expected = {
      name: given.get(name, setting.default)
      for name, setting in settings.SETTINGS.items()
    }
    for name, other in wanted.items():
      is_data = name == 'seed' or name.rpartition('.')[0] in sections
      is_left = expected[name] == settings.DEFAULTS[name]
      if is_data and (is_left or name == 'data.name'):
        expected[name] = other
    expected['data.name'] = wanted.get('data.name', 'synthetic')
    written = json.loads(json.dumps(held.to_dict()))
    settings.take_data(config, settings.flatten(written))
    for name, value in settings.flatten(config.to_dict()).items():
      value = tuple(value) if isinstance(value, list) else value
      assert value == expected[name], name


def another(setting, rng):
  """A value of a setting, as far as its type and choices go."""
  number = (setting.least or 0) + rng.randrange(5)
  one = rng.choice([*setting.choices] or [setting.kind(number)])
  return (one,) if isinstance(setting.default, tuple) else one


def test_damaged_data_of_a_run_are_named():
  for name, value in (('data.image_size', '1'), ('data.label_columns', 3)):
    with pytest.raises(errors.UserError, match=f'{name} must be'):
      settings.take_data(settings.default(), {name: value, 'no.such': 1})


def test_names_are_looked_up_where_they_are_read():
  config = settings.default()
  config.model.name = 'resnet_18'
  config.train.optimizer = 'adm'
  config.task = 'balance'  # Which needs neither.
  settings.check(config)
  config.task = 'run'
  with pytest.raises(errors.UserError, match=r'model\.name.*Did you mean'):
    settings.check(config)
  config.model.name = 'resnet8_16'
  with pytest.raises(errors.UserError, match=r"optimizer.*mean 'adam'"):
    settings.check(config)


def test_how_strong_a_policy_is_it_says_itself():
  rng = np.random.default_rng(0)
  for name, most in (('strength', 5.0), ('growth_exponent', 1.0)):
    for given in rng.uniform(0.0, most, 5).tolist():
      config = settings.default()
      config.augment[name] = given
      settings.check(config)
      config.augment.policy = 'mine.py'
      with pytest.raises(errors.UserError, match=rf'augment\.{name} must be'):
        settings.check(config)
      config.augment[name] = settings.SETTINGS[f'augment.{name}'].default
      settings.check(config)
  strength = settings.SETTINGS['augment.strength']
  assert strength.most == draws.LARGEST_STRENGTH


@pytest.mark.parametrize(
  ('name', 'near'),
  [
    ('train.lr', 'train.learning_rate'),
    ('balance.lamda', 'balance.lam'),
    ('batch_size', 'train.batch_size'),
    ('trian.num_steps', 'train.num_steps'),
  ],
)
def test_an_unknown_name_names_the_nearest(name, near):
  with pytest.raises(errors.UserError) as caught:
    settings.find(name)
  assert name in str(caught.value)
  assert near.split('.')[1] in str(caught.value)


def test_counts_are_bounded_by_cores_and_memory():
  config = settings.default()
  config.train.num_processes = 10**6
  with pytest.raises(errors.UserError, match=r'train\.num_processes.*at most'):
    settings.check(config)
  config = settings.default()
  config.evaluate.batch_size = 2**31 - 1
  with pytest.raises(errors.UserError, match=r'evaluate\.batch_size.* GB'):
    settings.check(config)
  config = settings.default()
  config.data.num_train = 2**31 - 1
  with pytest.raises(errors.UserError, match=r'data\.num_train.* GB'):
    settings.check(config)


def test_every_reader_is_a_stage_or_a_task():
  for setting in settings.SETTINGS.values():
    assert {*setting.read_by} <= {*workdir.WRITES, *settings.TASKS}, setting
  assert {*settings.TASKS['run']} == {*workdir.LINE}


def test_a_setting_is_of_one_type():
  texts = Setting('a.b', ('x',), 'Texts.')
  assert texts.values((1, 'y')) == ('1', 'y')
  assert Setting('a', (), 'Each once.', listed=True).values(('x,y', 'x')) == (
    'x',
    'y',
  )


def test_choices_are_those_of_the_code():
  from aubal_jax import resampling
  from aubal_jax.balancing import diversity
  from aubal_jax.datasets import readers
  from aubal_jax.network.models import resnet

  choices = {name: {*s.choices} for name, s in settings.SETTINGS.items()}
  assert choices['balance.diversity'] == {*diversity.KINDS}
  assert choices['compare.diversities'] == {*diversity.KINDS}
  assert choices['model.stem'] == {*resnet.STEM_SIZES}
  taken = {
    option
    for method in settings.METHODS
    if method != 'aubal'
    for option in resampling.options(method)
  }
  assert taken >= {'neighbours', 'combine'}
  assert 'reading' in resampling.options('ml_rus')
  for name in settings.SETS:
    options = readers.options(name)
    assert {f'{name}.{option}' for option in options} <= {*settings.SETTINGS}
