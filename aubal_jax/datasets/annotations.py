"""What the files of image sets say, before any image is opened; merged sets.

What a merged set does not label is unknown there, not absent; the paper's own
reading, absent, is an option.
"""

import dataclasses
import os
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
from aubal_jax.runs import errors
from aubal_jax.runs import text
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
    streams: what else a network may see, beside the image.
    counts: how many cells of the labels held which code, see `codes.Counts`;
      None where labels are no cells.
    origin: where the names of the labels are from, if nobody named them.
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
  targets: Mapping[str, targets_lib.Target] = dataclasses.field(
    default_factory=dict
  )
  streams: tuple[streams_lib.Stream, ...] = ()
  counts: codes_lib.Counts | None = None
  origin: str = ''
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
) -> dataset.Dataset:
  """Returns the data set: splits given or drawn, odd things told.

  Args:
    found: from a reader.
    where: the table or the folder, for messages.
    draw: how splits are drawn, where the set has none; None: all rows train.
    pixels: `images.Pixels`, what an image becomes; None: there are labels only.
    by_column: whether a column of a table may name splits.

  Raises:
    UserError: no row is left to train on, or the splits cannot be drawn.
  """
  notes = found.notes
  if found.split is not None:
    split = found.split.astype(splits.DTYPE)
  elif draw is None:
    split = np.full(len(found), 'train', splits.DTYPE)
  else:
    # Of all rows, so that a file that is lost moves no other row.
    split = splits.draw(found.labels, found.groups, draw)
    grouped = found.groups is not None
    notes += (draw.note(grouped, by_column=by_column),)
  split[found.dropped] = dataset.DROPPED
  notes += splits.check_groups(split, found.groups, by_column=by_column)
  if found.reasons is not None:
    notes += dataset.drop_notes(found.reasons, found.describe)
  lacking = splits.check_sizes(split, where, by_column=by_column)
  notes += lacking if draw else ()  # Without, no split is missed.
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
    load_images=pixels and _loader(found, pixels),
    notes=notes,
    files=found.files,
    reasons=found.reasons,
    sources=found.sources,
    place=found.describe,
    features=found.features,
    frames=found.frames,
    targets=found.targets,
    streams=found.streams,
    counts=found.counts,
    origin=found.origin,
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
  if len(out) == len(names):
    raise errors.UserError(
      f'{where}: data.exclude_columns leaves no label. Take one out of it.'
    )
  return found.take_labels([k for k in range(len(names)) if k not in out])


def stack(
  read: Callable[[os.PathLike | str, str], Annotations],
  path: os.PathLike | str,
  path_key: str,
  others: Mapping[str, os.PathLike | str] | None,
) -> Annotations:
  """Returns the rows of a table, and those of the tables of other splits below.

  A name of a label that one table lacks, and another has in a column of names
  (see `label_forms`), is absent there.

  Args:
    read: path, setting that names it -> its rows.
    path: the table; its rows train, if there are others.
    path_key: the setting that names it.
    others: split -> its table; or None.

  Raises:
    UserError: a table says something else of splits, the labels of two differ,
      or an image is in both.
  """
  if not others:
    return read(path, path_key)
  paths = {'train': path, **others}
  keys = {'train': path_key}
  parts = {
    split: read(one, keys.get(split, f'data.{split}_path'))
    for split, one in paths.items()
  }
  for split, part in parts.items():
    if part.split is not None and (part.split != split).any():
      raise errors.UserError(
        f'{paths[split]}: its rows are the split {split}, and a column says '
        "otherwise. Set data.split_column='', or name one table alone."
      )
  _check_apart(parts, paths)
  names = _stacked_names(parts, paths)
  return _stack(list(parts.values()), [*parts], names)


def plain_path(file: str) -> str:
  """Returns the path as compared with another spelling of it."""
  return os.path.normpath(file) if './' in file or '//' in file else file


def _check_apart(parts, paths) -> None:
  """Raises UserError where two tables name one image."""
  seen = {}
  for split, part in parts.items():
    if part.files is None:
      continue
    for row, file in enumerate(part.files.tolist()):
      other, place = seen.setdefault(
        plain_path(file), (split, part.describe(row))
      )
      if file and other != split:
        raise errors.UserError(
          f'{part.describe(row)}: the image {file} is in {paths[other]} as '
          f'well ({place}). An image has one split: remove one of the rows.'
        )


def _stacked_names(parts, paths) -> tuple[str, ...]:
  """Returns the labels of all tables; UserError where columns differ."""
  (first, found), *others = parts.items()
  names = [*found.label_names]
  for split, part in others:
    new = [name for name in part.label_names if name not in names]
    lacking = [name for name in names if name not in part.label_names]
    if (new or lacking) and 'named' not in (part.counts or ()):
      raise errors.UserError(
        f'{paths[split]} and {paths[first]} have other label columns: '
        f'{text.listing(map(repr, [*new, *lacking]))}. Give them the same, or '
        'name those to take in data.label_columns.'
      )
    names += new
  return tuple(names)


def _stack(parts, split_names, names) -> Annotations:
  """Returns the parts, one below the other, over all of the labels."""
  parts = [_widen(part, names) for part in parts]
  sizes = [len(part) for part in parts]
  fields = ('labels', 'known', 'ids', 'files', 'groups', 'features', 'frames')
  joined = {
    name: np.concatenate([getattr(part, name) for part in parts])
    for name in fields
    if all(getattr(part, name) is not None for part in parts)
  }
  joined.setdefault('files', None)
  return Annotations(
    **joined,
    label_names=names,
    split=np.repeat(np.array(split_names, splits.DTYPE), sizes),
    reasons=np.concatenate([np.where(p.dropped, p.reasons, '') for p in parts]),
    notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    place=place_in_parts(parts, Annotations.describe),
    counts=_add_counts(parts),
    origin=parts[0].origin,
    contents=_contents_of(parts),
  )


def _widen(part, names) -> Annotations:
  """Returns the rows over these labels; those they lack are absent."""
  take = {name: k for k, name in enumerate(part.label_names)}
  labels = np.zeros((len(part), len(names)), np.uint8)
  known = np.ones(labels.shape, bool)
  for k, name in enumerate(names):
    if name in take:
      labels[:, k] = part.labels[:, take[name]]
      known[:, k] = part.known[:, take[name]]
  return dataclasses.replace(
    part, labels=labels, known=known, label_names=names
  )


def _add_counts(parts) -> codes_lib.Counts | None:
  """Returns how many cells hold which code, in all of the parts."""
  total = {}
  for part in parts:
    for code, (meaning, count) in (part.counts or {}).items():
      total[code] = meaning, total.get(code, (meaning, 0))[1] + count
  if 'named' in total:  # Of names that a part lacks, too.
    size = sum(part.labels.size for part in parts)
    total['not named'] = 'absent', size - total['named'][1]
  return total or None


def _contents_of(parts):
  """Returns `Annotations.contents` of stacked parts."""
  if any(part.contents is None for part in parts):
    return None
  starts = np.cumsum([0, *map(len, parts)])

  def contents(rows):
    for part, start, stop in zip(parts, starts, starts[1:], strict=False):
      mine = rows[slice(*np.searchsorted(rows, (start, stop)))]
      yield from part.contents(mine - start)

  return contents


def merge(
  sets: Mapping[str, Annotations],
  *,
  label_columns: tuple[str, ...] = (),
  unlabelled: str = 'unknown',
) -> Annotations:
  """Puts data sets one below the other.

  Rows are called 'set/id' and groups 'set/group', so that those of two sets
  never meet; a row without a group is one of its own where another set has
  groups. Either all sets have splits, or none. What is learnt is the labels,
  and what is seen the image: other targets and streams are left out.

  Args:
    sets: name -> what its reader found, in order.
    label_columns: labels to take, in order; () takes the union, sorted.
    unlabelled: what an entry is that its set does not label: 'unknown', or
      'absent', which also takes the unknown codes of the sets as absent.

  Raises:
    UserError: there is no set, some have splits and some not, or no set has a
      label that is asked for.
  """
  if not sets:
    raise errors.UserError(
      "data.sources is empty; name the sets to merge: ('ck_plus', 'disfa')."
    )
  lacking = [name for name, found in sets.items() if found.split is None]
  if 0 < len(lacking) < len(sets):
    raise errors.UserError(
      f'{", ".join(lacking)} has no official split, and other merged sets '
      f'have; set {lacking[0]}.split to train.'
    )
  names = _merged_names(sets, label_columns)
  parts = [
    _over(found, names, name, unlabelled) for name, found in sets.items()
  ]
  fields = ['files', 'labels', 'known', 'ids', 'groups', 'reasons', 'sources']
  fields += [] if lacking else ['split']
  if all(part.frames is not None for part in parts):
    fields.append('frames')
  return Annotations(
    **{
      field: np.concatenate([getattr(part, field) for part in parts])
      for field in fields
    },
    label_names=names,
    notes=tuple(
      note if note.startswith(dataset.WARNING) else f'{name}: {note}'
      for name, found in sets.items()
      for note in found.notes
    ),
    place=place_in_parts(parts, Annotations.describe),
  )


def _merged_names(sets, label_columns):
  """Returns the labels of merged sets; UserError on one that none has."""
  union = sorted(
    {name for found in sets.values() for name in found.label_names}
  )
  for name in label_columns:
    if name not in union:
      raise errors.UserError(
        f'data.label_columns names {name!r}, which none of '
        f'{", ".join(sets)} labels; they label {", ".join(union)}.'
        f'{text.suggest(name, union)}'
      )
  return tuple(label_columns or union)


def _over(found, names, source, unlabelled):
  """Returns the rows over other labels, with names that carry the source."""
  labels = np.zeros((len(found), len(names)), np.uint8)
  known = np.full(labels.shape, unlabelled == 'absent')
  for k, name in enumerate(names):
    if name in found.label_names:
      column = found.label_names.index(name)
      labels[:, k] = found.labels[:, column]
      if unlabelled == 'unknown':
        known[:, k] = found.known[:, column]
  groups = found.ids if found.groups is None else found.groups
  return dataclasses.replace(
    found,
    labels=labels,
    known=known,
    label_names=names,
    ids=np.char.add(f'{source}/', found.ids),
    groups=np.char.add(f'{source}/', groups),
    reasons=np.where(found.dropped, found.reasons, ''),
    sources=np.full(len(found), source),
  )


def table_of_sources(data: dataset.Dataset) -> dict[str, dict]:
  """Returns the left half of Table I: per source, images that show each label.

  Args:
    data: with `sources`.

  Returns:
    source -> `images` (rows that are used), `dropped`, and `class_counts`, one
    a label; the counts are of all splits together.
  """
  table = {}
  for source in dict.fromkeys(data.sources.tolist()):
    rows = data.sources == source
    used = rows & (data.split != dataset.DROPPED)
    table[source] = {
      'images': int(used.sum()),
      'dropped': int(rows.sum() - used.sum()),
      'class_counts': data.labels[used].sum(axis=0, dtype=np.int64).tolist(),
      'known': data.known[used].sum(axis=0, dtype=np.int64).tolist(),
    }
  return table


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
    files = found.files[np.asarray(rows, np.int64)].tolist()
    images, failures = images_lib.read(files, pixels)
    if failures:
      raise images_lib.unreadable_error(
        failures,
        len(files),
        lambda n: f'{found.describe(rows[n])}: {files[n]}',
      )
    return images

  return load_images
