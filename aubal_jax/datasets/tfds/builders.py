r"""TFDS builders of the sets that come by hand; importing this registers them.

The sets may not be passed on, so nothing is downloaded: ask their authors for a
licence, lay the files out as `MANUAL_DOWNLOAD_INSTRUCTIONS` of the builder
says, and prepare the set once:

  import tensorflow_datasets as tfds
  import aubal_jax.datasets.tfds.builders

  data = tfds.load(
    'aff_wild2/2020',
    data_dir='~/tensorflow_datasets',
    download_and_prepare_kwargs={
      'download_config': tfds.download.DownloadConfig(
        manual_dir='/where/aff_wild2/is',
        num_shards=64,
      )
    },
  )

A row is a dict: 'image', 'labels' uint8[L] (0 where unknown), 'known' bool[L],
'group' (subject or video, '' where there is none) and 'id'. The names of the
labels are `builder.info.metadata['label_names']`. Sets of another target have
it by its name: the number of a class, -1 where unknown, or numbers, NaN where
unknown; 'targets' of the metadata tells of it. Once prepared, a set is also
data.name=tfds, data.path=aff_wild2/2020 of this package.
"""

import os
import types
import typing
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from aubal_jax.datasets import annotations
from aubal_jax.datasets import dataset
from aubal_jax.datasets import readers
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.datasets.tfds import target_features
from aubal_jax.media import decode
from aubal_jax.media import pieces
from aubal_jax.runs import errors
from aubal_jax.runs import text

LICENSE = (
  'Given by the authors for research, to those who signed their agreement. '
  'Neither the images nor this copy of them may be passed on.'
)
_STORED_AS_IS = (b'\xff\xd8', b'\x89PNG')  # What TensorFlow decodes too.


class _OfReader(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """What a builder does with its reader, which has the same name."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES: typing.ClassVar = {'1.0.0': 'First release.'}

  def _variant(self) -> readers.Variant:
    variants = readers.module(self.name).CARD.variants
    if self.builder_config is None:
      return variants[0]
    return next(v for v in variants if v.name == self.builder_config.name)

  def _info(self):
    card, variant = readers.module(self.name).CARD, self._variant()
    metadata = {'label_names': list(variant.label_names)}
    if variant.targets:
      metadata['targets'] = target_features.as_json(variant.targets)
    return tfds.core.DatasetInfo(
      builder=self,
      description=f'{card.description}\n\n{LICENSE}',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(doc='As handed out, of any size.'),
          **_label_features(variant.label_names),
          **target_features.features(variant.targets),
          'group': tfds.features.Text(doc="Subject or video; '' for none."),
          'id': tfds.features.Text(doc='What the set calls the image.'),
        }
      ),
      supervised_keys=None,
      homepage=card.homepage,
      citation=card.citation,
      license=LICENSE,
      metadata=tfds.core.MetadataDict(metadata),
    )

  def _split_generators(self, dl_manager):
    folder, options = os.fspath(dl_manager.manual_dir), self._variant().options
    found = readers.read(self.name, folder, **options)
    _tell(found, self.info)
    split = np.full(len(found), 'train') if found.split is None else found.split
    parts = {
      part: np.flatnonzero((split == part) & ~found.dropped)
      for part in dataset.SPLITS
    }
    parts = {part: rows for part, rows in parts.items() if len(rows)}
    if not parts:
      raise errors.UserError(
        f'{folder}: none of the {len(found)} rows of {self.info.full_name} can '
        'be used. The warnings above say why.'
      )
    return {s: self._generate_examples(found, n) for s, n in parts.items()}

  def _generate_examples(self, found, numbers):
    targets = {name: found.targets[name] for name in self._variant().targets}
    return _generate(found, numbers, self.info.metadata['label_names'], targets)


def _label_features(label_names):
  """Returns the features of labels; {} where there are none."""
  if not label_names:
    return {}
  shape, names = (len(label_names),), ', '.join(label_names)
  return {
    'labels': tfds.features.Tensor(
      shape=shape, dtype=np.uint8, doc=f'0 or 1, 0 where unknown: {names}'
    ),
    'known': tfds.features.Tensor(
      shape=shape, dtype=np.bool_, doc='Which of the labels are known.'
    ),
  }


def _tell(found, info):
  """Logs what a reader found odd."""
  place = found.place or (lambda row: str(found.ids[row]))
  notes = found.notes
  if found.reasons is not None:
    notes += dataset.drop_notes(found.reasons, place)
  for note in notes:
    logging.warning('%s: %s', info.full_name, note)
  left_out = {*found.label_names} - {*info.metadata['label_names']}
  if left_out:
    logging.warning(
      '%s: left out the labels %s.',
      info.full_name,
      text.listing(sorted(left_out)),
    )


def _generate(
  found: annotations.Annotations,
  rows: np.ndarray,
  label_names: Sequence[str],
  targets: Mapping[str, targets_lib.Target],
) -> Iterator[tuple[int, dict]]:
  """Yields (row, example); an image that does not decode is left out, and told.

  Labels that the files do not have are unknown.
  """
  columns = {name: k for k, name in enumerate(found.label_names)}
  place = np.array([columns.get(name, -1) for name in label_names])
  failures = {}
  for row in rows.tolist():
    contents = epath.Path(str(found.files[row])).read_bytes()
    try:
      image = decode.image(contents, channels=3)
      if found.corners is not None:
        image = pieces.cut(image, found.corners[row])
        contents = b''  # Of the whole.
    except ValueError as error:
      failures[row] = f'{found.files[row]}: {error}'
      continue
    yield (
      row,
      {
        'image': contents if contents.startswith(_STORED_AS_IS) else image,
        **(_labels(found, row, place) if len(place) else {}),
        **target_features.values(targets, row),
        'group': '' if found.groups is None else str(found.groups[row]),
        'id': str(found.ids[row]),
      },
    )
  if failures:
    logging.warning(
      'Skipped %d of %d images that do not decode: %s',
      len(failures),
      len(rows),
      text.listing(failures.values()),
    )


def _labels(found, row, place):
  """Returns labels and known of a row; place is -1 where there is no column."""
  there = place >= 0
  return {
    'labels': np.where(there, found.labels[row][place], 0).astype(np.uint8),
    'known': there & found.known[row][place],
  }


def _make(name: str, card: readers.Card) -> type:
  """Returns the builder of a data set, which TFDS then knows by its name."""
  configs = [
    tfds.core.BuilderConfig(name=variant.name, description=variant.description)
    for variant in card.variants
    if variant.name
  ]
  return type(
    ''.join(part.capitalize() for part in name.split('_')),
    (_OfReader,),
    {
      '__module__': __name__,
      '__doc__': card.title,
      'BUILDER_CONFIGS': tuple(configs),
      'MANUAL_DOWNLOAD_INSTRUCTIONS': card.layout,
    },
  )


# Name of the data set -> its builder.
BUILDERS = types.MappingProxyType(
  {
    name: _make(name, readers.module(name).CARD)
    for name in readers.names()
    if hasattr(readers.module(name), 'CARD')
  }
)
