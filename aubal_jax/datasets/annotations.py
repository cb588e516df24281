"""What the files of image sets say, before any image is opened."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Sized
from typing import Any

import numpy as np

from aubal_jax.datasets import codes as codes_lib
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.datasets import streams as streams_lib
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.datasets import task_splits
from aubal_jax.runs import errors
from aubal_jax.tables.files import table


@dataclasses.dataclass(frozen=True)
class Annotations:
  """Rows as a reader found them; every row of the files is a row here.

  Attributes:
    files: str[N], path of each row's image; '' where the reader knows that
      there is none; None: a table without images.
    labels: uint8[N, L], 0 or 1; 0 where unknown.
    known: bool[N, L].
    label_names: L distinct names.
    ids: str[N], what a person calls the row, such as 'S005/001/..._11.png'.
    groups: str[N], the subject or the video, or None.
    frames: float64[N], when in its group a row is, or None.
    landmarks: float32[N, 68, 2], of the face of a row, NaN for none; or None.
    split: str[N], the official split ('train', 'validation', 'test'); None
      where the set has none.
    reasons: str[N], why a row cannot be used ('no image', 'invalid row'), ''
      where it can; None: all can.
    sources: str[N], the set each row is of; None: one set.
    notes: for people, see `Dataset`.
    place: row -> where it stands, such as 'table.csv:12', for errors about
      its image; None: its id.
    features: float32[N, F], numbers that describe each row; or None.
    targets: name -> what else a network may learn, beside the labels.
    splits: target (`dataset.LABELS` among them) -> str[N], the official split
      of its task, 'dropped' where a row is not of it; {}: `split` is of all.
    streams: what else a network may see, beside the image.
    counts: how many cells of the labels held which code, see `codes.Counts`;
      None where labels are no cells.
    origin: where the names of the labels are from, if nobody named them.
    corners: float32[N, 3, 2], the piece of its image that each row is, see
      `media.pieces`; NaN: the whole; None: all are whole.
    contents: int[R], ascending rows -> their image files, undecoded, where the
      images are inside of the table; else None.
  """

  files: np.ndarray | None
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
  features: np.ndarray | None = None
  frames: np.ndarray | None = None
  landmarks: np.ndarray | None = None
  targets: Mapping[str, targets_lib.Target] = dataclasses.field(
    default_factory=dict
  )
  splits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  streams: tuple[streams_lib.Stream, ...] = ()
  counts: codes_lib.Counts | None = None
  origin: str = ''
  corners: np.ndarray | None = None
  contents: Callable[[np.ndarray], Iterator[bytes]] | None = None

  def __len__(self):
    return len(self.labels)

  def describe(self, row: int) -> str:
    """Returns where a row stands, or its id, for messages."""
    return self.place(row) if self.place else str(self.ids[row])

  def take_labels(self, take: Sequence[int]) -> 'Annotations':
    """Returns the rows with some of the labels, by position and in order."""
    return dataclasses.replace(
      self,
      labels=self.labels[:, take],
      known=self.known[:, take],
      label_names=tuple(self.label_names[k] for k in take),
    )

  @property
  def rows_known(self) -> np.ndarray:
    """bool[N], the rows of which any label or other target is known."""
    known = [self.known.any(axis=1)]
    known += [target.rows_known for target in self.targets.values()]
    return np.any(known, axis=0)

  @property
  def dropped(self) -> np.ndarray:
    """bool[N], which rows cannot be used."""
    if self.reasons is None:
      return np.zeros(len(self), bool)
    return self.reasons != ''


def reasons(files: np.ndarray, annotated: np.ndarray) -> np.ndarray:
  """Returns str[N], why rows cannot be used; '' for those that can.

  Args:
    files: str[N], '' where there is no image.
    annotated: bool[N], whether any label is known.
  """
  return np.where(
    annotated, np.where(files == '', 'no image', ''), 'not annotated'
  )


def place_in_parts(
  parts: Sequence[Sized], describe: Callable[[Any, int], str]
) -> Callable[[int], str]:
  """Returns row -> where it stands, of parts that lie one below the other.

  Args:
    parts: of some rows each.
    describe: part, row in it -> where that stands.
  """
  starts = np.cumsum([0, *map(len, parts)])

  def place(row):
    number = int(np.searchsorted(starts, row, side='right')) - 1
    return describe(parts[number], int(row - starts[number]))

  return place


def to_dataset(
  found: Annotations,
  *,
  where: str,
  draw: splits.Draw | None = None,
  pixels: Any = None,
  by_column: bool = False,
  overlap: str = 'keep',
) -> dataset.Dataset:
  """Returns the data set: splits given or drawn, odd things told.

  Args:
    found: from a reader.
    where: the table or the folder, for messages.
    draw: how splits are drawn, where the set has none; None: all rows train.
    pixels: `images.Pixels`, what an image becomes; None: there are labels only.
    by_column: whether a column of a table may name splits.
    overlap: what is done with groups that train in one task and validate in
      another, one of `task_splits.OVERLAPS`.

  Raises:
    UserError: no row is left to train on, or the splits cannot be drawn.
  """
  notes, own = found.notes, {}
  if found.splits:
    own, told = task_splits.resolve(found.splits, found.groups, overlap)
    notes += told
    split = task_splits.first_of(own).astype(splits.DTYPE)
    found = _without(found, split == dataset.DROPPED)
  elif found.split is not None:
    split = found.split.astype(splits.DTYPE)
  elif draw is None:
    split = np.full(len(found), 'train', splits.DTYPE)
  else:
    # Of all rows, so that a file that is lost moves no other row.
    table = _evened(found)
    draw = draw if table.shape[1] else dataclasses.replace(draw, stratify=False)
    split = splits.draw(table, found.groups, draw)
    grouped = found.groups is not None
    notes += (draw.note(grouped, by_column=by_column),)
  split[found.dropped] = dataset.DROPPED
  if not own:  # Else it is told of each task.
    notes += splits.check_groups(split, found.groups, by_column=by_column)
  if found.reasons is not None:
    notes += dataset.drop_notes(found.reasons, found.describe)
  lacking = splits.check_sizes(split, where, by_column=by_column)
  notes += lacking if draw else ()  # Without, no split is missed.
  notes += splits.check_labels(
    found.labels, found.known, found.label_names, split
  )
  notes += task_splits.check_targets(
    found.targets,
    {
      name: np.where(found.dropped, dataset.DROPPED, own.get(name, split))
      for name in found.targets
    },
  )
  notes += _unknown_notes(found)
  return dataset.Dataset(
    labels=found.labels,
    known=found.known,
    label_names=found.label_names,
    split=split,
    ids=found.ids,
    groups=found.groups,
    load_images=pixels and _loader(found, pixels),
    notes=notes,
    files=found.files,
    reasons=found.reasons,
    sources=found.sources,
    place=found.describe,
    features=found.features,
    frames=found.frames,
    landmarks=None if found.landmarks is None else found.landmarks.__getitem__,
    targets=found.targets,
    splits=own,
    streams=found.streams,
    counts=found.counts,
    origin=found.origin,
    corners=found.corners,
  )


def _without(found, rows) -> Annotations:
  """Returns the rows, those that no task is left to with the reason."""
  told = np.where(rows, task_splits.REASON, '')
  if found.reasons is not None:
    told = np.where(found.dropped, found.reasons, told)
  return dataclasses.replace(found, reasons=told)


def _evened(found) -> np.ndarray:
  """Returns uint8[N, K], what drawn splits even out: labels and classes."""
  tables = [
    targets_lib.to_binary(target).values
    for target in found.targets.values()
    if target.kind != 'real'
  ]
  return np.concatenate([found.labels, *tables], axis=1)


def _unknown_notes(found) -> tuple[str, ...]:
  """Returns a note on rows of which no target knows anything."""
  count = int((~found.rows_known & ~found.dropped).sum())
  if not found.targets or not count:
    return ()
  return (
    f'{count:,} of {len(found):,} rows are known to no target; nothing is '
    'learnt of them.',
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
  names = found.label_names
  take = [table.position(where, names, name) for name in label_columns]
  return found.take_labels(take)


def leave_out(
  found: Annotations, exclude_columns: Sequence[str], where: str
) -> Annotations:
  """Returns the rows without the labels named.

  Raises:
    UserError: a label is not there, or none is left.
  """
  names = found.label_names
  out = {table.position(where, names, name) for name in exclude_columns}
  if out and len(out) == len(names) and not found.targets:
    raise errors.UserError(
      f'{where}: data.exclude_columns leaves no label. Take one out of it.'
    )
  return found.take_labels([k for k in range(len(names)) if k not in out])


def _loader(found, pixels):
  """Returns the function that reads the images of given rows."""
  from aubal_jax.media import images as images_lib  # Labels need no OpenCV.

  if found.contents is not None:
    from aubal_jax.media import embedded

    return embedded.Images(
      found.contents,
      pixels,
      found.describe,
      'Save the table again from whole files, or remove the row.',
    )

  def load_images(rows):
    rows = np.asarray(rows, np.int64)
    files = found.files[rows].tolist()
    corners = None if found.corners is None else found.corners[rows]
    images, failures = images_lib.read(files, pixels, corners=corners)
    if failures:
      raise images_lib.unreadable_error(
        failures,
        len(files),
        lambda n: f'{found.describe(rows[n])}: {files[n]}',
      )
    return images

  return load_images
