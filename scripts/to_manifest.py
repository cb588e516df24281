"""Writes the manifest of a data set that has no reader of its own.

  python scripts/to_manifest.py raf_au --folder=RAF-AU --out=raf_au.csv
  python scripts/to_manifest.py fer_plus --folder=FERPlus --out=fer_plus.csv

Then train with --config.data.name=manifest --config.data.path=raf_au.csv. What
the folders hold: see aubal_jax/datasets/converters/manifests.py.
"""

import argparse
import sys

from aubal_jax.datasets.converters import manifests


def main():
  """Converts one data set and tells what was left out."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  sets = parser.add_subparsers(dest='name', required=True, metavar='SET')
  raf_au = sets.add_parser('raf_au', help='RAF-AU: AUs of faces from the web')
  raf_au.add_argument(
    '--images', choices=('aligned', 'original'), default='aligned'
  )
  raf_au.add_argument(
    '--one_sided',
    choices=('present', 'absent'),
    default='present',
    help='what an AU on one side of the face counts as',
  )
  fer_plus = sets.add_parser('fer_plus', help='FER+: emotions by ten raters')
  fer_plus.add_argument(
    '--min_votes',
    type=int,
    default=2,
    help='votes from which an emotion is present (default: 2)',
  )
  for one in (raf_au, fer_plus):
    one.add_argument('--folder', required=True, help='of the data set')
    one.add_argument('--out', required=True, help='the .csv to write')
  options = vars(parser.parse_args())
  convert = getattr(manifests, options.pop('name'))
  try:
    print(*convert(**options), sep='\n')
  except (OSError, ValueError) as error:
    sys.exit(f'Error: {error}')


if __name__ == '__main__':
  main()
