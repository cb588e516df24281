"""What holds of the converter of every form: the right table, and no crash."""

import importlib
import json
import pathlib
import re
import sys

import numpy as np
import pytest

from aubal_jax.datasets import manifest
from aubal_jax.runs import errors
from tests.makers import fake_data
from tests.makers import forms

ROOT = pathlib.Path(__file__).resolve().parents[3]
DAMAGED = sorted({*forms.FORMS} - {'class_folders'})


def converter(name):
  return importlib.import_module(f'aubal_jax.datasets.converters.{name}')


def read_back(out):
  """Path -> (label -> '0', '1' or '', split, subject) of a manifest."""
  found = manifest.read(out)
  return {
    found.ids[n]: (
      forms.cells_of(found.label_names, found.labels[n], found.known[n]),
      None if found.split is None else found.split[n],
      None if found.groups is None else found.groups[n],
    )
    for n in range(len(found))
  }


@pytest.mark.parametrize('name', forms.FORMS)
def test_random_sets_are_read_back(tmp_path, name):
  for seed in range(25):
    folder = tmp_path / f'{seed}'
    folder.mkdir()
    made = forms.FORMS[name](folder, np.random.default_rng(seed))
    notes = converter(name).convert(folder, folder / 'm.csv')
    assert read_back(folder / 'm.csv') == made.rows, seed
    total = len(made.rows) + made.num_left_out
    assert f'{len(made.rows)} images of {total} rows' in notes[0]


@pytest.mark.parametrize('name', forms.FORMS)
def test_a_manifest_away_from_its_images(tmp_path, name):
  folder = tmp_path / 'set'
  folder.mkdir()
  made = forms.FORMS[name](folder, np.random.default_rng(3), decodable=True)
  notes = converter(name).convert(folder, tmp_path / 'out/m.csv')
  assert any(f'data.image_dir={str(folder)!r}' in note for note in notes)
  data = fake_data.load_manifest(tmp_path / 'out/m.csv', image_dir=str(folder))
  assert {*data.ids} == {*made.rows}
  assert data.load_images(range(len(data.ids))).any()


@pytest.mark.parametrize('name', forms.FORMS)
def test_the_command_knows_every_form(tmp_path, name, monkeypatch, capsys):
  monkeypatch.syspath_prepend(ROOT / 'scripts')
  import to_manifest

  made = forms.FORMS[name](tmp_path, np.random.default_rng(1))
  flags = [f'--folder={tmp_path}', f'--out={tmp_path / "m.csv"}']
  monkeypatch.setattr(sys, 'argv', ['to_manifest.py', name, *flags])
  to_manifest.main()
  assert f'{len(made.rows)} images' in capsys.readouterr().out
  assert read_back(tmp_path / 'm.csv') == made.rows
  with pytest.raises(SystemExit, match=r'^Error: .*name the \.csv file'):
    monkeypatch.setattr(sys, 'argv', [*sys.argv[:-1], f'--out={tmp_path}'])
    to_manifest.main()
  with pytest.raises(SystemExit):
    monkeypatch.setattr(sys, 'argv', ['to_manifest.py', name, '--help'])
    to_manifest.main()
  assert converter(name).__doc__.splitlines()[0] in capsys.readouterr().out


ODD = (
  *(None, True, -1, 0, 10**30, 1e999, 0.5, '', ' ', 'x', '\ud800', '\x00'),
  *([], {}, [[]], ['x'], {'id': 1}, 'Split', '../x.jpg', '/', 'cat', 'CAT'),
)


def nodes(value):
  """Yields (container, key) of everything in a JSON value."""
  pairs = ()
  if isinstance(value, dict):
    pairs = value.items()
  elif isinstance(value, list):
    pairs = enumerate(value)
  for key, inner in [*pairs]:
    yield value, key
    yield from nodes(inner)


def damage_json(contents, rng):
  """Deletes, doubles or alters one thing of a JSON file."""
  value = json.loads(contents)
  found = [*nodes(value)]
  container, key = found[rng.integers(len(found))]
  kind = rng.integers(3)
  if kind == 0:
    del container[key]
  elif kind == 1 and isinstance(container, list):
    container.append(container[key])
  else:
    container[key] = ODD[rng.integers(len(ODD))]
  return json.dumps(value).encode()


def damage_words(contents, rng):
  """Puts something odd for a word, or removes, doubles or moves a line."""
  if rng.random() < 0.7:
    words = re.split(rb'([\w.-]+)', contents)
    odd = str(ODD[rng.integers(len(ODD))]).encode(errors='surrogatepass')
    words[rng.integers(len(words))] = odd
    return b''.join(words)
  lines = contents.split(b'\n')
  line = lines.pop(rng.integers(len(lines)))
  lines.insert(rng.integers(len(lines) + 1), line)
  return b'\n'.join(lines + [line] * int(rng.integers(2)))


def damage_bytes(contents, rng):
  """Alters, removes or adds bytes; or ends the file, or empties it."""
  start, end = sorted(rng.integers(0, len(contents) + 1, 2).tolist())
  if rng.random() < 0.7:
    end = min(end, start + 3)
  added = rng.integers(0, 256, rng.integers(3), np.uint8).tobytes()
  deep = b'[' * 3000 if rng.random() < 0.05 else b''
  return contents[:start] + added + deep + contents[end:]


def damaged(path, rng):
  """Returns the contents of a file with something wrong."""
  contents = path.read_bytes()
  kinds = [damage_bytes, damage_words]
  if path.suffix == '.json':
    kinds += 2 * [damage_json]
  return kinds[rng.integers(len(kinds))](contents, rng)


def check_damaged(name, folder, files, rng):
  """Converts with one damaged file; returns the message, '' without one."""
  file = folder / files[rng.integers(len(files))]
  whole, out = file.read_bytes(), folder / 'm.csv'
  out.unlink(missing_ok=True)
  file.write_bytes(damaged(file, rng))
  try:
    converter(name).convert(folder, out)
  except errors.UserError as error:
    assert not out.exists()
    return str(error)
  except FileNotFoundError as error:
    assert 'none is left' in str(error)
    return ''
  else:
    read_back(out)  # What is written can be read, whatever it was made of.
    return ''
  finally:
    file.write_bytes(whole)


def fuzz(name, tmp_path, num_sets, num_damages):
  told = []
  for seed in range(num_sets):
    rng = np.random.default_rng(seed)
    folder = tmp_path / f'{seed}'
    folder.mkdir()
    made = forms.FORMS[name](folder, rng)
    messages = [
      check_damaged(name, folder, made.files, rng) for _ in range(num_damages)
    ]
    told += filter(None, messages)
    # A file is named, and what to do is said.
    for message in filter(None, messages):
      assert str(folder) in message
      assert re.search(r'[.:] [A-Z].*\.$|: \w', message), message
  assert len(told) > num_sets * num_damages / 5
  return told


@pytest.mark.parametrize('name', DAMAGED)
def test_damage_is_a_user_s_error(tmp_path, name):
  fuzz(name, tmp_path, num_sets=8, num_damages=40)


@pytest.mark.long
@pytest.mark.parametrize('name', DAMAGED)
def test_much_damage_is_a_user_s_error(tmp_path, name):
  fuzz(name, tmp_path, num_sets=60, num_damages=60)
