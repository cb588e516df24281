"""TFDS builder of BP4D, see `aubal_jax.datasets.readers.bp4d`."""

import typing

import tensorflow_datasets as tfds

from aubal_jax.datasets.readers import bp4d as reader
from aubal_jax.datasets.tfds.builders import rows

_CITATION = """
@article{zhang2014bp4d,
  author = {Zhang, Xing and Yin, Lijun and Cohn, Jeffrey F. and Canavan, Shaun
            and Reale, Michael and Horowitz, Andy and Liu, Peng and Girard,
            Jeffrey M.},
  title = {{BP4D-Spontaneous}: A High-Resolution Spontaneous {3D} Dynamic
           Facial Expression Database},
  journal = {Image and Vision Computing},
  volume = {32},
  number = {10},
  pages = {692--706},
  year = {2014},
}
"""


class Bp4d(tfds.core.GeneratorBasedBuilder):
  """BP4D: frames of 41 people in 8 tasks, with action units."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: typing.ClassVar = {'1.0.0': 'First release.'}
  MANUAL_DOWNLOAD_INSTRUCTIONS = """
  Ask for the set on the homepage. In manual_dir there must be

    AUCoding/AU_OCC/F001_T1.csv
    .../F001/T1/2440.jpg          at any depth
  """

  def _info(self):
    return rows.make_info(
      self,
      description='Frames of 41 people in 8 tasks, with facial action '
      'units coded frame by frame.',
      label_names=tuple(f'AU{n:02d}' for n in reader.AUS),
      homepage='https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html',
      citation=_CITATION,
    )

  def _split_generators(self, dl_manager):
    found, parts = rows.read(self, dl_manager.manual_dir)
    return {s: self._generate_examples(found, n) for s, n in parts.items()}

  def _generate_examples(self, found, numbers):
    return rows.generate(found, numbers, self.info.metadata['label_names'])
