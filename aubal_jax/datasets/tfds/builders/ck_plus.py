"""TFDS builder of CK+, see `aubal_jax.datasets.readers.ck_plus`."""

import typing

import tensorflow_datasets as tfds

from aubal_jax.datasets.tfds.builders import rows

# The AUs that Lucey et al. count (their Table 1).
AUS = (
  *(1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 24),
  *(25, 26, 27, 28, 29, 31, 34, 38, 39, 43),
)
_CITATION = """
@inproceedings{lucey2010extended,
  author = {Lucey, Patrick and Cohn, Jeffrey F. and Kanade, Takeo and
            Saragih, Jason and Ambadar, Zara and Matthews, Iain},
  title = {The Extended {Cohn-Kanade} Dataset ({CK+}): A Complete Dataset for
           Action Unit and Emotion-Specified Expression},
  booktitle = {Computer Vision and Pattern Recognition Workshops (CVPRW)},
  year = {2010},
}
"""


class CkPlus(tfds.core.GeneratorBasedBuilder):
  """CK+: sequences from a neutral face to the peak, with action units."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: typing.ClassVar = {'1.0.0': 'First release.'}
  BUILDER_CONFIGS = (
    tfds.core.BuilderConfig(
      name='sequence', description='All frames, with the AUs of their peak.'
    ),
    tfds.core.BuilderConfig(
      name='peak', description='The last frame of each sequence alone.'
    ),
  )
  MANUAL_DOWNLOAD_INSTRUCTIONS = """
  Sign the agreement on the homepage. In manual_dir there must be

    cohn-kanade-images/S005/001/S005_001_00000011.png
    FACS/S005/001/S005_001_00000011_facs.txt
  """

  def _info(self):
    return rows.make_info(
      self,
      description='Sequences from a neutral face to the peak, with the facial '
      'action units of the peak. AUs that no file lists are unknown.',
      label_names=tuple(f'AU{n:02d}' for n in AUS),
      homepage='http://www.jeffcohn.net/resources/',
      citation=_CITATION,
    )

  def _split_generators(self, dl_manager):
    found, parts = rows.read(
      self, dl_manager.manual_dir, frames=self.builder_config.name
    )
    return {s: self._generate_examples(found, n) for s, n in parts.items()}

  def _generate_examples(self, found, numbers):
    return rows.generate(found, numbers, self.info.metadata['label_names'])
