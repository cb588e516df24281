r"""Which labelset has which labels, laid out for sums along either side.

With P the 0/1 patterns (S labelsets x L labels) the solvers need P v, P^T x and
P^T diag(y) P. Each is a sum of gathered values: rows are gathered from labels,
labels from labelsets, pairs of labels from labelsets. A `Sums` holds such
groups as a few tables int32[K, G_K] whose columns are groups; the K gathers of
a table are written out, so XLA fuses them into one vectorised loop without a
scatter. A group longer than the widest table is cut into segments, whose sums
are then added to their group's place: one addition for every 32 entries.

Small problems are dense matrices instead. On several devices every device holds
the tables of its own labelsets; a sum over labelsets is the device's own, and
then one vector of length L is exchanged.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

_WIDEST = 32
_AXIS = 'labelsets'
# Below so many entries a dense matrix is faster, and compiles at once.
MOST_DENSE = 1 << 17
MOST_DENSE_ON_HOST = 1 << 12  # In NumPy a matrix is faster below so many.


class Sums(NamedTuple):
  """Groups of places, whose values are to be summed.

  Attributes:
    tables: int32[D, K, G_K] each, for D devices; members of each group,
      filled up with the number of places.
    owner: int32[D, G], where the sum of each group, table after table, goes;
      filled up with a number that is dropped. None: to its own position.
  """

  tables: tuple[Array, ...]
  owner: Array | None = None


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('dense', 'rows', 'columns', 'pairs'),
  meta_fields=('num_labels', 'num_places', 'mesh'),
)
@dataclasses.dataclass(frozen=True)
class Incidence:
  """P, as a dense matrix or as tables, over S' places for S labelsets.

  Attributes:
    dense: float64[S', L], or None.
    rows: `Sums` of labels for every place.
    columns: `Sums` of places for every label.
    pairs: `Sums` of places for every i L + j, i < j; None where not wanted.
    num_labels: L.
    num_places: S' >= S; a place that no labelset has stays empty.
    mesh: the devices, or None for one.
  """

  dense: Array | None
  rows: Sums | None
  columns: Sums | None
  pairs: Sums | None
  num_labels: int
  num_places: int
  mesh: Mesh | None = None

  def over_labels(self, values: Array) -> Array:
    """Returns P v: [S'], the sum of `values` [L] over each labelset."""
    if self.dense is not None:
      return self.dense.astype(values.dtype) @ values

    def each(tables, values):
      return _gather_sums([table[0] for table in tables], values)

    return self._on_devices(each, split=PartitionSpec(_AXIS))(
      self.rows.tables, values
    )

  def over_labelsets(self, values: Array) -> Array:
    """Returns P^T x: [L], the sum of `values` [S'] over each label."""
    if self.dense is not None:
      return values @ self.dense.astype(values.dtype)
    return self._grouped(self.columns, values, self.num_labels)

  def pair_table(self, values: Array) -> Array:
    """Returns P^T diag(y) P: [L, L], from `values` y [S']."""
    if self.dense is not None:
      matrix = self.dense.astype(values.dtype)
      return (matrix.T * values[None]) @ matrix
    size = self.num_labels
    upper = self._grouped(self.pairs, values, size**2).reshape(size, size)
    return upper + upper.T + jnp.diag(self.over_labelsets(values))

  def _grouped(self, sums, values, num_groups):
    def each(sums, values):
      partial = _gather_sums([table[0] for table in sums.tables], values)
      total = jnp.zeros(num_groups, values.dtype)
      total = total.at[sums.owner[0]].add(partial, mode='drop')
      return total if self.mesh is None else jax.lax.psum(total, _AXIS)

    return self._on_devices(each, split=PartitionSpec())(sums, values)

  def _on_devices(self, function, *, split):
    """Runs (tables, values) -> [..] on every device's own tables."""
    if self.mesh is None:
      return function
    own = PartitionSpec(_AXIS)
    values = PartitionSpec() if split == own else own
    return jax.shard_map(
      function, mesh=self.mesh, in_specs=(own, values), out_specs=split
    )


@dataclasses.dataclass(frozen=True)
class HostIncidence:
  """P in NumPy, as a matrix where it is small and as its entries otherwise.

  Attributes:
    dense: float64[S, L], or None.
    labels: int[T], the label of every entry, labelset after labelset.
    sets: int[T], the labelset of every entry.
    starts: int[S], the first entry of every labelset.
    pairs: int[Q] i L + j and int[Q] the labelset, of every pair i < j in it;
      None where not wanted.
    num_labels: L.
    num_places: S.
  """

  dense: np.ndarray | None
  labels: np.ndarray
  sets: np.ndarray
  starts: np.ndarray
  pairs: tuple[np.ndarray, np.ndarray] | None
  num_labels: int
  num_places: int

  def over_labels(self, values: np.ndarray) -> np.ndarray:
    """As `Incidence.over_labels`."""
    if self.dense is not None:
      return self.dense @ values
    return np.add.reduceat(values[self.labels], self.starts)

  def over_labelsets(self, values: np.ndarray) -> np.ndarray:
    """As `Incidence.over_labelsets`."""
    if self.dense is not None:
      return values @ self.dense
    return np.bincount(self.labels, values[self.sets], self.num_labels)

  def pair_table(self, values: np.ndarray) -> np.ndarray:
    """As `Incidence.pair_table`."""
    if self.dense is not None:
      return (self.dense.T * values) @ self.dense
    size = self.num_labels
    keys, sets = self.pairs
    upper = np.bincount(keys, values[sets], size**2).reshape(size, size)
    return upper + upper.T + np.diag(self.over_labelsets(values))


def on_host(patterns, *, with_pairs: bool) -> HostIncidence:
  """Returns 0/1 CSR patterns [S, L] in NumPy; rows not empty, in any order."""
  num_sets, num_labels = patterns.shape
  is_dense = num_sets * num_labels <= MOST_DENSE_ON_HOST
  places = np.arange(num_sets)
  return HostIncidence(
    dense=patterns.toarray() if is_dense else None,
    labels=patterns.indices.astype(np.intp),
    sets=np.repeat(places, np.diff(patterns.indptr)),
    starts=patterns.indptr[:-1].astype(np.intp),
    pairs=_pair_entries(patterns, places)
    if with_pairs and not is_dense
    else None,
    num_labels=num_labels,
    num_places=num_sets,
  )


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('labels', 'sets'),
  meta_fields=('num_labels', 'num_places'),
)
@dataclasses.dataclass(frozen=True)
class Entries:
  """P as the list of its entries: slower than tables, but compiled at once.

  Attributes:
    labels: int32[T], the label of every entry.
    sets: int32[T], the place of its labelset.
    num_labels: L.
    num_places: S'.
  """

  labels: Array
  sets: Array
  num_labels: int
  num_places: int

  def over_labels(self, values: Array) -> Array:
    """As `Incidence.over_labels`."""
    return jnp.zeros(self.num_places).at[self.sets].add(values[self.labels])

  def over_labelsets(self, values: Array) -> Array:
    """As `Incidence.over_labelsets`."""
    return jnp.zeros(self.num_labels).at[self.labels].add(values[self.sets])


def padded(patterns, num_places: int, num_labels: int) -> Incidence:
  """Returns 0/1 CSR patterns [S, L] as a larger matrix, not on a device yet."""
  dense = np.zeros((num_places, num_labels))
  dense[: patterns.shape[0], : patterns.shape[1]] = patterns.toarray()
  return Incidence(dense, None, None, None, num_labels, num_places)


def padded_entries(patterns, num_places: int, num_labels: int) -> Entries:
  """Returns the same as a longer list, filled up with the last place.

  No labelset may be there, so that what it gets counts nothing.
  """
  num_sets = patterns.shape[0]
  extra = rounded_up(patterns.nnz, coarse=True) - patterns.nnz
  sets = np.repeat(np.arange(num_sets), np.diff(patterns.indptr))
  fill = {'constant_values': num_places - 1}
  return Entries(
    labels=np.pad(patterns.indices, (0, extra)).astype(np.int32),
    sets=np.pad(sets, (0, extra), **fill).astype(np.int32),
    num_labels=num_labels,
    num_places=num_places,
  )


def _gather_sums(tables, values) -> Array:
  """Returns the sums of `values` over each column of each table."""
  padded = jnp.append(values, jnp.zeros((), values.dtype))
  # Without the barrier XLA computes `values` anew for every entry gathered.
  padded = jax.lax.optimization_barrier(padded)
  return jnp.concatenate([_gather_sum(table, padded) for table in tables])


def _gather_sum(table, padded):
  if len(table) <= _WIDEST:
    inside = {'mode': 'promise_in_bounds'}
    return sum(padded.at[members].get(**inside) for members in table)
  chunks = table.reshape(-1, _WIDEST, table.shape[1])  # Widths: powers of two.

  def add(index, total):
    return total + _gather_sum(chunks[index], padded)

  first = _gather_sum(chunks[0], padded)
  return jax.lax.fori_loop(1, len(chunks), add, first)


def rounded_up(size: int, coarse: bool = False) -> int:
  """Returns a size >= `size` of few different ones, so that little recompiles.

  Powers of two up to 64, then steps of an eighth, or, coarsely, of two again.
  """
  if size <= 64 or coarse:
    return 1 << max(size - 1, 0).bit_length()
  step = 1 << (int(size - 1).bit_length() - 4)
  return -(-size // step) * step


class _Split(NamedTuple):
  """How tables are made: for D devices, in sizes rounded coarsely or not."""

  num_devices: int
  coarse: bool


def lay_out(
  patterns, *, with_pairs: bool, devices=None, coarse: bool = False
) -> tuple[Incidence, np.ndarray]:
  """Lays 0/1 CSR patterns [S, L] out; rows in any order.

  Args:
    patterns: scipy CSR array, canonical.
    with_pairs: whether `pair_table` will be asked for.
    devices: JAX devices to split the labelsets over; None is one.
    coarse: round sizes of tables up to powers of two.

  Returns:
    The Incidence and int[S], the place of every labelset.
  """
  num_sets, num_labels = patterns.shape
  if devices is None and num_sets * num_labels <= MOST_DENSE:
    num_places = rounded_up(num_sets)
    dense = np.zeros((num_places, num_labels))
    dense[:num_sets] = patterns.toarray()
    incidence = Incidence(
      jnp.asarray(dense), None, None, None, num_labels, num_places
    )
    return incidence, np.arange(num_sets)
  mesh = None if devices is None else Mesh(np.array(devices), (_AXIS,))
  num_devices = 1 if devices is None else len(devices)
  split = _Split(num_devices, coarse)
  rows, place, num_places = _row_sums(patterns, split)
  local = num_places // num_devices
  labels, places = _entries(patterns, place)
  columns = _group_sums(labels, places, num_labels, split, local)
  pairs = None
  if with_pairs:
    keys, places = _pair_entries(patterns, place)
    pairs = _group_sums(keys, places, num_labels**2, split, local)

  def put(array):
    if mesh is None:
      return jnp.asarray(array)
    own = NamedSharding(mesh, PartitionSpec(_AXIS))
    return jax.device_put(array, own)

  sums = jax.tree.map(put, (rows, columns, pairs))
  return Incidence(None, *sums, num_labels, num_places, mesh), place


def _row_sums(patterns, split):
  """Deals labelsets out by size; returns `Sums`, places and their number."""
  num_devices, coarse = split
  num_sets, num_labels = patterns.shape
  lengths = np.diff(patterns.indptr)
  widths = 1 << np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
  tables, place, start = [], np.empty(num_sets, np.int64), 0
  parts = []
  for width in np.unique(widths):
    sets = np.flatnonzero(widths == width)
    height = rounded_up(-(-len(sets) // num_devices), coarse)
    parts.append((width, sets, height, start))
    start += height
  for width, sets, height, first in parts:
    device, position = np.divmod(np.arange(len(sets)), height)
    if num_devices > 1:
      position, device = np.divmod(np.arange(len(sets)), num_devices)
    place[sets] = device * start + first + position
    table = np.full((num_devices, width, height), num_labels, np.int32)
    for k in range(width):
      has = lengths[sets] > k
      entry = patterns.indices[patterns.indptr[sets[has]] + k]
      table[device[has], k, position[has]] = entry
    tables.append(table)
  return Sums(tuple(tables)), place, start * num_devices


def _entries(patterns, place):
  """Returns the label and the place of every entry, int32[nnz] each."""
  lengths = np.diff(patterns.indptr)
  places = np.repeat(place.astype(np.int32), lengths)
  return patterns.indices.astype(np.int32), places


def _pair_entries(patterns, place):
  """Returns i L + j and the place of every pair i < j of every labelset."""
  lengths = np.diff(patterns.indptr)
  num_labels = patterns.shape[1]
  keys, places = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
  for length in np.unique(lengths[lengths > 1]):
    sets = np.flatnonzero(lengths == length)
    first, second = np.triu_indices(length, 1)
    starts = patterns.indptr[sets].astype(np.int64)[:, None]
    left = patterns.indices[starts + first].astype(np.int32)
    right = patterns.indices[starts + second]
    keys.append((left * np.int32(num_labels) + right).ravel())
    places.append(np.repeat(place[sets].astype(np.int32), len(first)))
  return np.concatenate(keys), np.concatenate(places)


def _group_sums(keys, places, num_groups, split, local) -> Sums:
  """Returns the `Sums` over `places` of each of `num_groups` keys.

  Args:
    keys: int32[T], group of each entry.
    places: int32[T], its place; device d holds d local ... (d + 1) local.
    num_groups: a number that says: dropped.
    split: how many devices there are, and how to round sizes.
    local: places a device.
  """
  num_devices, coarse = split
  cut = [
    _segments(keys[mine], places[mine] - d * local, local)
    for d in range(num_devices)
    for mine in [slice(None) if num_devices == 1 else places // local == d]
  ]
  tables, owners = [], []
  for width in sorted({width for parts in cut for width in parts}):
    nothing = (np.zeros(0, np.int32), np.zeros((width, 0), np.int32))
    found = [parts.get(width, nothing) for parts in cut]
    height = rounded_up(max(len(owner) for owner, _ in found), coarse)
    table = np.full((num_devices, width, height), local, np.int32)
    owner = np.full((num_devices, height), num_groups, np.int32)
    for d, (groups, members) in enumerate(found):
      table[d, :, : len(groups)] = members
      owner[d, : len(groups)] = groups
    tables.append(table)
    owners.append(owner)
  if not tables:  # No pair at all.
    tables = [np.full((num_devices, 1, 1), local, np.int32)]
    owners = [np.full((num_devices, 1), num_groups, np.int32)]
  return Sums(tuple(tables), np.concatenate(owners, axis=1))


def _segments(keys, places, filler) -> dict[int, tuple[np.ndarray, np.ndarray]]:
  """Cuts groups into segments; returns width -> (group, members [K, G])."""
  merged = keys.astype(np.int64) << 32
  merged |= places
  merged.sort()
  keys = (merged >> 32).astype(np.int32)
  places = merged.astype(np.uint32).astype(np.int32)
  del merged
  starts = np.flatnonzero(np.diff(keys, prepend=-1))
  lengths = np.diff(starts, append=len(keys))
  groups = keys[starts]
  num_segments = -(-lengths // _WIDEST)
  group = np.repeat(groups, num_segments)
  within = np.arange(len(group)) - np.repeat(
    np.cumsum(num_segments) - num_segments, num_segments
  )
  start = np.repeat(starts, num_segments) + within * _WIDEST
  length = np.minimum(np.repeat(lengths, num_segments) - within * _WIDEST, 32)
  widths = 1 << np.ceil(np.log2(length)).astype(np.int64)
  found = {}
  for width in np.unique(widths):
    mine = widths == width
    members = np.full((width, mine.sum()), filler, np.int32)
    for k in range(width):
      has = length[mine] > k
      members[k, has] = places[start[mine][has] + k]
    found[int(width)] = (group[mine], members)
  return found


def everywhere(incidence, values) -> Array | np.ndarray:
  """Returns `values` as each device has them whole; in NumPy as `placed`.

  What a program is first given lies as what it returns, and is compiled once.
  """
  if _is_on_host(incidence):
    return np.asarray(values)
  if incidence.mesh is None:
    return jnp.asarray(values)
  whole = NamedSharding(incidence.mesh, PartitionSpec())
  return jax.device_put(values, whole)


def placed(incidence, place: np.ndarray, values) -> Array | np.ndarray:
  """Returns `values` [S] at their places, float64[S']; 0 elsewhere.

  In NumPy where the incidence is.
  """
  full = np.zeros(incidence.num_places)
  full[place] = values
  if _is_on_host(incidence):
    return full
  if incidence.mesh is None:
    return jnp.asarray(full)
  own = NamedSharding(incidence.mesh, PartitionSpec(_AXIS))
  return jax.device_put(full, own)


def _is_on_host(incidence) -> bool:
  """Whether it is NumPy's: tables of the host, or a matrix that is padded."""
  of_jax = isinstance(incidence, Incidence)
  return not of_jax or isinstance(incidence.dense, np.ndarray)
