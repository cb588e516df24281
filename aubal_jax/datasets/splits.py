"""Which rows train, which validate and which test: as given, or drawn."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import dataset
from aubal_jax.datasets import stratify
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

DTYPE = np.dtype('<U10')  # Wide enough for every split, 'dropped' too.
SPLIT_NAMES = {
  'train': 'train',
  'training': 'train',
  'val': 'validation',
  'valid': 'validation',
  'validation': 'validation',
  'dev': 'validation',
  'test': 'test',
  'testing': 'test',
}


def parse(rows: table.Table, column_name: str) -> np.ndarray:
  """Returns str[N], the split each row of the column names, in any case.

  Raises:
    UserError: a cell is no name of a split (SPLIT_NAMES).
  """
  split = rows.parse(
    [column_name],
    'data.split_column',
    lambda cell: SPLIT_NAMES.get(cell.casefold()),
    DTYPE,
    f'A split is one of {", ".join(SPLIT_NAMES)}. Correct the cells, or set '
    "data.split_column='' to split automatically.",
  )
  return split[:, 0]


@dataclasses.dataclass(frozen=True)
class Draw:
  """How splits are drawn where a set has none.

  Attributes:
    validation_fraction: share of the groups (rows, where there are none); with
      folds, of the groups that are not in the fold.
    test_fraction: share of the groups; with folds it has nothing to say.
    num_folds: 0, or of how many folds one is the test split.
    fold: which one, counted from 0.
    stratify: even out the labels between the splits, as far as groups allow.
    seed: of the draw.

  Raises:
    UserError: the fractions leave nothing, or there is no such fold.
  """

  validation_fraction: float = 0.15
  test_fraction: float = 0.15
  num_folds: int = 0
  fold: int = 0
  stratify: bool = True
  seed: int = 0

  def __post_init__(self):
    if self.validation_fraction + self.test_fraction >= 1:
      raise errors.UserError(
        f'data.validation_fraction={self.validation_fraction!r} and '
        f'data.test_fraction={self.test_fraction!r} must be less than 1 '
        'together, or nothing is left for training. Lower them.'
      )
    if self.num_folds and not (
      self.num_folds >= 2 and 0 <= self.fold < self.num_folds
    ):
      raise errors.UserError(
        'data.num_folds must be 0 or at least 2, and data.fold from 0 to one '
        f'less; they are {self.num_folds} and {self.fold}.'
      )

  def note(self, by_group: bool, *, by_column: bool = True) -> str:
    """Returns what a person is told of a split that was drawn.

    Args:
      by_group: whether there are groups.
      by_column: whether a column of a table may name splits.
    """
    lacking = 'No split column' if by_column else 'No official split'
    unit = 'group' if by_group else 'row'
    what = 'validation and test'
    if self.num_folds:
      what = f'validation, and fold {self.fold} of {self.num_folds} as test'
    even = ', evenly in the labels' if self.stratify else ''
    return f'{lacking}: drew {what} by {unit}{even}, with seed {self.seed}.'


def draw(
  labels: np.ndarray, groups: np.ndarray | None, settings: Draw
) -> np.ndarray:
  """Draws a split that never parts a group; equal seeds, equal splits.

  Of G groups (rows, where there are no groups) exactly round(G * fraction), at
  least one where the fraction is not 0, go to validation and to test, the
  others to train. With folds, G // num_folds groups or one more are the test
  split, every group that of one fold, and the validation fraction is of the
  others. The order of the rows does not matter where there are groups.

  Args:
    labels: uint8[N, L], for what is stratified.
    groups: str[N] or None.
    settings: how. To stratify rows takes about 10 s a million.

  Returns:
    str[N], 'train', 'validation' or 'test'.

  Raises:
    UserError: nothing is left for training, or for a fold; or a package is
      missing.
  """
  rng = np.random.default_rng(settings.seed)
  if groups is None:
    number, unit, counts = np.arange(len(labels)), 'rows', labels
  else:
    number, unit = np.unique(groups, return_inverse=True)[1], 'groups'
    counts = _counts(labels, number) if settings.stratify else number
  num_groups = int(number.max(initial=-1)) + 1

  def part(some, sizes):
    if not settings.stratify:
      return _shuffled(sizes, rng)
    even = stratify.part_rows if groups is None else stratify.part_groups
    return even(counts[some], sizes, rng)

  split = np.full(num_groups, 'train', dtype=DTYPE)
  rest = np.arange(num_groups)
  if settings.num_folds:
    fold = part(rest, _fold_sizes(num_groups, unit, settings.num_folds))
    split[fold == settings.fold] = 'test'
    rest = np.flatnonzero(fold != settings.fold)
  sizes = _sizes(len(rest), unit, settings)
  names = np.array([*sizes, 'train'], DTYPE)
  sizes = [*sizes.values(), len(rest) - sum(sizes.values())]
  split[rest] = names[part(rest, sizes)]
  return split[number]


def _shuffled(sizes, rng):
  """Returns int[U], part p for sizes[p] units drawn at random."""
  part = np.empty(sum(sizes), np.int64)
  part[rng.permutation(len(part))] = np.repeat(np.arange(len(sizes)), sizes)
  return part


def _counts(labels, number):
  """Returns float[G, L + 1]: positives of each label, and rows, a group."""
  columns = [np.bincount(number, column) for column in labels.T]
  return np.stack([*columns, np.bincount(number)], axis=1).astype(float)


def _fold_sizes(num_groups, unit, num_folds):
  """Returns how many groups each fold has; raises UserError on too few."""
  if num_groups < num_folds:
    raise errors.UserError(
      f'{num_groups} {unit} cannot be split in data.num_folds={num_folds} '
      'folds. Lower data.num_folds.'
    )
  return [
    num_groups // num_folds + (fold < num_groups % num_folds)
    for fold in range(num_folds)
  ]


def _sizes(num_groups, unit, settings):
  """Returns split -> groups, of those that are not in a test fold."""
  fractions = {
    'validation': settings.validation_fraction,
    'test': 0.0 if settings.num_folds else settings.test_fraction,
  }
  sizes = {
    name: max(round(num_groups * fraction), int(fraction > 0))
    for name, fraction in fractions.items()
  }
  if sum(sizes.values()) >= num_groups:
    besides = ' that are not in the fold' if settings.num_folds else ''
    raise errors.UserError(
      f'{num_groups} {unit}{besides} cannot be split: {sizes["validation"]} '
      f'for validation (data.validation_fraction={fractions["validation"]}) '
      f'and {sizes["test"]} for test (data.test_fraction={fractions["test"]}) '
      'leave none for training. Lower the fractions, or, in a table, name the '
      'split of each row in data.split_column.'
    )
  return sizes


def check_sizes(
  split: np.ndarray, where: str, *, by_column: bool = True
) -> tuple[str, ...]:
  """Raises UserError without a row to train on; returns a warning on others.

  Args:
    split: str[N].
    where: the table, for the message.
    by_column: whether a column of the table may name splits.
  """
  if not (split == 'train').any():
    num_dropped = int((split == dataset.DROPPED).sum())
    mend = 'Mend the paths of the images that were dropped. '
    named = (
      "Name some rows train in data.split_column, or set data.split_column='' "
      'to split automatically.'
    )
    raise errors.UserError(
      f'{where}: no row is left to train on ({len(split)} rows, {num_dropped} '
      f'of them dropped). {mend if num_dropped else ""}'
      f'{named if by_column else ""}'.rstrip()
    )
  empty = [n for n in ('validation', 'test') if not (split == n).any()]
  if not empty:
    return ()
  lacking = f'No row has the split {" or ".join(map(repr, empty))}. '
  if not by_column:
    return (
      () if empty == ['test'] else (f'{dataset.WARNING}{lacking}'.rstrip(),)
    )
  return (
    f'{dataset.WARNING}{lacking}'
    'Name some so in data.split_column, or their table '
    f'({" or ".join(f"data.{name}_path" for name in empty)}), or set '
    "data.split_column='' to split "
    f'automatically ({", ".join(f"data.{name}_fraction" for name in empty)}).',
  )


def check_groups(
  split: np.ndarray, groups: np.ndarray | None, *, by_column: bool = True
) -> tuple[str, ...]:
  """Returns a warning on groups that have rows in more than one split."""
  if groups is None:
    return ()
  used = split != dataset.DROPPED
  names, number = np.unique(groups[used], return_inverse=True)
  seen = np.stack(
    [
      np.bincount(number[split[used] == name], minlength=len(names)) > 0
      for name in dataset.SPLITS
    ]
  )
  crossing = names[seen.sum(0) > 1]
  if not len(crossing):
    return ()
  mend = (
    ' Keep each group in one split, or set '
    "data.split_column='' to split by group."
  )
  return (
    f'{dataset.WARNING}{len(crossing)} of {len(names)} groups have rows in '
    'more than one split '
    f'({text.listing(crossing, text.SHOWN)}): scores on them flatter.'
    f'{mend if by_column else ""}',
  )


def check_labels(
  labels: np.ndarray,
  known: np.ndarray,
  label_names: Sequence[str],
  split: np.ndarray,
) -> tuple[str, ...]:
  """Returns warnings on labels never known to be 0, or without a 1 in train."""
  used = split != dataset.DROPPED
  unknown = ~known[used].any(0)
  never_0 = ~(known[used] & (labels[used] == 0)).any(0) & ~unknown
  absent = ~labels[split == 'train'].any(0) & ~unknown
  notes = []
  for where, what in (
    (unknown, 'unknown in every row'),
    (never_0, 'never known to be 0'),
    (absent, 'never 1 in the training split'),
  ):
    names = [name for name, odd in zip(label_names, where, strict=True) if odd]
    if names:
      notes.append(
        f'{dataset.WARNING}{len(names)} of {len(label_names)} labels '
        f'{"is" if len(names) == 1 else "are"} {what}: '
        f'{text.listing(names, text.SHOWN)}.'
      )
  return tuple(notes)
