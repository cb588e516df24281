"""Packages that only some users need: their extra, and how to get it."""

from __future__ import annotations

import importlib.util
import pathlib
import shlex
import sys
import types

from aubal_jax.runs import errors

# Module -> its package, and the extra of pyproject.toml that has it.
PACKAGES = types.MappingProxyType(
  {
    'albumentations': ('albumentations', 'train'),
    'cv2': ('opencv-python-headless', 'train'),
    'flax': ('flax', 'train'),
    'iterstrat': ('iterative-stratification', 'train'),
    'orbax': ('orbax-checkpoint', 'train'),
    'PIL': ('pillow', 'train'),
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
  """Returns what installs an extra, in a checkout or where there is none."""
  home = pathlib.Path(__file__).parents[2]
  pins = home / 'requirements' / 'constraints.txt'
  words = [sys.executable, '-m', 'pip', 'install']
  if (home / 'pyproject.toml').exists():
    words += ['-c', str(pins)] if pins.exists() else []
    return shlex.join([*words, '-e', f'{home}[{extra}]'])
  packages = {p for p, own in PACKAGES.values() if own == extra}
  return shlex.join([*words, *sorted(packages)])
