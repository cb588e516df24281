"""A table in parts is the whole table, whatever parts it is in."""

import fractions
import itertools
import multiprocessing
import os
import pathlib
import tempfile
from concurrent import futures

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from pyarrow import parquet as pq
from scipy import sparse

import aubal_jax as aubal
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import parts as parts_lib
from aubal_jax.tables import plan_parts

THREADS = futures.ThreadPoolExecutor(2)
KINDS = ('bool', 'uint8', 'int64', 'float32')


def make_table(seed, num_rows, num_labels):
  rng = np.random.default_rng(seed)
  likely = rng.random(num_labels) * rng.choice([0.02, 0.3, 1.0])
  return (rng.random((num_rows, num_labels)) < likely).astype(np.uint8)


def divide(seed, table):
  """The table in some parts, none without a row."""
  rng = np.random.default_rng(seed)
  most = max(len(table) - 1, 0)
  count = int(rng.integers(0, min(most, 6) + 1))
  cuts = np.sort(rng.choice(np.arange(1, most + 1), count, replace=False))
  return np.split(table, cuts)


def write(folder, parts, kind='uint8', names=None):
  paths = []
  for number, part in enumerate(parts):
    columns = {
      name: part[:, place].astype(kind)
      for place, name in enumerate(names or map(str, range(part.shape[1])))
    }
    paths.append(pathlib.Path(folder) / f'part-{number:03}.parquet')
    pq.write_table(pa.table(columns), paths[-1], row_group_size=7)
  return paths


def same(a, b, *, index=True):
  for x, y in ((a.patterns, b.patterns), (a.known, b.known)):
    assert (x is None) == (y is None) and sparse.issparse(x) == sparse.issparse(
      y
    )
    if x is not None:
      x, y = (z.toarray() if sparse.issparse(z) else z for z in (x, y))
      assert x.dtype == y.dtype
      np.testing.assert_array_equal(x, y)
  np.testing.assert_array_equal(a.counts, b.counts)
  if index:
    np.testing.assert_array_equal(a.index, b.index)


tables = st.builds(
  make_table,
  st.integers(0, 2**32 - 1),
  st.integers(1, 60),
  st.sampled_from([1, 3, 9, 16, 17, 40, 64, 65, 90]),
)


@hypothesis.given(tables, st.integers(0, 99), st.sampled_from('dsk'))
def test_a_merge_is_the_whole_and_associative(table, seed, kind):
  parts, known = divide(seed, table), None
  if kind == 'k':
    known = np.random.default_rng(seed).random(table.shape) < 0.9
    table = table & known
    starts = np.cumsum([0, *map(len, parts)])
    places = [slice(a, b) for a, b in itertools.pairwise(starts)]
    found = [labelsets_lib.find_labelsets(table[i], known[i]) for i in places]
  else:
    table = sparse.csr_array(table) if kind == 's' else table
    change = sparse.csr_array if kind == 's' else np.asarray
    found = [labelsets_lib.find_labelsets(change(part)) for part in parts]
  whole = labelsets_lib.find_labelsets(table, known)
  merge = labelsets_lib.merge
  same(merge(found), whole)
  cut = 1 + seed % len(found)
  left, right = found[:cut], found[cut:]
  same(merge([merge(left), *right]), whole)
  if right:
    same(merge([*left, merge(right)]), whole)
    same(merge([merge(right), merge(left)]), whole, index=False)


def test_parts_of_other_labels_are_refused():
  a, b = (labelsets_lib.find_labelsets(np.eye(n, dtype=int)) for n in (2, 3))
  with pytest.raises(aubal.UserError, match='part 0 has 2, and part 1 has 3'):
    labelsets_lib.merge([a, b])
  c = labelsets_lib.find_labelsets(np.eye(2, dtype=int), np.eye(2) > -1)
  with pytest.raises(aubal.UserError, match='part 1 differs'):
    labelsets_lib.merge([a, c])


def plan_rows(paths, parts, found):
  """How often each row of the whole table is in the plan; checks each part."""
  repeats, first = [], 0
  for path, part in zip(paths, parts, strict=True):
    plan = plan_parts.read(path)
    times = np.bincount(plan.source, minlength=len(part))
    assert len(times) == len(part)
    kept = plan.source[~plan.augment]
    np.testing.assert_array_equal(kept, np.flatnonzero(times))
    assert not plan.augment[: len(kept)].any() and (plan.partner == -1).all()
    repeats.append(times)
    first += len(part)
  repeats = np.concatenate(repeats)
  for labelset in range(len(found.counts)):  # As even as they can be.
    own = repeats[found.index == labelset]
    assert own.max() - own.min() <= 1
  return repeats


@hypothesis.given(
  tables, st.integers(0, 99), st.sampled_from(KINDS), st.booleans()
)
def test_a_folder_is_the_table_and_its_plan_has_the_counts(
  table, seed, kind, threads
):
  parts = divide(seed, table)
  whole = labelsets_lib.find_labelsets(table)
  rng = np.random.default_rng(seed)
  wanted = rng.integers(0, 5 * whole.counts + 1)
  with tempfile.TemporaryDirectory() as folder:
    write(folder, parts, kind)
    same(aubal.find_labelsets(folder), whole, index=False)
    one = write(folder, [table], kind)[0]
    same(aubal.find_labelsets(one), whole)
    write(folder, parts, kind)
    pool = THREADS if threads else None
    found = parts_lib.survey(folder, parts_lib.Reading(), pool)
    assert len(found.parts) == len(parts)
    for part, rows in zip(found.parts, parts, strict=True):
      own = labelsets_lib.find_labelsets(rows)
      patterns = whole.patterns[part.numbers]
      np.testing.assert_array_equal(patterns, own.patterns)
      np.testing.assert_array_equal(part.counts, own.counts)
    out = pathlib.Path(folder) / 'plan'
    paths = plan_parts.write(found, wanted, out, seed=seed, executor=pool)
    assert sorted(out.iterdir()) == sorted([*paths, out / 'plan.json'])
    repeats = plan_rows(paths, parts, whole)
  np.testing.assert_array_equal(
    np.bincount(whole.index, repeats, len(wanted)), wanted
  )


def joined_later(monkeypatch, some):
  monkeypatch.setattr(parts_lib, '_JOINED', some)


@pytest.mark.parametrize('some', [1, 2, 3, 5])
def test_numbers_follow_where_labelsets_move(tmp_path, monkeypatch, some):
  joined_later(monkeypatch, some)
  for seed in range(6):
    table = make_table(seed, 50, 6)
    parts = np.array_split(table, 7)
    write(tmp_path, parts)
    found = parts_lib.survey(tmp_path, parts_lib.Reading())
    same(found.labelsets, labelsets_lib.find_labelsets(table), index=False)
    for part, rows in zip(found.parts, parts, strict=True):
      own = labelsets_lib.find_labelsets(rows)
      patterns = found.labelsets.patterns[part.numbers]
      np.testing.assert_array_equal(patterns, own.patterns)


def make_counted(seed, size):
  """`Parts` of made-up counts up to a size, and the rows wanted."""
  rng = np.random.default_rng(seed)
  num_parts, num_sets = rng.integers(1, 7), rng.integers(1, 5)
  counts = rng.integers(0, size, (num_parts, num_sets))
  counts[rng.random(counts.shape) < 0.3] = 0
  counts[0, counts.sum(axis=0) == 0] = 1
  total = counts.sum(axis=0)
  parts = [
    parts_lib.Part(pathlib.Path(str(k)), held, own[held], 0)
    for k, own in enumerate(counts)
    for held in [rng.permutation(np.flatnonzero(own)).astype(np.int32)]
  ]
  labelsets = labelsets_lib.Labelsets(np.eye(num_sets), total, None)
  wanted = rng.integers(0, np.minimum(10 * total + 1, 2**52))
  return parts_lib.Parts((*parts,), labelsets, parts_lib.Reading()), wanted


@pytest.mark.parametrize('size', [2, 5, 1000, 2**31, 2**49])
def test_shares_are_those_of_largest_remainder(size):
  for seed in range(40):
    parts, wanted = make_counted(seed, size)
    shares = parts_lib.share_out(parts, wanted)
    total = np.zeros(len(wanted), np.int64)
    for labelset, amount in enumerate(wanted.tolist()):
      held = [(p, *np.flatnonzero(p.numbers == labelset)) for p in parts.parts]
      held = [(k, p, *at) for k, (p, *at) in enumerate(held) if at]
      ideal = {
        k: fractions.Fraction(amount * int(part.counts[at]))
        / int(parts.labelsets.counts[labelset])
        for k, part, at in held
      }
      oracle = {k: int(share) for k, share in ideal.items()}
      left = amount - sum(oracle.values())
      by_rest = sorted(ideal, key=lambda k: (oracle[k] - ideal[k], k))
      for k in by_rest[:left]:
        oracle[k] += 1
      for k, _, at in held:
        assert shares[k][at] == oracle[k], (seed, labelset)
        total[labelset] += shares[k][at]
    np.testing.assert_array_equal(total, wanted)


@pytest.fixture(scope='module')
def balanced():
  """A table, and what one machine makes of it."""
  table = make_table(3, 400, 5)
  return table, aubal.balance(table, lam=1.0)[1]


@pytest.mark.parametrize('seed', range(4))
def test_parts_are_balanced_as_one_machine_does(tmp_path, balanced, seed):
  table, solution = balanced
  parts = divide(seed, table)
  write(tmp_path, parts, KINDS[seed % len(KINDS)], names='abcde')
  paths, found = aubal.balance_parts(tmp_path, lam=1.0, seed=seed)
  assert paths[0].parent == tmp_path / 'plan'
  assert found.label_names == plan_parts.read(paths[0]).label_names
  assert found.label_names == (*'abcde',)
  np.testing.assert_array_equal(found.counts, solution.counts)
  np.testing.assert_array_equal(found.growth, solution.growth)
  whole = labelsets_lib.find_labelsets(table)
  repeats = plan_rows(paths, parts, whole)
  np.testing.assert_array_equal(
    np.bincount(whole.index, repeats), solution.counts
  )
  again, _ = aubal.balance_parts(
    tmp_path, tmp_path / 'b', lam=1.0, seed=seed, label_columns=[*'abcde']
  )
  other, _ = aubal.balance_parts(tmp_path, tmp_path / 'c', lam=1.0, seed=99)
  plans = [[plan_parts.read(p) for p in x] for x in (paths, again, other)]
  assert plans[0] == plans[1] != plans[2]


class Stopping:
  """An executor that works at once, and fails at some call."""

  def __init__(self, at):
    self.left, self.most, self.ahead = at, 0, 0

  def submit(self, function, *arguments):
    self.ahead += 1
    self.most = max(self.most, self.ahead)
    future = futures.Future()
    self.left -= 1
    if self.left < 0:
      future.set_exception(ChildProcessError('A worker died.'))
    else:
      future.set_result(function(*arguments))
    result = future.result

    def taken(*options):
      self.ahead -= 1
      return result(*options)

    future.result = taken
    return future


def contents(folder):
  return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize('stop', range(5))
def test_a_plan_goes_on_where_it_was_stopped(tmp_path, balanced, stop):
  table, solution = balanced
  write(tmp_path, np.array_split(table, 5))
  parts = parts_lib.survey(tmp_path, parts_lib.Reading())
  out, other = tmp_path / 'plan', tmp_path / 'other'
  plan_parts.write(parts, solution.counts, other, seed=1)
  with pytest.raises(ChildProcessError):
    plan_parts.write(
      parts, solution.counts, out, seed=1, executor=Stopping(stop)
    )
  kept = {p.name: p.stat().st_ino for p in out.iterdir()}
  assert len(kept) == stop and 'plan.json' not in kept
  (out / '.part-000.parquet.abc.tmp').write_bytes(b'half')
  paths = plan_parts.write(parts, solution.counts, out, seed=1)
  assert contents(out) == contents(other)
  assert {name: (out / name).stat().st_ino for name in kept} == kept
  # Of another seed, damaged, or of a part that is gone: none is left.
  damaged = bytearray(paths[stop].read_bytes())
  damaged[len(damaged) // 3] ^= 16
  paths[stop].write_bytes(damaged)
  (out / 'part-009.parquet').write_bytes(paths[stop - 1].read_bytes())
  (out / 'mine.parquet').write_bytes(b'of somebody')
  plan_parts.write(parts, solution.counts, out, seed=1)
  assert (out / 'mine.parquet').exists()
  (out / 'mine.parquet').unlink()
  assert contents(out) == contents(other)
  plan_parts.write(parts, solution.counts, out, seed=2)
  now = contents(out)
  pool = Stopping(stop)
  with pytest.raises(ChildProcessError):
    plan_parts.write(parts, solution.counts, out, seed=3, executor=pool)
  assert not (out / 'plan.json').exists()
  assert all(now[name] != held for name, held in contents(other).items())


def test_few_parts_wait_at_a_time(tmp_path, monkeypatch):
  monkeypatch.setattr(parts_lib, '_AHEAD', 3)
  pool = Stopping(100)
  for number, found in enumerate(
    parts_lib.in_order(pool, pow, ((k, 2) for k in range(20)))
  ):
    assert found == number**2
  assert pool.most == 3


def test_two_processes_make_what_one_does(tmp_path, balanced):
  table, solution = balanced
  write(tmp_path, np.array_split(table, 4))
  parts = parts_lib.survey(tmp_path, parts_lib.Reading())
  plan_parts.write(parts, solution.counts, tmp_path / 'here', seed=5)
  spawn = multiprocessing.get_context('spawn')
  with futures.ProcessPoolExecutor(2, spawn) as pool:
    found = parts_lib.survey(tmp_path, parts_lib.Reading(), pool)
    same(found.labelsets, parts.labelsets, index=False)
    plan_parts.write(
      found, solution.counts, tmp_path / 'there', seed=5, executor=pool
    )
  assert contents(tmp_path / 'here') == contents(tmp_path / 'there')


def broken(kind, path, part):
  """Spoils a part; returns what the message says beside its name."""
  names = [*map(str, range(part.shape[1]))]
  columns = {name: part[:, k] for k, name in enumerate(names)}
  if kind == 'other columns':
    columns['x'] = columns.pop(names[-1])
  elif kind == 'other types':
    columns['1'] = columns['1'].astype(np.int32)
  elif kind == 'no row':
    columns = {name: held[:0] for name, held in columns.items()}
  elif kind == 'no label':
    columns['1'] = np.where(np.arange(len(part)) == 2, 7, columns['1'])
    columns['1'] = columns['1'].astype(part.dtype)
  elif kind == 'missing':
    cells = [None if k == 2 else v for k, v in enumerate(columns['1'].tolist())]
    columns['1'] = pa.array(cells, pa.uint8())
  elif kind == 'twice':
    table = pa.table([*columns.values()], names=['1', *names[1:]])
    pq.write_table(table, path)
    return "both called '1'"
  pq.write_table(pa.table(columns), path)
  content = path.read_bytes()
  if kind == 'cut off':
    path.write_bytes(content[: len(content) // 2])
  elif kind == 'no Parquet':
    path.write_bytes(b'path,a,b\n1,0,1\n')
  return {
    'other columns': f"no column '{names[-1]}'",
    'other types': "column '1' is int32, and uint8 in the first",
    'no row': '0 rows',
    'no label': "'7' in row 2 is no label",
    'missing': "'' in row 2 is no label",
  }.get(kind, 'not readable as Parquet')


@pytest.mark.parametrize(
  'kind',
  [
    *('other columns', 'other types', 'no row', 'no label', 'missing'),
    *('twice', 'cut off', 'no Parquet'),
  ],
)
@pytest.mark.parametrize('place', [1, 2, 4])
def test_what_is_wrong_with_a_part_is_one_message(tmp_path, kind, place):
  parts = np.array_split(make_table(place, 50, 4), 5)
  paths = write(tmp_path, parts)
  told = broken(kind, paths[place], parts[place])
  for executor in (None, THREADS):
    with pytest.raises(aubal.UserError) as caught:
      aubal.find_labelsets(tmp_path, executor=executor)
    assert told in str(caught.value) and str(paths[place]) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_part_that_changes_meanwhile_is_told_of(tmp_path):
  parts = np.array_split(make_table(1, 50, 4), 3)
  paths = write(tmp_path, parts)
  found = parts_lib.survey(tmp_path, parts_lib.Reading())
  write(tmp_path, [*parts[:2], parts[2][::-1]])
  with pytest.raises(aubal.UserError, match='has changed since') as caught:
    plan_parts.write(found, found.labelsets.counts, tmp_path / 'p', seed=0)
  assert str(paths[2]) in str(caught.value)
  assert not (tmp_path / 'p' / 'plan.json').exists()


@pytest.mark.parametrize('seed', range(6))
def test_codes_say_what_is_unknown(tmp_path, seed):
  rng = np.random.default_rng(seed)
  cells = rng.choice([0, 1, 9], (60, 4), p=[0.6, 0.3, 0.1]).astype(np.int8)
  labels, known = (cells == 1).astype(np.uint8), cells != 9
  write(tmp_path, divide(seed, cells), ('int8', 'str', 'float64')[seed % 3])
  code = {'0': 0, '1': 1, '9': 2, '0.0': 0, '1.0': 1, '9.0': 2}.get
  whole = known.all(axis=1)
  for unknown, table in (
    ('absent', (labels,)),
    ('separate', (labels, known)),
    ('drop', (labels[whole],)),
  ):
    reading = parts_lib.Reading(meaning=code, unknown=unknown)
    found = parts_lib.survey(tmp_path, reading)
    wanted = labelsets_lib.find_labelsets(*table)
    same(found.labelsets, wanted, index=False)
    out = tmp_path / unknown
    paths = plan_parts.write(found, 2 * wanted.counts, out, seed=0)
    starts = np.cumsum(
      [0, *(pq.read_metadata(p).num_rows for p in parts_lib.find(tmp_path))]
    )
    rows = np.concatenate(
      [
        plan_parts.read(p).source + s
        for p, s in zip(paths, starts[:-1], strict=True)
      ]
    )
    stays = whole if unknown == 'drop' else np.ones(60, bool)
    np.testing.assert_array_equal(np.bincount(rows, minlength=60), 2 * stays)


@pytest.mark.parametrize('folder', ['nothing', 'a file', 'empty'])
def test_what_is_no_folder_of_parts_is_told(tmp_path, folder):
  path = tmp_path / 'x'
  if folder == 'empty':
    path.mkdir()
    (path / '_hidden.parquet').write_bytes(b'')
  elif folder == 'a file':
    write(tmp_path, [np.eye(3)])
    os.rename(tmp_path / 'part-000.parquet', path)
  with pytest.raises(aubal.UserError, match=str(path)):
    aubal.balance_parts(path)
  if folder != 'empty':
    with pytest.raises(aubal.UserError, match='not the path'):
      aubal.find_labelsets(path)


def test_arguments_of_files_are_refused_of_tables(tmp_path):
  with pytest.raises(aubal.UserError, match='for Parquet files'):
    aubal.find_labelsets([[1, 0]], label_columns=['a', 'b'])
  write(tmp_path, [np.eye(3)])
  with pytest.raises(aubal.UserError, match='known is for tables'):
    aubal.find_labelsets(tmp_path, np.eye(3))
  with pytest.raises(aubal.UserError, match="no column '4'"):
    aubal.find_labelsets(tmp_path, label_columns=['4'])
  for columns in ('01', ['0', '0'], [0], None):
    with pytest.raises(aubal.UserError, match='label_columns must be'):
      aubal.find_labelsets(tmp_path, label_columns=columns)
  with pytest.raises(aubal.UserError, match='seed must be'):
    aubal.balance_parts(tmp_path, seed=np.random.default_rng(0))
