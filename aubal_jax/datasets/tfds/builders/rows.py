"""What the builders share: from the `Annotations` of a reader to TFDS rows."""

import os
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from aubal_jax.datasets import annotations
from aubal_jax.datasets import dataset
from aubal_jax.datasets import readers
from aubal_jax.media import decode
from aubal_jax.runs import errors
from aubal_jax.runs import text

LICENSE = (
  'Given by the authors for research, to those who signed their agreement. '
  'Neither the images nor this copy of them may be passed on.'
)
_STORED_AS_IS = (b'\xff\xd8', b'\x89PNG')  # What TensorFlow decodes too.


def make_info(
  builder: tfds.core.DatasetBuilder,
  *,
  description: str,
  label_names: Sequence[str],
  homepage: str,
  citation: str,
) -> tfds.core.DatasetInfo:
  """Returns the description of a set of images with L labels."""
  shape = (len(label_names),)
  names = ', '.join(label_names)
  return tfds.core.DatasetInfo(
    builder=builder,
    description=f'{description}\n\n{LICENSE}',
    features=tfds.features.FeaturesDict(
      {
        'image': tfds.features.Image(doc='As handed out, of any size.'),
        'labels': tfds.features.Tensor(
          shape=shape, dtype=np.uint8, doc=f'0 or 1, 0 where unknown: {names}'
        ),
        'known': tfds.features.Tensor(
          shape=shape, dtype=np.bool_, doc='Which of the labels are known.'
        ),
        'group': tfds.features.Text(doc="Subject or video; '' for none."),
        'id': tfds.features.Text(doc='What the set calls the image.'),
      }
    ),
    supervised_keys=None,
    homepage=homepage,
    citation=citation,
    license=LICENSE,
    metadata=tfds.core.MetadataDict(label_names=list(label_names)),
  )


def read(
  builder: tfds.core.DatasetBuilder, manual_dir: os.PathLike, **options
) -> tuple[annotations.Annotations, dict[str, np.ndarray]]:
  """Reads a set, and tells what its reader found odd.

  Args:
    builder: of the set; the reader has the same name.
    manual_dir: folder of the set.
    **options: of the reader.

  Returns:
    All rows; and split -> int[R], those that can be used, without empty splits.

  Raises:
    FileNotFoundError: of the reader.
    UserError: of the reader, or no row can be used.
  """
  found = readers.read(builder.name, os.fspath(manual_dir), **options)
  name = builder.info.full_name
  for note in (*found.notes, *_drop_notes(found)):
    logging.warning('%s: %s', name, note)
  left_out = set(found.label_names) - {*builder.info.metadata['label_names']}
  if left_out:
    logging.warning(
      '%s: left out the labels %s.', name, text.listing(sorted(left_out))
    )
  split = np.full(len(found), 'train') if found.split is None else found.split
  parts = {
    part: np.flatnonzero((split == part) & ~found.dropped)
    for part in dataset.SPLITS
  }
  parts = {part: rows for part, rows in parts.items() if len(rows)}
  if not parts:
    raise errors.UserError(
      f'{manual_dir}: none of the {len(found)} rows of {name} can be used. The '
      'warnings above say why.'
    )
  return found, parts


def _drop_notes(found):
  """Returns a note for each reason that rows are not used for."""
  if found.reasons is None:
    return ()
  place = found.place or (lambda row: str(found.ids[row]))
  return dataset.drop_notes(found.reasons, place)


def generate(
  found: annotations.Annotations,
  rows: np.ndarray,
  label_names: Sequence[str],
) -> Iterator[tuple[int, dict]]:
  """Yields (row, example); an image that does not decode is left out, and told.

  Labels that the files do not have are unknown.
  """
  columns = {name: k for k, name in enumerate(found.label_names)}
  place = np.array([columns.get(name, -1) for name in label_names])
  there = place >= 0
  failures = {}
  for row in rows.tolist():
    contents = epath.Path(str(found.files[row])).read_bytes()
    try:
      image = decode.image(contents, channels=3)
    except ValueError as error:
      failures[row] = f'{found.files[row]}: {error}'
      continue
    yield (
      row,
      {
        'image': contents if contents.startswith(_STORED_AS_IS) else image,
        'labels': np.where(there, found.labels[row][place], 0).astype(np.uint8),
        'known': there & found.known[row][place],
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
