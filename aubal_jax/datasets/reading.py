"""How a table is read: which columns are what, and what their cells mean.

With images or without; see `codes`, `label_forms` and `target_columns`.
"""

import dataclasses
from collections.abc import Collection
from collections.abc import Sequence

from aubal_jax.datasets import codes as codes_lib
from aubal_jax.datasets import target_columns
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.tables.files import table


@dataclasses.dataclass(frozen=True)
class Reading:
  """Which columns of a table are what, and what the cells of labels mean.

  The fields are the settings of `data` of the same names.

  Attributes:
    path_column: image files, or names of rows; no label.
    split_column: train, validation or test (`splits.SPLIT_NAMES`); no label.
    group_column: whose rows stay in one split; no label. These three may be
      absent under their default names, and '' says there is none.
    frame_column: number or time of a row in its video; no label; '': none.
    landmark_column: 68 points of a face, see `row_columns.landmarks`; no label;
      '': none.
    label_columns: labels to take, in order; () takes all columns that are
      nothing else, or all names of `label_column`.
    exclude_columns: columns that are no labels, whatever they hold.
    label_column: one column with the names of each row's labels, instead of
      one for each label, see `label_forms.parse_names`; '': there is none.
    separator: between those names.
    none_names: words there for "no label".
    least_votes: above 0: rows of one image are one, see `votes.count`.
    threshold: above 0: cells are scores, present from there on.
    present_codes: cells that mean 1, see `codes.Codes`.
    absent_codes: cells that mean 0.
    unknown_codes: cells that say nothing.
    class_columns: columns that are targets of their own, a class each, see
      `target_columns.parse`; no labels.
    real_columns: likewise, of numbers.
    target_unknown: cells of these that say nothing.
  """

  path_column: str = 'path'
  split_column: str = 'split'
  group_column: str = 'subject'
  frame_column: str = ''
  landmark_column: str = ''
  label_columns: Sequence[str] = ()
  exclude_columns: Sequence[str] = ()
  label_column: str = ''
  separator: str = ''
  none_names: Sequence[str] = ()
  least_votes: int = 0
  threshold: float = 0.0
  present_codes: Sequence[str] = codes_lib.PRESENT_CODES
  absent_codes: Sequence[str] = codes_lib.ABSENT_CODES
  unknown_codes: Sequence[str] = codes_lib.UNKNOWN_CODES
  class_columns: Sequence[str] = ()
  real_columns: Sequence[str] = ()
  target_unknown: Sequence[str] = target_columns.UNKNOWN

  @property
  def codes(self) -> codes_lib.Codes:
    """What cells mean."""
    return codes_lib.Codes(
      tuple(self.present_codes),
      tuple(self.absent_codes),
      tuple(self.unknown_codes),
      self.threshold,
    )

  @property
  def special(self) -> tuple[str, ...]:
    """The columns of paths, splits, groups, frames and landmarks."""
    columns = self.path_column, self.split_column, self.group_column
    return *columns, self.frame_column, self.landmark_column

  def target_names(self, columns: Collection[str]) -> tuple[str, ...]:
    """Returns the columns that are targets of their own."""
    entries = *self.class_columns, *self.real_columns
    return tuple(target_columns.column_of(entry, columns) for entry in entries)

  def targets(self, rows: table.Table) -> dict[str, targets_lib.Target]:
    """Returns those of a table."""
    return target_columns.parse(
      rows, self.class_columns, self.real_columns, self.target_unknown
    )
