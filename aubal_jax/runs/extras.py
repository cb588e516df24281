"""Packages that only some users need: their extra, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import pathlib
import re
import shlex
import sys
import types
import urllib.parse

from aubal_jax.runs import errors

_NAME = 'aubal_jax'

# Module -> its package, and the extra of pyproject.toml that has it.
PACKAGES = types.MappingProxyType(
  {
    'albumentations': ('albumentations', 'train'),
    'cv2': ('opencv-python-headless', 'train'),
    'flax': ('flax', 'train'),
    'iterstrat': ('iterative-stratification', 'train'),
    'orbax': ('orbax-checkpoint', 'train'),
    'PIL': ('pillow', 'train'),
    'safetensors': ('safetensors', 'train'),
    'simplejpeg': ('simplejpeg', 'train'),
    'tensorflow': ('tensorflow', 'train'),
    'tensorflow_datasets': ('tensorflow-datasets', 'train'),
    'tensorstore': ('tensorstore', 'train'),
    'matplotlib': ('matplotlib', 'plot'),
    'pandas': ('pandas', 'frames'),
    'arff': ('liac-arff', 'tables'),
    'openpyxl': ('openpyxl', 'tables'),
    'pyarrow': ('pyarrow', 'tables'),
    'sklearn': ('scikit-learn', 'sklearn'),
    'joblib': ('joblib', 'crop'),
    'lz4': ('lz4', 'crop'),
    'mtcnn': ('mtcnn', 'crop'),
    'tensorboardX': ('tensorboardX', 'tensorboard'),
    'dask': ('dask', 'cluster'),
    'distributed': ('distributed', 'cluster'),
    'submitit': ('submitit', 'cluster'),
    'flatbuffers': ('flatbuffers', 'export'),
    'onnx': ('onnx', 'export'),
    'av': ('av', 'video'),
    'clarabel': ('clarabel', 'bench'),
    'mpax': ('mpax', 'bench'),
    'piqp': ('piqp', 'bench'),
  }
)


def need(module: str, what: str) -> None:
  """Raises UserError where a module is not installed, with the way to it.

  Args:
    module: a name in PACKAGES.
    what: what needs it, as the beginning of a sentence.
  """
  if not is_there(module):
    raise missing(module, what)


def is_there(module: str) -> bool:
  """Returns whether a module can be imported; it is not."""
  try:
    return importlib.util.find_spec(module) is not None
  except ValueError:  # Of a module that was taken away: sys.modules has None.
    return False


def missing(module: str, what: str) -> errors.UserError:
  """Returns the error of `need`."""
  package, extra = PACKAGES[module]
  return errors.UserError(
    f'{what} needs the package {package}, which is not installed: '
    f'{command(extra)}'
  )


def command(extra: str) -> str:
  """Returns what installs an extra, beside the package as it is installed."""
  home = pathlib.Path(__file__).parents[2]
  words = [sys.executable, '-m', 'pip', 'install']
  if (home / 'pyproject.toml').exists():
    return shlex.join([*words, *_pins(home), '-e', f'{home}[{extra}]'])
  source = _source()
  if source:
    return shlex.join([*words, *_pins(source), f'{source}[{extra}]'])
  return shlex.join([*words, *sorted({*requirements(extra)})])


def _pins(home: pathlib.Path) -> list[str]:
  """Returns the option of pip for the releases that a checkout is tested with.

  Args:
    home: the checkout; or a file, which has none.
  """
  pins = home / 'requirements' / 'constraints.txt'
  return ['-c', str(pins)] if pins.exists() else []


def _source() -> pathlib.Path | None:
  """Returns the checkout or wheel that was installed, if it is still there."""
  try:
    held = importlib.metadata.distribution(_NAME).read_text('direct_url.json')
    url = urllib.parse.urlsplit(json.loads(held or '{}').get('url', ''))
  except (importlib.metadata.PackageNotFoundError, ValueError):
    return None
  path = pathlib.Path(urllib.parse.unquote(url.path))
  return path if url.scheme == 'file' and path.exists() else None


def requirements(extra: str) -> list[str]:
  """Returns what an extra of the installed package takes, for pip.

  What other extras of ours are in it is resolved; without the package's
  metadata it is what `PACKAGES` says.
  """
  try:
    lines = importlib.metadata.requires(_NAME) or []
  except importlib.metadata.PackageNotFoundError:
    lines = []
  found = []
  for line in lines:
    package, _, marker = line.partition(';')
    if not re.search(rf"extra == ['\"]{extra}['\"]", marker):
      continue
    inner = re.fullmatch(rf'{_NAME}\[(.*)\]', package.strip())
    for name in inner[1].split(',') if inner else ():
      found += requirements(name)
    if not inner:
      found.append(_without_extra(package.strip(), marker))
  return found or [p for p, own in PACKAGES.values() if own == extra]


def _without_extra(package: str, marker: str) -> str:
  """Returns 'package; marker', the marker without its last part, the extra."""
  rest = re.sub(r'( and )?extra == .*', '', marker).strip()
  return f'{package}; {rest}' if rest else package
