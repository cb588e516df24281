"""Writes the manifest (a table of images and 0/1 labels) of a data set.

  python scripts/to_manifest.py coco --folder=COCO --out=coco.csv
  python scripts/to_manifest.py class_folders --folder=FLOWERS --out=flowers.csv

Then train with --config=configs/manifest.py --config.data.path=coco.csv. What a
folder holds, and what becomes of it: python scripts/to_manifest.py coco --help.
"""

import argparse
import inspect
import sys

from aubal_jax.datasets.converters import celeba
from aubal_jax.datasets.converters import chest_xray14
from aubal_jax.datasets.converters import class_folders
from aubal_jax.datasets.converters import coco
from aubal_jax.datasets.converters import manifests
from aubal_jax.datasets.converters import voc
from aubal_jax.runs import errors

# Name -> function, what it is, and where it is described.
SETS = {
  'coco': (coco.convert, 'COCO: objects, as JSON', coco),
  'voc': (voc.convert, 'Pascal VOC: objects, as XML', voc),
  'celeba': (celeba.convert, 'CelebA: attributes of faces', celeba),
  'chest_xray14': (
    chest_xray14.convert,
    'NIH ChestX-ray14: findings in X-rays',
    chest_xray14,
  ),
  'class_folders': (
    class_folders.convert,
    'images in a folder for each class',
    class_folders,
  ),
  'raf_au': (
    manifests.raf_au,
    'RAF-AU: AUs of faces from the web',
    manifests.raf_au,
  ),
  'fer_plus': (
    manifests.fer_plus,
    'FER+: emotions by ten raters',
    manifests.fer_plus,
  ),
}


def make_parser():
  """Returns the parser of the command line: a subcommand for each of SETS."""
  raw = argparse.RawDescriptionHelpFormatter
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
  sets = parser.add_subparsers(dest='name', required=True, metavar='SET')
  of = {}
  for name, (_, title, described) in SETS.items():
    about = inspect.getdoc(described).partition('\n\nArgs:')[0]
    of[name] = sets.add_parser(
      name, help=title, description=about, formatter_class=raw
    )
    of[name].add_argument('--folder', required=True, help='of the data set')
    of[name].add_argument('--out', required=True, help='the .csv to write')
  of['coco'].add_argument(
    '--annotations',
    nargs='+',
    default=(),
    metavar='[SPLIT=]FILE',
    help='JSON files, from FOLDER on, such as train=a.json val=b.json '
    '(default: all instances_*.json and _annotations.coco.json)',
  )
  of['celeba'].add_argument(
    '--images',
    default='img_align_celeba',
    help='the folder of the images (default: %(default)s)',
  )
  of['raf_au'].add_argument(
    '--images', choices=('aligned', 'original'), default='aligned'
  )
  of['raf_au'].add_argument(
    '--one_sided',
    choices=('present', 'absent'),
    default='present',
    help='what an AU on one side of the face counts as',
  )
  of['fer_plus'].add_argument(
    '--min_votes',
    type=int,
    default=2,
    help='votes from which an emotion is present (default: %(default)s)',
  )
  return parser


def main():
  """Converts one data set and tells what was left out."""
  options = vars(make_parser().parse_args())
  convert, *_ = SETS[options.pop('name')]
  try:
    print(*convert(**options), sep='\n')
  except (OSError, errors.UserError) as error:
    sys.exit(f'Error: {error}')


if __name__ == '__main__':
  main()
