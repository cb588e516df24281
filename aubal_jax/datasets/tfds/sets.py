r"""Any set of TensorFlow Datasets by name: labels, splits and images.

Only sets that were prepared are read, and nothing is downloaded. To prepare
one (ours have a licence and a folder, see `aubal_jax.datasets.tfds.builders`):

  python -c "import tensorflow_datasets as tfds; tfds.load('celeb_a')"

Rows are in the order of the files, split by split, always the same. Row k of
a split is what `tfds.load(name, split='train[k:k+1]')` gives.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.datasets.tfds import feature_labels
from aubal_jax.datasets.tfds import record_files
from aubal_jax.datasets.tfds import target_features
from aubal_jax.media import embedded
from aubal_jax.media import images as images_lib
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.runs import text

_GROUPS = ('group', 'subject', 'video')  # Features; the first that is there.


def load(
  name: str,
  *,
  data_dir: str = '',
  label_columns: Sequence[str] = (),
  exclude_columns: Sequence[str] = (),
  draw: splits.Draw,
  pixels: images_lib.Pixels,
) -> dataset.Dataset:
  """Reads the labels of a prepared set; images are decoded when asked for.

  Args:
    name: of the set, such as 'celeb_a', 'voc/2007' or 'celeb_a:2.1.0'.
    data_dir: folder of prepared sets; '' is TFDS's own.
    label_columns: see `feature_labels.select`; () leaves out labels that no row
      knows.
    exclude_columns: labels to leave out.
    draw: how splits are drawn, where there is none but train.
    pixels: what an image becomes; its crop must be 'none'.

  Raises:
    UserError: the set is not prepared, has no image or no train split, the
      labels are not plain, or its files are damaged.
  """
  if pixels.crop != 'none':
    raise errors.UserError(
      f'data.crop={pixels.crop!r} is for image files; images of a TFDS set are '
      "taken whole. Set data.crop='none'."
    )
  builder = record_files.open_builder(name, data_dir)
  image_path, notes = _find_image(builder)
  found, parts = _annotate(builder, label_columns)
  where = record_files.where(builder)
  found = annotations.leave_out(found, exclude_columns, where)
  found = dataclasses.replace(found, notes=(*found.notes, *notes))
  data = annotations.to_dataset(found, where=where, draw=draw, pixels=pixels)
  load_images = embedded.Images(
    functools.partial(_contents, builder, image_path, parts),
    pixels,
    found.place,
    'Prepare the set again from whole files.',
  )
  return dataclasses.replace(data, files=None, load_images=load_images)


def read_labels(
  name: str, *, data_dir: str = '', label_columns: Sequence[str] = ()
) -> annotations.Annotations:
  """Reads the labels alone, of a set with or without images, as `load` does."""
  builder = record_files.open_builder(name, data_dir)
  found, parts = _annotate(builder, label_columns)
  return annotations.Annotations(
    None,
    found.labels,
    found.known,
    found.label_names,
    found.ids,
    split=_split(parts),
    targets=found.targets,
  )


def _annotate(builder, label_columns):
  """Returns the `Annotations` of a set, without files, and its parts."""
  name = builder.info.full_name
  where = record_files.where(builder)
  forms = target_features.from_json(builder.info.metadata or {})
  sources = {
    path: source
    for path, source in feature_labels.find_sources(
      builder.info.features, builder.info.metadata
    ).items()
    if path not in forms
  }
  columns, label_names = [], ()
  if sources or not forms:
    columns, label_names = feature_labels.select(sources, label_columns, where)
  parts, notes = record_files.find_parts(builder)
  group, texts = _find_texts(builder.info.features)
  labels, known, cells = _read(builder, parts, columns, texts, [*forms])
  rows = [f'{p.name}[{k}]' for p in parts for k in range(p.size)]
  ids = np.array([f'{name}/{row}' for row in cells.get('id', rows)], np.str_)
  groups = None
  if any(cells.get(group, ())):  # A blank one is a group of its own.
    groups = np.array(
      [cell or f'row {k}' for k, cell in enumerate(cells[group])], np.str_
    )
  split = _split(parts)
  found = annotations.Annotations(
    files=np.full(len(ids), ''),
    labels=labels,
    known=known,
    label_names=label_names,
    ids=ids,
    groups=groups,
    split=split if len(np.unique(split)) > 1 else None,
    notes=notes,
    place=lambda row: f'{where}, {rows[row]}',
    targets={
      name: target_features.parse(form, cells[name])
      for name, form in forms.items()
    },
  )
  return (found if label_columns else _scored(found)), parts


def _scored(found):
  """Returns the rows with those labels alone that any row knows."""
  scored = found.known.any(0)
  if scored.all() or not scored.any():
    return found
  left_out = np.array(found.label_names)[~scored]
  note = f'Left out labels that no row knows: {text.listing(left_out)}.'
  found = found.take_labels(np.flatnonzero(scored).tolist())
  return dataclasses.replace(found, notes=(*found.notes, note))


def _find_texts(features):
  """Returns the feature of groups, or '', and the features that are texts."""
  whole = [
    name
    for name in (*_GROUPS, 'id')
    if name in features
    and features[name].shape == ()
    and (
      features[name].np_dtype == np.object_
      or np.issubdtype(features[name].np_dtype, np.integer)
    )
  ]
  group = next((name for name in whole if name != 'id'), '')
  return group, [name for name in (group, 'id') if name in whole]


def _read(builder, parts, columns, texts, targets):
  """Returns uint8[N, L] labels, bool[N, L] known, and other cells by name."""
  sources = {source.path: source for source, _ in columns}
  beside = {source.known for source in sources.values()} - {''}
  paths = [*sources, *sorted(beside), *texts, *targets]
  num_rows = sum(part.size for part in parts)
  labels = np.zeros((num_rows, len(columns)), np.uint8)
  known = np.zeros((num_rows, len(columns)), bool)
  cells = {path: [] for path in (*texts, *targets)}
  report = progress.Progress(num_rows, 'Reading labels')
  for part in parts:
    where = f'{record_files.where(builder)}, split {part.name!r}'
    row = part.start
    for batch in record_files.read_batches(builder, part, paths):
      parsed = {
        path: feature_labels.parse(
          source,
          batch[path],
          batch.get(source.known),
          where,
          row - part.start,
        )
        for path, source in sources.items()
      }
      here = slice(row, row + len(batch[paths[0]]))
      for position, (source, k) in enumerate(columns):
        labels[here, position] = parsed[source.path][0][:, k]
        known[here, position] = parsed[source.path][1][:, k]
      for path in texts:
        cells[path] += map(_text, batch[path])
      for path in targets:
        cells[path] += list(batch[path])
      row = here.stop
      report.update(here.stop - here.start)
  return labels, known, cells


def _text(value):
  """Returns a text, or a number, as str."""
  return value.decode() if isinstance(value, bytes) else str(value)


def _split(parts):
  """Returns str[N], the split of each row."""
  names = np.array([part.split for part in parts], splits.DTYPE)
  return np.repeat(names, [part.size for part in parts])


def _find_image(builder):
  """Returns the path of the image feature, and notes.

  Raises:
    UserError: there is none.
  """
  import tensorflow_datasets as tfds

  found = [
    path
    for path, (feature, repeats) in feature_labels.flatten(
      builder.info.features
    ).items()
    if type(feature) is tfds.features.Image
    and not repeats
    and np.issubdtype(feature.np_dtype, np.unsignedinteger)
  ]
  if not found:
    raise errors.UserError(
      f'{record_files.where(builder)} has no images, only the features '
      f'{[*builder.info.features]}. To balance its labels alone, set '
      'data.name=labels and '
      f'data.path=tfds:{builder.info.full_name.rpartition("/")[0]}'
    )
  path = 'image' if 'image' in found else found[0]
  others = [other for other in found if other != path]
  note = f'Images are the feature {path!r}; left out: {text.listing(others)}.'
  return path, (note,) if others else ()


def _contents(builder, image_path, parts, wanted):
  """Yields the files of the images of ascending rows, undecoded."""
  for part in parts:
    ends = (part.start, part.start + part.size)
    rows = wanted[slice(*np.searchsorted(wanted, ends))] - part.start
    yield from record_files.read_images(builder, part, image_path, rows)
