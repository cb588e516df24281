"""What the files of an image set say, before any image is opened."""

import dataclasses
from collections.abc import Callable

import numpy as np

from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.media import images as images_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text


@dataclasses.dataclass(frozen=True)
class Annotations:
  """Rows as a reader found them; every row of the files is a row here.

  Attributes:
    files: str[N], path of each row's image; '' where the reader knows that
      there is none.
    labels: uint8[N, L], 0 or 1; 0 where unknown.
    known: bool[N, L].
    label_names: L distinct names.
    ids: str[N], what a person calls the row, such as 'S005/001/..._11.png'.
    groups: str[N], the subject or the video, or None.
    split: str[N], the official split ('train', 'validation', 'test'); None
      where the set has none.
    reasons: str[N], why a row cannot be used ('no image', 'invalid row'), ''
      where it can; None: all can.
    sources: str[N], the set each row is of; None: one set.
    notes: for people, see `Dataset`.
    place: row -> where it stands, such as 'table.csv:12', for errors about
      its image; None: its id.
  """

  files: np.ndarray
  labels: np.ndarray
  known: np.ndarray
  label_names: tuple[str, ...]
  ids: np.ndarray
  groups: np.ndarray | None = None
  split: np.ndarray | None = None
  reasons: np.ndarray | None = None
  sources: np.ndarray | None = None
  notes: tuple[str, ...] = ()
  place: Callable[[int], str] | None = None

  def __len__(self):
    return len(self.labels)

  @property
  def dropped(self) -> np.ndarray:
    """bool[N], which rows cannot be used."""
    if self.reasons is None:
      return np.zeros(len(self), bool)
    return self.reasons != ''


def to_dataset(
  found: Annotations,
  *,
  where: str,
  draw: splits.Draw,
  pixels: images_lib.Pixels,
  by_column: bool = False,
) -> dataset.Dataset:
  """Returns the data set: splits given or drawn, odd things told.

  Args:
    found: from a reader.
    where: the table or the folder, for messages.
    draw: how splits are drawn, where the set has none.
    pixels: what an image becomes.
    by_column: whether a column of a table may name splits.

  Raises:
    UserError: no row is left to train on, or the splits cannot be drawn.
  """
  notes = found.notes
  place = found.place or (lambda row: str(found.ids[row]))
  if found.split is None:
    # Of all rows, so that a file that is lost moves no other row.
    split = splits.draw(found.labels, found.groups, draw)
    grouped = found.groups is not None
    notes += (draw.note(grouped, by_column=by_column),)
  else:
    split = found.split.astype(splits.DTYPE)
  split[found.dropped] = dataset.DROPPED
  notes += splits.check_groups(split, found.groups, by_column=by_column)
  if found.reasons is not None:
    notes += dataset.drop_notes(found.reasons, place)
  notes += splits.check_sizes(split, where, by_column=by_column)
  notes += splits.check_labels(
    found.labels, found.known, found.label_names, split
  )
  return dataset.Dataset(
    labels=found.labels,
    known=found.known,
    label_names=found.label_names,
    split=split,
    ids=found.ids,
    groups=found.groups,
    load_images=_loader(found.files, pixels, place),
    notes=notes,
    files=found.files,
    reasons=found.reasons,
    sources=found.sources,
    place=place,
  )


def select_labels(
  found: Annotations, label_columns: tuple[str, ...], where: str
) -> Annotations:
  """Returns the rows with the labels named, in that order; () leaves all.

  Raises:
    UserError: a label is not there.
  """
  if not label_columns:
    return found
  for name in label_columns:
    if name not in found.label_names:
      raise errors.UserError(
        f'{where}: there is no label {name!r}; the labels are '
        f'{text.listing(map(repr, found.label_names))}.'
        f'{text.suggest(name, found.label_names)} Set data.label_columns.'
      )
  take = [found.label_names.index(name) for name in label_columns]
  return dataclasses.replace(
    found,
    labels=found.labels[:, take],
    known=found.known[:, take],
    label_names=tuple(label_columns),
  )


def _loader(files, pixels, place):
  """Returns the function that reads the images of given rows."""

  def load_images(rows):
    rows = np.asarray(rows, np.int64)
    return images_lib.read_images(
      [files[row] for row in rows],
      pixels,
      describe=lambda position: (
        f'{place(rows[position])}: {files[rows[position]]}'
      ),
    )

  return load_images
