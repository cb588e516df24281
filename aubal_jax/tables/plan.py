"""The plan: which rows to train on, how often, and which of them to augment."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables import arguments
from aubal_jax.tables import plan_file
from aubal_jax.tables import shown

# Array, kinds of its dtype, axes, least and largest entry.
_RULES = (
  ('source', 'iu', 1, 0, np.inf),
  ('augment', 'b', 1, False, True),
  ('partner', 'iu', 1, -1, np.inf),
  ('labels', 'biu', 2, 0, 1),
  ('share', 'f', 1, 0.0, np.nextafter(1.0, 0.0)),
)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Plan(shown.Shown):
  """M training rows, each made of a row of the table.

  It has a length, M; it goes over pairs (source, augment); two are equal where
  all their arrays are.

  Attributes:
    source: int64[M], row of the table as given (before drops and splits).
    augment: bool[M], whether the row is an added one, to be augmented.
    partner: int64[M], a second row to mix in, or -1 for none.
    label_names: names of the L labels.
    labels: uint8[M, L], only where they differ from the source's; else None.
    share: float64[M] in [0, 1), how far a row is from its source to its
      partner, where the row's labels depend on it; else None: it is drawn.
  """

  source: np.ndarray
  augment: np.ndarray
  partner: np.ndarray
  label_names: tuple[str, ...]
  labels: np.ndarray | None = None
  share: np.ndarray | None = None

  def __post_init__(self) -> None:
    for name in ('augment', 'partner', 'labels', 'share'):
      value = getattr(self, name)
      if value is not None and len(value) != len(self.source):
        raise errors.UserError(
          f'{name} must have one entry a row: {len(self.source)}, not '
          f'{len(value)}.'
        )

  def __len__(self) -> int:
    """Returns M, the number of rows."""
    return len(self.source)

  def __iter__(self) -> Iterator[tuple[int, bool]]:
    """Yields (row of the table, whether it is to be augmented) of each row."""
    return zip(self.source.tolist(), self.augment.tolist(), strict=True)

  def __eq__(self, other: object) -> bool:
    """Whether the other is a plan of the same rows, for the same labels."""
    if not isinstance(other, Plan):
      return NotImplemented
    return self.label_names == other.label_names and all(
      np.array_equal(a, b)
      for name in ('source', 'augment', 'partner', 'labels', 'share')
      for a, b in [(getattr(self, name), getattr(other, name))]
    )

  __hash__ = None  # type: ignore[assignment]

  @property
  def weights(self) -> np.ndarray:
    """float64[N], how often each row of the table is in the plan.

    N is the last row that is named, plus 1. For samplers by weight, such as
    torch.utils.data.WeightedRandomSampler(plan.weights, len(plan)); rows of
    `partner` are not counted.
    """
    return np.bincount(self.source).astype(np.float64)

  def _heading(self) -> str:
    added, mixed = int(self.augment.sum()), int((self.partner >= 0).sum())
    rows = len(np.unique(self.source))
    words = [
      f'Plan of {len(self):,} rows, made of {rows:,}',
      f'{added:,} are added, to be augmented',
    ]
    words += [f'{mixed:,} are mixed of two'] if mixed else []
    if self.label_names:
      words.append(f'labels: {text.listing(self.label_names, text.SHOWN)}')
    return '; '.join(words)

  def _num_rows(self) -> int:
    return len(self)

  def _columns(self, most: int | None = None) -> dict[str, list]:
    columns = {'source': self.source, 'augment': self.augment}
    if (self.partner >= 0).any():
      columns['partner'] = self.partner
    if self.share is not None:
      columns['share'] = self.share
    return {name: column[:most].tolist() for name, column in columns.items()}

  def take(
    self, features: npt.ArrayLike, rng: np.random.Generator
  ) -> np.ndarray:
    """Returns the rows of the plan made from a table of features.

    A row without a partner is a copy of its source s; one with a partner r is
    s + U (r - s), with U in [0, 1) drawn for each feature, or the row's share.

    Args:
      features: float or int [N, ...], one row for each row of the table.
      rng: where U is drawn from.

    Returns:
      features' dtype where nothing is mixed, else float64; [M, ...].
    """
    features = np.asarray(features)
    most = max(self.source.max(initial=-1), self.partner.max(initial=-1))
    if len(features) <= most:
      raise errors.UserError(
        f'features must have a row for each row of the table; it has '
        f'{len(features)}, and the plan names row {most}.'
      )
    rows = features[self.source]
    mixed = np.flatnonzero(self.partner >= 0)
    if mixed.size:
      rows = rows.astype(np.float64)
      change = features[self.partner[mixed]] - rows[mixed]
      if self.share is None:
        change *= rng.random(change.shape)
      else:
        change *= np.expand_dims(
          self.share[mixed], tuple(range(1, change.ndim))
        )
      rows[mixed] += change
    return rows

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes the plan as .npz, whole or not at all.

    Raises:
      UserError: it is not valid: see the attributes.
    """
    _check(self)
    arrays = {
      'source': self.source,
      'augment': self.augment,
      'partner': self.partner,
      'label_names': np.array(self.label_names, dtype=np.str_),
    }
    for name in ('labels', 'share'):
      if getattr(self, name) is not None:
        arrays[name] = getattr(self, name)
    plan_file.write(path, arrays)


def load(
  path: str | os.PathLike[str],
  *,
  num_rows: int | None = None,
  label_names: Sequence[str] | None = None,
) -> Plan:
  """Returns the plan that `Plan.save` wrote.

  Args:
    path: of the file.
    num_rows: N of the table that the plan is used with; None: not known.
    label_names: of that table, likewise.

  Raises:
    FileNotFoundError: there is no such file.
    UserError: the file is not a whole plan, is of a later version, or of
      another table.
  """
  arrays = plan_file.read(path)
  names = arrays.pop('label_names')
  try:
    plan = Plan(**arrays, label_names=tuple(names.tolist()))
    _check(plan)
  except (TypeError, ValueError) as error:
    raise plan_file.not_whole(path, error) from error
  _check_table(path, plan, num_rows, label_names)
  return plan


def _check(plan: Plan) -> None:
  """Raises UserError unless the plan is valid, whatever the table."""
  num_rows, num_labels = len(plan), len(plan.label_names)
  for name, kinds, num_axes, low, high in _RULES:
    if getattr(plan, name) is None:
      continue
    value = np.asarray(getattr(plan, name))
    if value.dtype.kind not in kinds or value.ndim != num_axes:
      raise errors.UserError(
        f'{name} must be of a kind in {kinds!r} and have {num_axes} axes; it '
        f'is {value.dtype}{[*value.shape]}.'
      )
    least, most = value.min(initial=low), value.max(initial=low)
    if not (least >= low and most <= high):  # So that NaN is wrong.
      raise errors.UserError(
        f'{name} must be from {low} to {high}; it is from {least} to {most}.'
      )
  names = plan.label_names
  if len({*names}) < num_labels or not all(isinstance(n, str) for n in names):
    raise errors.UserError('label_names must be distinct texts.')
  if (
    plan.labels is not None
    and names
    and plan.labels.shape != (num_rows, num_labels)
  ):
    raise errors.UserError(
      f'labels must have a column for each of the {num_labels} label_names; it '
      f'has {plan.labels.shape[1]}.'
    )


def _check_table(path, plan, num_rows, label_names) -> None:
  """Raises UserError where the plan is of another table."""
  if label_names is not None and plan.label_names != tuple(label_names):
    raise errors.UserError(
      f'{path} was made for the labels {plan.label_names}, but the data set '
      f'has {tuple(label_names)}; run the balance task again.'
    )
  highest = max(plan.source.max(initial=-1), plan.partner.max(initial=-1))
  if num_rows is not None and highest >= num_rows:
    raise errors.UserError(
      f'{path} names row {highest}, but the data set has the rows 0 to '
      f'{num_rows - 1}; run the balance task again.'
    )


def spread(index, counts, *, label_names=(), rows=None, seed: int = 0) -> Plan:
  """Makes the plan in which group s has `counts[s]` rows.

  A group's count is spread over its rows in rounds: every row once, then every
  row again, so that repeats differ by at most one; which rows get the extra
  one (or, below the group's size, which rows stay) is drawn from the seed.
  Originals come first, in the order of the table and never augmented; what is
  added follows round by round and is to be augmented.

  Args:
    index: int[N], the group of each row, such as `Labelsets.index`.
    counts: int[S], rows wanted of each group.
    label_names: names of the labels, kept with the plan.
    rows: int[N], the rows' numbers in the table; None: 0 ... N - 1.
    seed: of the draw; or a NumPy Generator to draw from.

  Raises:
    UserError: `counts` is negative somewhere, or asks for rows of a group
      that has none; or seed is not a whole number from 0.

  Examples:
    >>> plan = spread([0, 0, 1], [4, 1])
    >>> plan.source.tolist()
    [0, 1, 2, 0, 1]
    >>> plan.augment.tolist()
    [False, False, False, True, True]
  """
  counts = arguments.whole_numbers('counts', counts, least=0, below=2**53)
  index = arguments.whole_numbers('index', index, least=0, below=len(counts))
  rows = arguments.checked_rows(rows, len(index))
  arguments.check_seed(seed)
  label_names = arguments.checked_names(label_names)
  sizes = np.bincount(index, minlength=len(counts))
  if ((sizes == 0) & (counts > 0)).any():
    raise errors.UserError(
      'counts asks for rows of group '
      f'{np.flatnonzero((sizes == 0) & (counts > 0))[0]}, which has none.'
    )
  whole, extra = np.divmod(counts.astype(np.int64), np.maximum(sizes, 1))
  repeats = whole[index] + (drawn_ranks(index, sizes, seed) < extra[index])
  kept = np.flatnonzero(repeats > 0)
  added = np.repeat(np.arange(len(index)), np.maximum(repeats - 1, 0))
  starts = np.cumsum(np.maximum(repeats - 1, 0)) - np.maximum(repeats - 1, 0)
  rounds = np.arange(len(added)) - starts[added]
  added = added[np.argsort(rounds, kind='stable')]
  source = rows[np.concatenate([kept, added])].astype(np.int64)
  augment = np.zeros(len(source), bool)
  augment[len(kept) :] = True
  return Plan(source, augment, np.full(len(source), -1, np.int64), label_names)


def drawn_ranks(
  index: np.ndarray, sizes: np.ndarray, seed: int | np.random.Generator
) -> np.ndarray:
  """Returns int64[N], each row's place in a drawn order of its own group.

  Args:
    index: int[N], the group of each row.
    sizes: int[G], rows of each group.
    seed: of the draw; or a Generator to draw from.
  """
  shuffled = np.random.default_rng(seed).permutation(len(index))
  if len(sizes) <= 1 << 16:
    index = index.astype(np.uint16)  # Sorted by counting.
  order = shuffled[np.argsort(index[shuffled], kind='stable')]
  ranks = np.empty(len(index), np.int64)
  starts = np.cumsum(sizes) - sizes
  ranks[order] = np.arange(len(index)) - np.repeat(starts, sizes)
  return ranks


def with_added(
  num_rows: int, source, *, partner=None, labels=None, share=None
) -> Plan:
  """Returns the plan of all rows of a table and of added ones after them.

  Args:
    num_rows: N, rows of the table; they come first, as they are.
    source: int[A], what the added rows are made of.
    partner: int[A], what is mixed in; None: nothing.
    labels: uint8[N + A, L] where rows have labels of their own; else None.
    share: float[A], see `Plan`; None: it is drawn where needed.
  """
  source = np.asarray(source, np.int64)
  none = np.full(num_rows, -1, np.int64)
  partner = np.full(len(source), -1) if partner is None else partner
  return Plan(
    np.concatenate([np.arange(num_rows), source]),
    np.arange(num_rows + len(source)) >= num_rows,
    np.concatenate([none, partner]),
    (),
    labels,
    None if share is None else np.concatenate([np.zeros(num_rows), share]),
  )


def unchanged(rows, *, label_names=()) -> Plan:
  """Returns the plan that trains on every given row once, as it is."""
  rows = np.asarray(rows)
  zeros = np.zeros(len(rows), np.int64)
  return spread(zeros, [len(rows)], label_names=label_names, rows=rows)


def random(
  rows, num_kept: int, num_added: int, *, label_names=(), seed: int = 0
) -> Plan:
  """Returns the control: rows drawn evenly, whatever their labels.

  It keeps as many originals and adds as many augmented rows as a balanced plan
  does, so it tells what augmentation does from what balancing does.

  Args:
    rows: int[N], the rows' numbers in the table.
    num_kept: originals to keep, at most N; drawn if fewer.
    num_added: augmented rows to add; repeats differ by at most one.
    label_names: names of the labels, kept with the plan.
    seed: of the draw.
  """
  kept = spread(np.zeros(len(rows), int), [num_kept], rows=rows, seed=seed)
  return spread(
    np.zeros(num_kept, int),
    [num_kept + num_added],
    label_names=label_names,
    rows=kept.source,
    seed=seed,
  )
