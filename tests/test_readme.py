"""What README shows is so."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()


@pytest.mark.parametrize(
  'code', re.findall(r'```python\n(.*?)```', README, re.S)
)
def test_python_runs(code):
  exec(compile(code, 'README.md', 'exec'), {})


def test_files_and_settings_exist():
  from aubal_jax import config
  from aubal_jax import workdir

  for path in re.findall(r'\]\((?!http)([^)#]+)\)', README):
    assert (ROOT / path).exists(), path
  for path in re.findall(r'(?:configs|scripts|requirements)/[\w.]+', README):
    assert (ROOT / path).exists(), path
  settings = workdir.flatten(config.default().to_dict())
  for key in re.findall(r'--config\.([a-z_]+\.[a-z_]+)=', README):
    assert key in settings, key
  sections = {key.split('.')[0] for key in settings if '.' in key}
  for section, key in re.findall(r'`([a-z]+)\.([a-z_]+)', README):
    if section in sections and key not in ('py', 'csv', 'png', 'json', 'html'):
      assert f'{section}.{key}' in settings, f'{section}.{key}'


def test_nothing_is_left_to_fill_in():
  for name in ('README.md', 'BUILD_NOTES.md', 'CHANGELOG.md'):
    assert '@@' not in (ROOT / name).read_text(), name
