"""Every configuration loads, differs by known keys, and says how it is run."""

import importlib.util
import pathlib
import re
import sys

import pytest

from aubal_jax import settings

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))


def load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_config_loads_and_documents_its_command(path):
  module = load(path)
  config = module.get_config()
  assert config.is_locked
  with pytest.raises(AttributeError, match='Did you mean'):
    config.balance.lamb = 1.0
  assert f'--config=configs/{path.name}' in module.__doc__
  for flag in re.findall(r'--config\.([\w.]+)=', module.__doc__):
    assert flag in settings.SETTINGS, flag


@pytest.mark.parametrize('name', ['baseline', 'multitask', 'two_stream'])
def test_without_data_a_config_is_small_and_says_so(monkeypatch, name):
  path = ROOT / 'configs' / f'{name}.py'
  for arguments in ([], ['--config.data.paths=x'], ['--config.data=path']):
    monkeypatch.setattr(sys, 'argv', ['main', *arguments])
    small = load(path).get_config()
    settings.check(small)
    assert small.note.startswith('small form: drawn ')
    assert ' of 48 pixels' in small.note
    assert small.data.image_size == 48
    assert small.data.name == 'synthetic'
  for arguments in (['--config.data.path=x'], ['-config.data.path', 'x']):
    monkeypatch.setattr(sys, 'argv', ['main', '--workdir=y', *arguments])
    whole = load(path).get_config()
    settings.check(whole)
    assert not whole.note
    assert whole.data.image_size == 112
    assert whole.data.name != 'synthetic'


def test_every_setting_is_explained():
  for setting in settings.SETTINGS.values():
    assert len(setting.meaning) > 5, setting.name
    setting.check(setting.default, look_up=True)


def test_every_key_is_read_somewhere():
  sources = ''.join(
    path.read_text()
    for path in (ROOT / 'aubal_jax').rglob('*.py')
    if path.name != 'settings.py'
  )
  for key, setting in settings.SETTINGS.items():
    name = (setting.option or key).split('.')[-1]
    assert re.search(rf'\b{name}\b', sources), key
