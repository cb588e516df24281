"""How long and how large an installation is, with which extras.

  python scripts/bench_install.py                  # the base, and .[train]
  python scripts/bench_install.py --extras=frames,plot --python=python3.13

Each is installed from this checkout with the pinned releases, into an empty
environment below a temporary folder. pip takes from its cache what is there:
`--no-cache` downloads all of it.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
_PINS = ROOT / 'requirements' / 'constraints.txt'


def measure(extras: str, python: str, use_cache: bool) -> dict:
  """Installs the package with some extras; returns what that takes.

  Args:
    extras: their names, between commas; '' for none.
    python: the program.
    use_cache: whether pip may take what it downloaded before.
  """
  with tempfile.TemporaryDirectory() as folder:
    home = pathlib.Path(folder)
    subprocess.run([python, '-m', 'venv', str(home)], check=True)
    before = size(home)
    words = [str(home / 'bin/python'), '-m', 'pip', 'install', '--quiet']
    words += ['--disable-pip-version-check', '-c', str(_PINS)]
    words += [] if use_cache else ['--no-cache-dir']
    started = time.perf_counter()
    subprocess.run([*words, f'{ROOT}{shown(extras)}'], check=True)
    return {
      'install_seconds': round(time.perf_counter() - started, 1),
      'megabytes': round((size(home) - before) / 1e6),
      'packages': len([*home.glob('lib/*/site-packages/*.dist-info')]),
      'import_seconds': _seconds(home / 'bin/python', '-c', 'import aubal_jax'),
      'python_seconds': _seconds(home / 'bin/python', '-c', ''),
      'help_seconds': _seconds(home / 'bin/aubal_jax', '--help'),
    }


def shown(extras: str) -> str:
  """Returns extras as they stand behind a package's name, for pip."""
  return f'[{extras}]' if extras else ''


def size(folder: pathlib.Path) -> int:
  """Returns the bytes of all files below a folder, links not followed."""
  files = (p for p in folder.rglob('*') if not p.is_symlink() and p.is_file())
  return sum(path.stat().st_size for path in files)


def _seconds(*words) -> float:
  """Returns how long a command takes, the shortest of five times."""
  taken = []
  for _ in range(5):
    started = time.perf_counter()
    subprocess.run([*map(str, words)], check=True, stdout=subprocess.DEVNULL)
    taken.append(time.perf_counter() - started)
  return round(min(taken), 3)


def main():
  """Measures and prints a line for each."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--extras', help='between commas; else none, and train')
  parser.add_argument('--python', default=sys.executable)
  parser.add_argument('--no-cache', action='store_true')
  options = parser.parse_args()
  each = ['', 'train'] if options.extras is None else [options.extras]
  for extras in each:
    found = measure(extras, options.python, not options.no_cache)
    told = ', '.join(f'{name} {value}' for name, value in found.items())
    print(f'.{shown(extras)}: {told}', flush=True)


if __name__ == '__main__':
  main()
