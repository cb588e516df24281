"""The notebook of docs/ runs as it stands, and shows what it holds."""

import base64
import importlib.util
import json
import os
import pathlib
import random
import re
import runpy
import subprocess
import sys
import types
from unittest import mock

import pytest

from aubal_jax.tables import shown

ROOT = pathlib.Path(__file__).parents[1]
FILE = ROOT / 'docs/first-plan.ipynb'
NOTEBOOK = json.loads(FILE.read_text())
SCRIPT = runpy.run_path(str(ROOT / 'scripts/notebook.py'))
TEXTS = [
  ''.join(cell['source'])
  for cell in NOTEBOOK['cells']
  if cell['cell_type'] == 'markdown'
]
BLOCKS = re.findall(r'^```python\n(.*?)^```$', '\n'.join(TEXTS), re.M | re.S)

# Runs it with what the extras `frames` and `plot` have, then its blocks.
CHILD = """
import json, runpy, sys
notebook, script, *blocks = sys.argv[1:]
lacking = ('sklearn', 'imblearn', 'tensorflow', 'flax', 'torch', 'cv2')
sys.modules.update(dict.fromkeys(lacking))
notebook = json.load(open(notebook))
names = runpy.run_path(script)['run'](notebook)
for name in lacking:
  del sys.modules[name]
told = []
for block in blocks:
  held = dict(names)
  exec(block, held)
  loader, model = held.get('loader'), held.get('model')
  told.append(
    sum(len(y) for _, y in loader) == len(held['plan'])
    if loader else model.n_features_in_ == 8
  )
json.dump([notebook, told], sys.stdout)
"""


@pytest.fixture(name='ran', scope='module')
def fixture_ran(tmp_path_factory):
  """The notebook as it ran in an empty folder, and the blocks that hold."""
  there = [block for block in BLOCKS if importlib.util.find_spec(of(block))]
  folder = tmp_path_factory.mktemp('empty')
  done = subprocess.run(
    [sys.executable, '-c', CHILD, FILE, ROOT / 'scripts/notebook.py', *there],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    stdout=subprocess.PIPE,
    check=True,
  )
  assert not [*folder.iterdir()]
  notebook, told = json.loads(done.stdout)
  return notebook, dict(zip(there, told, strict=True))


def of(block):
  """The package that a block is for."""
  return re.match(r'(?:from|import) (\w+)', block)[1]


def outputs_of(notebook):
  """What each cell shows: type -> text; of pictures whether it is a PNG."""
  found = []
  for cell in notebook['cells']:
    for output in cell.get('outputs', ()):
      data = {k: ''.join(v) for k, v in output['data'].items()}
      if 'image/png' in data:
        picture = base64.b64decode(data['image/png'])
        data['image/png'] = picture.startswith(b'\x89PNG')
        assert len(picture) < 20_000
      found.append((cell['id'], output['output_type'], data))
  return found


def test_it_runs_as_written_and_shows_what_it_holds(ran):
  assert outputs_of(ran[0]) == outputs_of(NOTEBOOK), 'run scripts/notebook.py'
  kinds = {kind for *_, data in outputs_of(NOTEBOOK) for kind in data}
  assert kinds == {'text/plain', 'text/html', 'image/png'}


@pytest.mark.parametrize('block', BLOCKS, ids=of)
def test_what_its_texts_show_runs_after_it(block, ran):
  if block not in ran[1]:
    pytest.skip(f'{of(block)} is not installed, and only this needs it.')
  assert ran[1][block]


def test_its_form_and_links():
  assert (NOTEBOOK['nbformat'], NOTEBOOK['nbformat_minor']) == (4, 5)
  ids = [cell['id'] for cell in NOTEBOOK['cells']]
  assert len({*ids}) == len(ids)
  assert len(BLOCKS) == 2
  links = re.findall(r'\]\((.*?)\)', '\n'.join(TEXTS))
  assert links
  for link in links:
    assert (FILE.parent / link).is_file(), link


def test_the_last_line_of_a_cell_is_shown():
  rng = random.Random(0)
  for _ in range(50):
    values = [
      rng.choice([None, 1.5, 'a\nb', [1, {'x': ()}], b'', True]) for _ in '1234'
    ]
    ends = [rng.choice(['', ';', '  # A comment.']) for _ in values]
    cells = [
      {
        'cell_type': 'code',
        'source': [f'x{k} = {value!r}\n', f'x{k}{end}'],
        'outputs': ['of before'],
      }
      for k, (value, end) in enumerate(zip(values, ends, strict=True))
    ]
    cells.insert(2, {'cell_type': 'markdown', 'source': ['x ='], 'id': 'm'})
    names = SCRIPT['run']({'cells': cells})
    del cells[2]
    for k, (cell, value) in enumerate(zip(cells, values, strict=True)):
      assert names[f'x{k}'] == value and cell['execution_count'] == k + 1
      told = [''.join(o['data']['text/plain']) for o in cell['outputs']]
      assert told == ([] if value is None else [repr(value)])
  with pytest.raises(ValueError, match='A cell prints'):
    SCRIPT['run'](
      {'cells': [{'cell_type': 'code', 'source': ['print(1)'], 'outputs': []}]}
    )


def test_a_picture_is_shown_below_its_cell_in_ipython(monkeypatch):
  from matplotlib import pyplot

  before = pyplot.get_fignums()
  for shell in (None, mock.MagicMock(), None, mock.MagicMock()):
    ipython = types.SimpleNamespace(
      get_ipython=lambda shell=shell: shell, version_info=(9, 0)
    )
    monkeypatch.setitem(sys.modules, 'IPython', ipython)
    held = {*pyplot.get_fignums()}
    figure = shown.axes('title', figsize=(2, 3)).get_figure()
    assert figure.get_size_inches().tolist() == [2, 3]
    assert len({*pyplot.get_fignums()} - held) == (shell is not None)
    pyplot.close(figure)
    if shell:
      pyplot.uninstall_repl_displayhook()
  assert pyplot.get_fignums() == before
