"""Extras that are not installed: the message has the command that mends it."""

import importlib.metadata
import json
import pathlib
import random
import shlex
import sys
import tomllib
import types

import pytest
from packaging import requirements as packaging_requirements

from aubal_jax.runs import extras

ROOT = pathlib.Path(__file__).parents[2]
MARKERS = (
  *('', "sys_platform == 'linux'", 'python_version < "3"'),
  "sys_platform != 'linux' or platform_machine != 'x86_64'",
)


def lines_of(declared):
  """Requires-Dist of extras, as setuptools writes them into METADATA."""
  for extra, held in declared.items():
    for requirement in held:
      package, _, marker = map(str.strip, requirement.partition(';'))
      marker = f'({marker}) and ' if ' or ' in marker else marker
      marker += ' and ' if marker and not marker.endswith(' and ') else ''
      yield f'{package}; {marker}extra == "{extra}"'


def by_packaging(lines, extra):
  """The packages of an extra here, as `packaging` reads the lines."""
  found = set()
  for line in lines:
    read = packaging_requirements.Requirement(line)
    if read.marker and read.marker.evaluate({'extra': extra}):
      for inner in read.extras if read.name == 'aubal_jax' else ():
        found |= by_packaging(lines, inner)
      if read.name != 'aubal_jax':
        found.add(str(read).partition(';')[0].strip())
  return found


def applying(requirements):
  """The packages of requirements whose marker holds here."""
  read = map(packaging_requirements.Requirement, requirements)
  return {
    str(one).partition(';')[0].strip()
    for one in read
    if not one.marker or one.marker.evaluate({'extra': ''})
  }


def drawn(rng):
  """Extras with packages, markers, and extras that come before them."""
  declared = {}
  for name in ('a', 'bb', 'a2', 'c', 'train'):
    held = [
      f'{package}{rng.choice(["", ">=2", "[x]", "==1.0"])};{marker}'
      for package in rng.sample(['p', 'q-r', 's_t', 'u.v', 'w'], 3)
      for marker in rng.choices(MARKERS, k=1)
    ]
    if declared and rng.random() < 0.7:
      inner = rng.sample([*declared], rng.randint(1, len(declared)))
      held.insert(0, f'aubal_jax[{",".join(inner)}]')
    declared[name] = held
  return declared


def test_an_extra_takes_what_pip_takes(monkeypatch):
  rng = random.Random(0)
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  for declared in (
    project['optional-dependencies'],
    *(drawn(rng) for _ in range(60)),
  ):
    lines = ['numpy>=2', *lines_of(declared)]
    monkeypatch.setattr(importlib.metadata, 'requires', lambda _, x=lines: x)
    for extra in declared:
      found = extras.requirements(extra)
      assert applying(found) == by_packaging(lines, extra), (extra, lines)


def test_the_command_installs_from_where_the_package_came(
  tmp_path, monkeypatch
):
  inside = tmp_path / 'site/aubal_jax/runs/extras.py'
  monkeypatch.setattr(extras, '__file__', str(inside))
  lines = [*lines_of({'plot': ['matplotlib'], 'train': ['aubal_jax[plot]']})]
  monkeypatch.setattr(importlib.metadata, 'requires', lambda _: lines)
  checkout, wheel = tmp_path / 'a b/ü', tmp_path / 'x%y.whl'
  (checkout / 'requirements').mkdir(parents=True)
  (checkout / 'requirements/constraints.txt').touch()
  wheel.touch()
  pins = ['-c', str(checkout / 'requirements/constraints.txt')]
  listed = ['matplotlib']
  for told, wanted in (
    (json.dumps({'url': checkout.as_uri()}), [*pins, f'{checkout}[train]']),
    (json.dumps({'url': wheel.as_uri()}), [f'{wheel}[train]']),
    (json.dumps({'url': (tmp_path / 'gone').as_uri()}), listed),
    (json.dumps({'url': f'https://host{wheel}'}), listed),
    ('{}', listed),
    ('torn', listed),
    (None, listed),
  ):
    held = types.SimpleNamespace(read_text=lambda _, told=told: told)
    monkeypatch.setattr(importlib.metadata, 'distribution', lambda _, h=held: h)
    words = shlex.split(extras.command('train'))
    assert words == [sys.executable, '-m', 'pip', 'install', *wanted], told


def test_without_metadata_it_is_what_the_code_knows(tmp_path, monkeypatch):
  def unknown(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(extras, '__file__', str(tmp_path / 'a/b/extras.py'))
  monkeypatch.setattr(importlib.metadata, 'requires', unknown)
  monkeypatch.setattr(importlib.metadata, 'distribution', unknown)
  for extra in {own for _, own in extras.PACKAGES.values()}:
    words = shlex.split(extras.command(extra))[4:]
    known = {p for p, own in extras.PACKAGES.values() if own == extra}
    assert {*words} == known


def test_in_a_checkout_it_is_the_checkout_with_its_pins():
  words = shlex.split(extras.command('plot'))
  pins = str(ROOT / 'requirements/constraints.txt')
  assert words[4:] == ['-c', pins, '-e', f'{ROOT}[plot]']
  with pytest.raises(ValueError, match='needs the package mtcnn') as caught:
    raise extras.missing('mtcnn', 'Cutting')
  assert str(caught.value).endswith(extras.command('crop'))
