"""TFDS builder of DISFA, see `aubal_jax.datasets.readers.disfa`."""

import types
import typing

import tensorflow_datasets as tfds

from aubal_jax.datasets.readers import disfa as reader
from aubal_jax.datasets.tfds.builders import rows

_LEAST = types.MappingProxyType({f'at_least_{n}': n for n in (2, 1, 3, 4, 5)})
_CITATION = """
@article{mavadati2013disfa,
  author = {Mavadati, S. Mohammad and Mahoor, Mohammad H. and Bartlett, Kevin
            and Trinh, Philip and Cohn, Jeffrey F.},
  title = {{DISFA}: A Spontaneous Facial Action Intensity Database},
  journal = {IEEE Transactions on Affective Computing},
  volume = {4},
  number = {2},
  pages = {151--160},
  year = {2013},
}
"""


class Disfa(tfds.core.GeneratorBasedBuilder):
  """DISFA: frames of videos of 27 people, with action units."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: typing.ClassVar = {'1.0.0': 'First release.'}
  BUILDER_CONFIGS = tuple(
    tfds.core.BuilderConfig(
      name=name, description=f'AUs of intensity {least} or more are present.'
    )
    for name, least in _LEAST.items()
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = """
  Ask for the set on the homepage, and write the frames of the videos, counted
  from 1, as images. In manual_dir there must be

    ActionUnit_Labels/SN001/SN001_au1.txt
    .../SN001/.../00001.jpg
  """

  def _info(self):
    return rows.make_info(
      self,
      description='Frames of videos of 27 people who watch a film, with '
      'facial action units coded frame by frame.',
      label_names=tuple(f'AU{n:02d}' for n in reader.AUS),
      homepage='http://mohammadmahoor.com/disfa/',
      citation=_CITATION,
    )

  def _split_generators(self, dl_manager):
    found, parts = rows.read(
      self,
      dl_manager.manual_dir,
      least_intensity=_LEAST[self.builder_config.name],
    )
    return {s: self._generate_examples(found, n) for s, n in parts.items()}

  def _generate_examples(self, found, numbers):
    return rows.generate(found, numbers, self.info.metadata['label_names'])
