"""Measures the package: its size, and how far a newcomer has to read.

  python scripts/measure_code.py           # a minute; --no-tests: half of it

Reads the source of aubal_jax/, collects the tests, and runs the command once on
a few drawn faces with two training steps, all stages, noting what is entered.
"""

import argparse
import ast
import inspect
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'aubal_jax'

_CONFIG = """
from aubal_jax import settings


def get_config():
  c = settings.default()
  c.data.num_train, c.data.num_validation, c.data.num_test = 60, 16, 24
  c.data.image_size = 32
  c.model.name = 'resnet8_16'
  c.train.batch_size = 8
  c.train.num_steps = c.train.eval_every_steps = 2
  return c
"""


def read_source():
  """Returns what the source says of itself: name -> number."""
  files = sorted(PACKAGE.rglob('*.py'))
  texts = [file.read_text(encoding='utf-8') for file in files]
  nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
  functions = [
    node
    for node in nodes
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
  ]
  inner = {
    id(node)
    for function in functions
    for node in ast.walk(function)
    if isinstance(node, ast.Import | ast.ImportFrom)
  }
  raises = [_length(node) for node in nodes if isinstance(node, ast.Raise)]
  lengths = [_length(node) for node in functions]
  return {
    'package lines': sum(len(text.splitlines()) for text in texts),
    'modules': len(files),
    'imports inside functions': len(inner),
    'lines of raise': sum(raises),
    'lines of a function, median': int(np.median(lengths)),
    'lines of a function, 95th percentile': int(np.percentile(lengths, 95)),
  }


def _length(node):
  return node.end_lineno - node.lineno + 1


def count_tests():
  """Returns what pytest collects, such as `2000/2100 tests collected (...)`."""
  done = subprocess.run(
    [sys.executable, '-m', 'pytest', '--collect-only', '-q', '-p', 'no:xdist'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  return {'tests': done.stdout.splitlines()[-1].split(' collected')[0]}


def run_tiny(folder):
  """Runs the command; returns what of the package it went through."""
  import jax

  entered, depths = set(), []
  real, start = jax.value_and_grad, str(PACKAGE) + os.sep

  def note(frame, event, _):
    code = frame.f_code
    if (
      event == 'call'
      and code.co_filename.startswith(start)
      and code.co_flags & inspect.CO_OPTIMIZED  # No module, no class body.
      and not code.co_name.endswith('comp>')
    ):
      entered.add((code.co_filename, code.co_firstlineno, code.co_name))

  def value_and_grad(*args, **options):
    frame, depth = sys._getframe(1), 0
    while frame:
      depth += frame.f_code.co_filename.startswith(start)
      frame = frame.f_back
    depths.append(depth)
    return real(*args, **options)

  (folder / 'tiny.py').write_text(_CONFIG)
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(folder / 'cache')
  sys.argv = [
    *('aubal_jax', f'--config={folder / "tiny.py"}'),
    f'--workdir={folder / "run"}',
  ]
  from aubal_jax import main

  jax.value_and_grad = value_and_grad
  threading.setprofile(note)
  sys.setprofile(note)
  try:
    main.run()
  except SystemExit as error:
    if error.code:
      raise
  finally:
    sys.setprofile(None)
    threading.setprofile(None)
    jax.value_and_grad = real
  return {
    'functions entered by a tiny run': len(entered),
    'files entered by a tiny run': len({file for file, _, _ in entered}),
    'own frames, command to value_and_grad': max(depths),
  }


def main() -> None:
  """Prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--no-tests', action='store_true', help='collect none')
  args = parser.parse_args()
  table = read_source()
  if not args.no_tests:
    table |= count_tests()
  with tempfile.TemporaryDirectory() as folder:
    table |= run_tiny(pathlib.Path(folder))
  print('\n| | |\n|---|---|')
  for name, value in table.items():
    print(f'| {name} | {value} |')


if __name__ == '__main__':
  main()
