"""The plan: which rows to train on, how often, and which of them to augment."""

from __future__ import annotations

import dataclasses
import zipfile

import numpy as np

from aubal_jax import files


@dataclasses.dataclass(frozen=True)
class Plan:
  """M training rows, each made of a row of the table.

  Attributes:
    source: int64[M], row of the table as given (before drops and splits).
    augment: bool[M], whether the row is an added one, to be augmented.
    partner: int64[M], a second row to mix in, or -1 for none.
    label_names: names of the L labels.
    labels: uint8[M, L], only where they differ from the source's; else None.
  """

  source: np.ndarray
  augment: np.ndarray
  partner: np.ndarray
  label_names: tuple[str, ...]
  labels: np.ndarray | None = None

  def __post_init__(self):
    for name in ('augment', 'partner'):
      if len(getattr(self, name)) != len(self.source):
        raise ValueError(
          f'{name} must have one entry a row: {len(self.source)}, not '
          f'{len(getattr(self, name))}.'
        )

  def __len__(self) -> int:
    """Returns M, the number of rows."""
    return len(self.source)

  def take(self, features, rng: np.random.Generator) -> np.ndarray:
    """Returns the rows of the plan made from a table of features.

    A row without a partner is a copy of its source s; one with a partner r is
    s + U (r - s), with U in [0, 1) drawn for each feature.

    Args:
      features: float or int [N, ...], one row for each row of the table.
      rng: where U is drawn from.

    Returns:
      features' dtype where nothing is mixed, else float64; [M, ...].
    """
    features = np.asarray(features)
    most = max(self.source.max(initial=-1), self.partner.max(initial=-1))
    if len(features) <= most:
      raise ValueError(
        f'features must have a row for each row of the table; it has '
        f'{len(features)}, and the plan names row {most}.'
      )
    rows = features[self.source]
    mixed = np.flatnonzero(self.partner >= 0)
    if mixed.size:
      rows = rows.astype(np.float64)
      others = features[self.partner[mixed]]
      rows[mixed] += rng.random(others.shape) * (others - rows[mixed])
    return rows

  def save(self, path) -> None:
    """Writes the plan as .npz, whole or not at all."""
    arrays = {
      'source': self.source,
      'augment': self.augment,
      'partner': self.partner,
      'label_names': np.array(self.label_names, dtype=np.str_),
    }
    if self.labels is not None:
      arrays['labels'] = self.labels
    with files.write_atomically(path, 'wb') as file:
      np.savez_compressed(file, **arrays)


def load(path) -> Plan:
  """Returns the plan that `Plan.save` wrote.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not a whole plan.
  """
  try:
    with open(path, 'rb') as file, np.load(file) as arrays:
      return Plan(
        source=arrays['source'],
        augment=arrays['augment'],
        partner=arrays['partner'],
        label_names=tuple(arrays['label_names'].tolist()),
        labels=arrays.get('labels'),
      )
  except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
    raise ValueError(
      f'{path} is not a whole plan ({error}); delete it and run the balance '
      'task again.'
    ) from error


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
    seed: of the draw.

  Raises:
    ValueError: `counts` is negative somewhere, or asks for rows of a group
      that has none; or seed is not a whole number from 0.

  Examples:
    >>> plan = spread([0, 0, 1], [4, 1])
    >>> plan.source.tolist()
    [0, 1, 2, 0, 1]
    >>> plan.augment.tolist()
    [False, False, False, True, True]
  """
  index = np.asarray(index, np.int64)
  counts = np.asarray(counts)
  rows = np.arange(len(index)) if rows is None else np.asarray(rows)
  if not isinstance(seed, (int, np.integer)) or seed < 0:
    raise ValueError(f'seed must be a whole number, at least 0; it is {seed}.')
  if (counts < 0).any():
    raise ValueError(f'counts must not be negative; found {counts.min()}.')
  sizes = np.bincount(index, minlength=len(counts))
  if ((sizes == 0) & (counts > 0)).any():
    raise ValueError(
      'counts asks for rows of group '
      f'{np.flatnonzero((sizes == 0) & (counts > 0))[0]}, which has none.'
    )
  whole, extra = np.divmod(counts.astype(np.int64), np.maximum(sizes, 1))
  repeats = whole[index] + (_drawn_ranks(index, sizes, seed) < extra[index])
  kept = np.flatnonzero(repeats > 0)
  added = np.repeat(np.arange(len(index)), np.maximum(repeats - 1, 0))
  starts = np.cumsum(np.maximum(repeats - 1, 0)) - np.maximum(repeats - 1, 0)
  rounds = np.arange(len(added)) - starts[added]
  added = added[np.argsort(rounds, kind='stable')]
  source = rows[np.concatenate([kept, added])].astype(np.int64)
  augment = np.zeros(len(source), bool)
  augment[len(kept) :] = True
  return Plan(
    source, augment, np.full(len(source), -1, np.int64), tuple(label_names)
  )


def _drawn_ranks(index: np.ndarray, sizes: np.ndarray, seed: int):
  """int64[N], each row's place in a drawn order of its own group."""
  shuffled = np.random.default_rng(seed).permutation(len(index))
  order = shuffled[np.argsort(index[shuffled], kind='stable')]
  ranks = np.empty(len(index), np.int64)
  starts = np.cumsum(sizes) - sizes
  ranks[order] = np.arange(len(index)) - np.repeat(starts, sizes)
  return ranks


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
