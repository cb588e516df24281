"""TFDS builder of EmotioNet, see `aubal_jax.datasets.readers.emotionet`."""

import typing

import tensorflow_datasets as tfds

from aubal_jax.datasets.tfds.builders import rows

LABEL_NAMES = tuple(f'AU{n:02d}' for n in range(1, 61))

_CITATION = """
@inproceedings{fabian2016emotionet,
  author = {Fabian Benitez-Quiroz, C. and Srinivasan, Ramprakash and
            Martinez, Aleix M.},
  title = {{EmotioNet}: An Accurate, Real-Time Algorithm for the Automatic
           Annotation of a Million Facial Expressions in the Wild},
  booktitle = {Computer Vision and Pattern Recognition (CVPR)},
  year = {2016},
}
"""


class Emotionet(tfds.core.GeneratorBasedBuilder):
  """EmotioNet: faces from the web, with action units."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: typing.ClassVar = {'1.0.0': 'First release.'}
  BUILDER_CONFIGS = (
    tfds.core.BuilderConfig(
      name='manual', description='The images that were coded by hand.'
    ),
    tfds.core.BuilderConfig(
      name='automatic', description='The images that a program coded.'
    ),
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = """
  Ask for the lists on the homepage, and load the images from their URLs. In
  manual_dir there must be

    EmotioNet_FACS_*.csv (or .xlsx)   (manual)
    dataFile_*.txt                    (automatic)
    .../N_0000000001_00001.jpg        at any depth
  """

  def _info(self):
    return rows.make_info(
      self,
      description='Faces from the web, with facial action units; AUs that the '
      'files do not score are unknown.',
      label_names=LABEL_NAMES,
      homepage='http://cbcsl.ece.ohio-state.edu/dbform_emotionet.html',
      citation=_CITATION,
    )

  def _split_generators(self, dl_manager):
    found, parts = rows.read(
      self, dl_manager.manual_dir, kind=self.builder_config.name
    )
    return {s: self._generate_examples(found, n) for s, n in parts.items()}

  def _generate_examples(self, found, numbers):
    return rows.generate(found, numbers, self.info.metadata['label_names'])
