"""Every configuration loads, differs by known keys, and says how it is run."""

import importlib.util
import pathlib
import re

import pytest

from aubal_jax import settings
from aubal_jax.runs import stages

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
    assert flag in stages.flatten(config.to_dict()), flag


def test_every_key_is_explained():
  source = (ROOT / 'aubal_jax/settings.py').read_text()
  for line in source.splitlines():
    if re.match(r'\s*c\.\w+(\.\w+)* = ', line) and 'ConfigDict' not in line:
      assert '  # ' in line, line


def test_every_key_is_read_somewhere():
  sources = ''.join(
    path.read_text()
    for path in (ROOT / 'aubal_jax').rglob('*.py')
    if path.name != 'config.py'
  )
  for key in stages.flatten(settings.default().to_dict()):
    assert re.search(rf'\b{key.split(".")[-1]}\b', sources), key
