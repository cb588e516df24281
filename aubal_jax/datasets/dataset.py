"""What every reader returns: labels, splits and a way to the images."""

import dataclasses
import hashlib
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import streams as streams_lib
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.media import embedding
from aubal_jax.runs import errors

LABELS = 'labels'  # The target that every data set has.
SPLITS = ('train', 'validation', 'test')
DROPPED = 'dropped'
_OF_ROWS = (
  *('split', 'ids', 'groups', 'frames', 'files', 'reasons', 'sources'),
)
WARNING = 'Warning: '  # What a serious note starts with.


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A multi-label data set; every row of the table as given is a row here.

  A row that cannot be used stays, with split 'dropped', so that a row number
  means the same row everywhere.

  Attributes:
    labels: uint8[N, L], 0 or 1; 0 where unknown.
    known: bool[N, L], False where the table does not say.
    label_names: L distinct names.
    split: str[N], 'train', 'validation', 'test' or 'dropped'.
    ids: str[N], the path or the name of each row.
    groups: str[N], whose row it is (a subject, a video), or None.
    frames: float64[N], when in its group a row is, such as the number of a
      frame; or None.
    load_images: maps int[R] row numbers to uint8[R, H, W, C]; None where
      there are only labels.
    files: str[N], path of each row's image ('' for none), or None where images
      are no files.
    reasons: str[N], why a row was dropped, '' where it was not; or None.
    sources: str[N], which of the merged sets each row is of; or None.
    place: row -> where it stands ('table.csv:12'), for messages; or None.
    features: float32[N, F], numbers that describe each row; or None.
    targets: name -> what a network may learn. `LABELS`, of the first three, is
      among them, given or not.
    splits: target -> str[N], its own split where it is another than `split`;
      'dropped' where a row is not of that task.
    streams: what a network may see beside the image.
    sounds: maps a video, by its name among `groups`, to float32[n], what is
      heard from its first frame on, 44,100 samples a second; or None.
    landmarks: maps int[R] row numbers to float32[R, 68, 2], x and y in pixels
      of the image, NaN where there are none; or None.
    notes: what the reader dropped or found odd, for people, one line for each
      kind. Those that put the scores in doubt start with WARNING.
    counts: how many cells of the labels held which code: code -> what it means
      ('present', 'absent', 'unknown') and their number. Where labels are no
      cells the code is the meaning.
    origin: where the names of the labels are from, if nobody named them.
    corners: float32[N, 3, 2], the piece of its file that each image is, see
      `media.pieces`; NaN: the whole; None: all are whole.
  """

  labels: np.ndarray
  known: np.ndarray
  label_names: tuple[str, ...]
  split: np.ndarray
  ids: np.ndarray
  groups: np.ndarray | None = None
  load_images: Callable[[np.ndarray], np.ndarray] | None = None
  notes: tuple[str, ...] = ()
  files: np.ndarray | None = None
  reasons: np.ndarray | None = None
  sources: np.ndarray | None = None
  place: Callable[[int], str] | None = None
  features: np.ndarray | None = None
  frames: np.ndarray | None = None
  targets: Mapping[str, targets_lib.Target] = dataclasses.field(
    default_factory=dict
  )
  splits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  streams: tuple[streams_lib.Stream, ...] = ()
  counts: Mapping[str, tuple[str, int]] | None = None
  origin: str = ''
  corners: np.ndarray | None = None
  sounds: Callable[[str], np.ndarray] | None = None
  landmarks: Callable[[np.ndarray], np.ndarray] | None = None

  def __post_init__(self):
    if self.counts is None:
      object.__setattr__(self, 'counts', self._count())
    table = targets_lib.Target(
      'binary', self.labels, self.known, self.label_names
    )
    object.__setattr__(self, 'targets', {**self.targets, LABELS: table})
    num_rows = len(self)
    for name, target in self.targets.items():
      if len(target) != num_rows:
        raise errors.UserError(
          f'The target {name!r} must have {num_rows} rows like labels, not '
          f'{len(target)}.'
        )
    for name in _OF_ROWS:
      value = getattr(self, name)
      if value is not None and value.shape != (num_rows,):
        raise errors.UserError(
          f'{name} must have shape [{num_rows}], one entry for each row of '
          f'labels, not {list(value.shape)}.'
        )
    self._check_features()
    self._check_streams()
    self._check_splits()

  def _count(self) -> dict[str, tuple[str, int]]:
    """Returns `counts` of labels that are no cells."""
    present = int(np.count_nonzero(self.labels))
    known = int(np.count_nonzero(self.known))
    found = {
      'absent': known - present,
      'present': present,
      'unknown': self.known.size - known,
    }
    return {name: (name, count) for name, count in found.items() if count}

  def constant_labels(self) -> dict[str, list[str]]:
    """Returns what a label never is -> the labels, in all rows in use.

    The keys are 'known to be 0' and 'known to be 1'; a label that is never
    known at all is under both.
    """
    used = self.split != DROPPED
    yes = self.labels[used].any(axis=0)
    no = (self.known[used] & (self.labels[used] == 0)).any(axis=0)
    return {
      f'known to be {value}': [
        name
        for name, is_there in zip(self.label_names, there, strict=True)
        if not is_there
      ]
      for value, there in ((0, no), (1, yes))
    }

  def _check_features(self):
    """Raises UserError where features are not float32[N, F] and finite."""
    features = self.features
    if features is None:
      return
    if (
      features.ndim != 2
      or features.dtype != np.float32
      or len(features) != len(self)
      or not np.isfinite(features).all()
    ):
      raise errors.UserError(
        f'features must be finite float32[{len(self)}, F], one row for each '
        f'row of labels, not {features.dtype}{list(features.shape)}.'
      )

  def _check_splits(self):
    """Raises UserError where a split is none, or of no target."""
    for name, split in {'split': self.split, **self.splits}.items():
      if split.shape != (len(self),) or name not in ('split', *self.targets):
        raise errors.UserError(
          f'splits must be of targets, {[*self.targets]}, and have shape '
          f'[{len(self)}]; that of {name!r} has {list(split.shape)}.'
        )
      odd = set(np.unique(split).tolist()) - {*SPLITS, DROPPED}
      if odd:
        what = 'split' if name == 'split' else f'the split of {name!r}'
        raise errors.UserError(
          f'{what} must be one of {[*SPLITS, DROPPED]}, not {sorted(odd)}.'
        )

  def _check_streams(self):
    """Raises UserError where a batch would have two fields of one name."""
    names = [stream.name for stream in self.streams]
    taken = [streams_lib.IMAGE, 'augment']
    taken += [x for name in self.targets for x in (name, f'{name}_known')]
    if len({*names, *taken}) < len(names) + len(taken):
      raise errors.UserError(
        f'streams must have distinct names, and none of {taken}, not {names}.'
      )

  def __len__(self):
    return len(self.labels)

  def stream(self, name: str) -> streams_lib.Stream:
    """Returns one of `streams`, or `features` as one, by their training rows.

    Raises:
      UserError: it is not there.
    """
    for stream in self.streams:
      if stream.name == name:
        return stream
    if name == streams_lib.FEATURES:
      return self._stream_of_features()
    raise errors.UserError(
      f'The network sees the stream {name!r}, which this data set does not '
      f'have; it has {[streams_lib.IMAGE, *(s.name for s in self.streams)]}. '
      'Set model.name to a network that sees these.'
    )

  @property
  def pictured(self) -> np.ndarray:
    """bool[N], the rows whose pictures are seen by others, such as in clips."""
    found = np.zeros(len(self), bool)
    for stream in self.streams:
      if stream.pictures is not None:
        found[stream.pictures] = True
    return found

  def _stream_of_features(self) -> streams_lib.Stream:
    """Returns `features`; UserError where there are none, or no such field."""
    name, features = streams_lib.FEATURES, self.features
    if features is None:
      raise errors.UserError(
        'The network sees features, and this data set has none: name the '
        "columns that are features (data.feature_columns), or save 'features' "
        "[N, F] beside 'labels' in an .npz."
      )
    if name in self.targets:
      raise errors.UserError(
        f'The network sees the stream {name!r}, and a target is called so; '
        'call its column otherwise (data.class_columns, data.real_columns).'
      )
    mean, std = embedding.moments(features[self.rows('train')])
    return streams_lib.Stream(
      *(name, features.dtype, features.shape[1:], features.__getitem__),
      mean=mean,
      std=std,
    )

  def split_of(self, target: str) -> np.ndarray:
    """Returns str[N], the split of each row in the task of a target."""
    own = self.splits.get(target)
    if own is None:
      return self.split
    return np.where(self.split == DROPPED, DROPPED, own)

  def rows(self, split: str, target: str = '') -> np.ndarray:
    """Returns int64[R], the rows of `split` in ascending order.

    Args:
      split: one of `SPLITS`, or `DROPPED`.
      target: those that are so in its task, and of which it knows anything;
        '': by `split` alone, which is that of the first task a row is of.
    """
    if split not in (*SPLITS, DROPPED):
      raise errors.UserError(
        f'Unknown split {split!r}; choose one of {[*SPLITS, DROPPED]}.'
      )
    if not target:
      return np.flatnonzero(self.split == split)
    known = self.targets[target].rows_known
    return np.flatnonzero((self.split_of(target) == split) & known)

  def clean(self) -> np.ndarray:
    """Returns bool[N], the rows whose group trains in no task.

    Where tasks have other splits, a network that learns several has seen the
    other groups that validate, with other labels.
    """
    number = np.arange(len(self))
    if self.groups is not None:
      number = np.unique(self.groups, return_inverse=True)[1]
    splits = [*self.splits.values()] or [self.split]
    train = np.any([own == 'train' for own in splits], axis=0)
    return ~(np.bincount(number[train], minlength=len(self)) > 0)[number]

  def num_rows(self) -> dict[str, int]:
    """Returns how many rows each split has, 'dropped' among them."""
    return {name: len(self.rows(name)) for name in (*SPLITS, DROPPED)}

  def describe(self, row: int) -> str:
    """Returns what an error about the image of a row begins with."""
    name = str(self.ids[row] if self.files is None else self.files[row])
    place = None if self.place is None else self.place(row)
    return name if place in (None, name) else f'{place}: {name}'

  def drop(self, reasons: Mapping[int, str]) -> 'Dataset':
    """Returns the data set without the rows named, and a note for each reason.

    Args:
      reasons: row -> why it cannot be used; rows that were used so far.
    """
    if not reasons:
      return self
    rows = np.fromiter(reasons, np.int64, len(reasons))
    new = np.full(len(self), '', object)
    new[rows] = list(reasons.values())
    new = new.astype(np.str_)
    split = self.split.astype('<U10')  # Wide enough for 'validation'.
    split[rows] = DROPPED
    return dataclasses.replace(
      self,
      split=split,
      reasons=new if self.reasons is None else np.where(new, new, self.reasons),
      notes=(*self.notes, *drop_notes(new, self.describe)),
    )

  def drop_unknown(self) -> 'Dataset':
    """Returns the data set without the training rows that lack a label."""
    rows = self.rows('train')
    lacking = rows[~self.known[rows].all(axis=1)]
    return self.drop(dict.fromkeys(lacking.tolist(), 'unknown label'))

  def drops(self) -> dict[str, int]:
    """Returns reason -> how many rows were dropped for it, the most first."""
    if self.reasons is None:
      return {}
    names, counts = np.unique(
      self.reasons[self.split == DROPPED], return_counts=True
    )
    order = np.argsort(-counts, kind='stable')
    return {str(names[k]): int(counts[k]) for k in order}

  def fingerprint(self) -> str:
    """Returns 16 hex digits that tell one table from another.

    What images and other streams hold is not read for it.
    """
    digest = hashlib.sha256()
    for array in (self.labels, np.packbits(self.known)):
      digest.update(str(array.shape).encode() + array.tobytes())
    digest.update('\0'.join(self.label_names).encode())
    for names in (self.split, self.ids):
      digest.update(names.astype(str).tobytes())
    if self.features is not None:
      digest.update(str(self.features.shape).encode() + self.features.tobytes())
    for name in sorted({*self.targets} - {LABELS}):
      target = self.targets[name]
      about = (name, target.kind, target.names, target.low, target.high)
      digest.update(repr(about).encode() + target.values.tobytes())
      digest.update(target.known.tobytes())
    for name in sorted(self.splits):
      digest.update(name.encode() + self.splits[name].astype(str).tobytes())
    for stream in self.streams:
      about = (stream.name, np.dtype(stream.dtype).str, stream.shape)
      digest.update(repr(about).encode())
    return digest.hexdigest()[:16]

  def fingerprint_of_groups(self) -> str:
    """Returns 16 hex digits that tell these groups and frames from others."""
    digest = hashlib.sha256()
    for array in (self.groups, self.frames):
      kept = b'' if array is None else np.asarray(array).astype(str).tobytes()
      digest.update(f'{len(kept)} '.encode() + kept)
    return digest.hexdigest()[:16]


def drop_notes(
  reasons: np.ndarray, describe: Callable[[int], str]
) -> tuple[str, ...]:
  """Returns a note for each reason that rows were dropped for.

  Args:
    reasons: str[N], '' for rows that were not.
    describe: row -> what it is called.
  """
  names, first, counts = np.unique(
    reasons, return_index=True, return_counts=True
  )
  return tuple(
    f'Dropped {count:,} of {len(reasons):,} rows: {name} (first '
    f'{describe(row)}).'
    for name, row, count in zip(names, first, counts, strict=True)
    if name
  )
