"""The file of the best cell is the configuration it was made of."""

import os
import runpy

import hypothesis
import pytest
from hypothesis import strategies as st

from aubal_jax import settings
from aubal_jax.experiments.search import recipe

WORDS = st.text(
  st.characters(exclude_categories=['Cs', 'Cc']) | st.sampled_from('\'"\\#'),
  max_size=8,
)


def values_of(setting):
  """Returns a strategy of values of a setting."""
  of_kind = {
    bool: st.booleans(),
    int: st.integers(0, 9),
    float: st.sampled_from([0.0, 1e-30, 0.1, 3e-4, 1.0, 7.5, float('inf')]),
    str: WORDS,
  }
  one = of_kind[setting.kind]
  if setting.choices and not callable(setting.choices):
    one = st.sampled_from([*setting.choices])
  if isinstance(setting.default, tuple):
    return st.lists(one, max_size=3).map(tuple)
  return one


@hypothesis.given(st.data(), WORDS)
def test_what_is_written_is_read(tmp_path_factory, data, told):
  config = settings.default()
  names = st.lists(st.sampled_from([*settings.SETTINGS]), max_size=12)
  for name in data.draw(names):
    section, _, key = name.rpartition('.')
    value = data.draw(values_of(settings.SETTINGS[name]))
    (config[section] if section else config)[key] = value
  path = tmp_path_factory.mktemp('best') / 'best.py'
  recipe.write(path, config, f'It is {told}.\n\nAnd so on.')
  made = runpy.run_path(str(path))['get_config']()
  assert made.is_locked
  for name, setting in settings.SETTINGS.items():
    found = settings.value(made, name)
    ours = name == 'task' or name.startswith('distributed.')
    if ours or not settings.reads('run', setting):
      assert found == setting.default, name  # Nothing of another task.
    elif found != settings.value(config, name):
      wanted = settings.value(config, name)  # A path may be there, as '.' is.
      assert found == os.path.abspath(wanted) and os.path.exists(wanted), name


@pytest.mark.parametrize(
  ('name', 'key', 'kind', 'is_file'),
  [
    ('manifest', 'data.path', 'table.csv', True),
    ('manifest', 'data.image_dir', 'images', True),
    ('merge', 'ck_plus.path', 'images', True),
    ('tfds', 'data.path', 'images', False),  # A set of that name.
    ('labels', 'data.path', 'tfds:coco', False),
    ('manifest', 'data.split_column', 'images', False),
  ],
)
def test_files_are_the_same_from_any_folder(
  tmp_path, monkeypatch, name, key, kind, is_file
):
  (tmp_path / 'images').mkdir()
  (tmp_path / 'table.csv').touch()
  monkeypatch.chdir(tmp_path)
  config = settings.default()
  config.data.name = name
  section, _, field = key.rpartition('.')
  config[section][field] = kind
  found = recipe.changed(config)[key]
  assert found == (str(tmp_path / kind) if is_file else kind)
