"""TFDS builder of Aff-Wild2, see `aubal_jax.datasets.readers.aff_wild2`."""

import typing

import tensorflow_datasets as tfds

from aubal_jax.datasets.readers import aff_wild2_rows
from aubal_jax.datasets.tfds.builders import rows

_CITATION = """
@inproceedings{kollias2019aff,
  author = {Kollias, Dimitrios and Zafeiriou, Stefanos},
  title = {Expression, Affect, Action Unit Recognition: {Aff-Wild2},
           Multi-Task Learning and {ArcFace}},
  booktitle = {British Machine Vision Conference (BMVC)},
  year = {2019},
}
"""


class AffWild2(tfds.core.GeneratorBasedBuilder):
  """Aff-Wild2: frames of videos in the wild, with action units."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: typing.ClassVar = {'1.0.0': 'First release.'}
  BUILDER_CONFIGS = (
    tfds.core.BuilderConfig(name='2020', description='Eight AUs.'),
    tfds.core.BuilderConfig(
      name='2022', description='Twelve AUs, of the challenges from 2021 on.'
    ),
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = """
  Sign the agreement on the homepage. In manual_dir there must be

    annotations/AU_Set/{Training_Set,Validation_Set}/<video>.txt   (2020)
    annotations/3rd_ABAW_Annotations/AU_Detection_Challenge/
      {Train_Set,Validation_Set}/<video>.txt                       (2022)
    cropped_aligned/<video>/00001.jpg
  """

  def _info(self):
    return rows.make_info(
      self,
      description='Frames of videos in the wild, with facial action units; '
      'the official training and validation videos.',
      label_names=aff_wild2_rows.LABELS[self.builder_config.name],
      homepage='https://ibug.doc.ic.ac.uk/resources/aff-wild2/',
      citation=_CITATION,
    )

  def _split_generators(self, dl_manager):
    found, parts = rows.read(
      self, dl_manager.manual_dir, release=self.builder_config.name
    )
    return {s: self._generate_examples(found, n) for s, n in parts.items()}

  def _generate_examples(self, found, numbers):
    return rows.generate(found, numbers, self.info.metadata['label_names'])
