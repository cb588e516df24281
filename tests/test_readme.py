"""What README shows is so."""

import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()


def python_of(readme):
  """The Python shown, with what its section begins with: (first, code)."""
  for section in re.split(r'^## ', readme, flags=re.M):
    shown = re.findall(r'```python\n(.*?)```', section, re.S)
    yield from ((shown[0], code) for code in shown)


@pytest.mark.parametrize(('first', 'code'), [*python_of(README)])
def test_python_runs(first, code):
  if 'import torch' in code:
    pytest.importorskip(
      'torch', reason='PyTorch is 200 MB, and only this example needs it.'
    )
  names = {}
  exec(compile(first, 'README.md', 'exec'), names)
  if code != first:
    exec(compile(code, 'README.md', 'exec'), names)
  if 'batches' in names:
    # Whoever's loader it is, it goes over the rows of the plan.
    found = [
      (x.tolist(), y.tolist())
      for batch in names['batches']
      for x, y in zip(*map(np.asarray, batch), strict=True)
    ]
    rows = names['plan'].source
    features, labels = names['features'][rows], names['labels'][rows]
    expected = zip(features.tolist(), labels.tolist(), strict=True)
    assert sorted(found) == sorted(expected)


def test_others_are_shown():
  shown = '\n'.join(code for _, code in python_of(README))
  for name in ('torch', 'tensorflow', 'grain', 'imblearn'):
    assert re.search(rf'^(import|from) {name}\b', shown, re.M), name


def test_files_and_settings_exist():
  from aubal_jax import settings

  for path in re.findall(r'\]\((?!http)([^)#]+)\)', README):
    assert (ROOT / path).exists(), path
  for path in re.findall(r'(?:configs|scripts|requirements)/[\w.]+', README):
    assert (ROOT / path).exists(), path
  settings = settings.SETTINGS
  for key in re.findall(r'--config\.([a-z_]+\.[a-z_]+)=', README):
    assert key in settings, key
  sections = {key.split('.')[0] for key in settings if '.' in key}
  for section, key in re.findall(r'`([a-z]+)\.([a-z_]+)', README):
    if section in sections and key not in ('py', 'csv', 'png', 'json', 'html'):
      assert f'{section}.{key}' in settings, f'{section}.{key}'


def test_nothing_is_left_to_fill_in():
  for name in ('README.md', 'BUILD_NOTES.md', 'CHANGELOG.md'):
    assert '@@' not in (ROOT / name).read_text(), name
