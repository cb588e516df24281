"""Counts what is held: forms of tables, damaged files, kills, full disks.

  python scripts/bench_faults.py --json=faults.json
  python scripts/bench_faults.py --jobs forms damage --count=500
  python scripts/bench_faults.py --jobs forms --forms=DIR

A form is held where its labels are read right. Damage is held where one message
tells of it, or where nothing else is read; in tables, which bear no sums of
their own, where there is no traceback. A kill, or a disk that is full, is
held where the same command afterwards ends in the same report. Everything is
drawn from --seed. DIR: a folder of small tables in the forms people have, whose
right answers stand below.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import types

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import labels
from aubal_jax.datasets import manifest
from aubal_jax.network import bundle
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib

JOBS = ('forms', 'damage', 'kills', 'disks')
NAMES = ('round', 'red', 'blue')

# Limits the bytes of a file, and becomes another program.
_LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""

# What each form has for present, absent and unknown, and the settings.
CODES = types.MappingProxyType(
  {
    '1, 0, blank': (('1', '0', ''), {}),
    '1, blank for absent': (
      ('1', '', '?'),
      {
        'absent_codes': ('0', ''),
        'unknown_codes': ('?',),
      },
    ),
    '1, -1, 0 for unknown': (
      ('1', '-1', '0'),
      {
        'absent_codes': ('-1',),
        'unknown_codes': ('0',),
      },
    ),
    'yes, no': (
      ('yes', 'no', ''),
      {
        'present_codes': ('yes',),
        'absent_codes': ('no',),
      },
    ),
    'scores': (('.73', '0.2', ''), {'threshold': 0.5}),
  }
)
# How the names of a row's labels are written in one column.
LISTS = types.MappingProxyType(
  {
    'a|b': ('|'.join, {'separator': '|'}),
    'a b': (' '.join, {'separator': ' '}),
    'JSON': (lambda names: json.dumps([*names]), {}),
    'Python': (lambda names: repr([*names]), {}),
  }
)

# Of --forms: file, settings, and ones, zeros, unknown of each label by name;
# None: refused with a message that has the word.
FORMS = (
  ('d1_blank_is_absent.csv', {'absent_codes': ('0', '')},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d2_minus_zero_one.csv',
   {'absent_codes': ('-1',), 'unknown_codes': ('0',)},
   {'cat': (8, 3, 1), 'dog': (4, 7, 1)}),
  ('d3_filtered.arff', {}, 'nothing says'),
  ('d4_escaped.arff', {}, {"Anna's smile": (2, 1, 0), 'frown': (2, 1, 0)}),
  ('d5_pipes.csv',
   {'label_column': 'findings', 'separator': '|', 'none_names': ('nothing',)},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d5_spaces.csv', {'label_column': 'tags', 'separator': ' '},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d5_indices.csv',
   {'path_column': 'Id', 'label_column': 'Target', 'separator': ' '},
   {'0': (8, 4, 0), '1': (4, 8, 0)}),
  ('d5_long.csv',
   {'label_column': 'label', 'separator': 'none', 'least_votes': 1},
   {'round': (8, 2, 0), 'red': (4, 6, 0)}),
  ('d6_no_suffix.csv', {'image_dir': 'img'},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d7_fold.csv', {'exclude_columns': ('fold',)},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d8_lists.parquet', {'label_column': 'labels'},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d9-train-sparse.arff', {}, {'L1': (1, 2, 0), 'L2': (1, 2, 0)}),
  ('d10_nospace.arff', {}, {'L1': (1, 1, 0), 'L2': (1, 1, 0)}),
  ('d11_train.csv', {'others': {'test': 'd11_test.csv'}},
   {'round': (8, 4, 0), 'red': (4, 8, 0)}),
  ('d12_no_header.csv', {}, 'no header'),
  ('d12_blanks.csv', {}, 'separated by blanks'),
)  # fmt: skip


def draw_table(rng) -> np.ndarray:
  """Returns int[N, 3], 1, 0 or -1 for unknown, each of them in every column."""
  table = rng.integers(-1, 2, (int(rng.integers(6, 30)), len(NAMES)))
  table[:3] = np.array([[1, 0, -1]] * 3).T
  return table


def try_forms(folder, rng, count):
  """Yields (form, whether it was read right), of drawn tables."""
  for number in range(count):
    table = draw_table(rng)
    name = [*CODES, *LISTS][number % (len(CODES) + len(LISTS))]
    if name in CODES:
      cells, options = CODES[name]
      rows = [','.join(cells[(1 - v) % 3] for v in row) for row in table]
      lines = [','.join(NAMES), *rows]
    else:
      write, options = LISTS[name]
      table = np.maximum(table, 0)
      rows = [[n for n, v in zip(NAMES, r, strict=True) if v] for r in table]
      cells = [write(row).replace('"', '""') for row in rows]
      lines = ['path,tags', *(f'{k},"{cell}"' for k, cell in enumerate(cells))]
      options = {'label_column': 'tags', 'label_columns': NAMES, **options}
    packed = number % 2 == 1
    path = folder / ('t.csv.gz' if packed else 't.csv')
    content = ('\n'.join(lines) + '\n').encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    data = labels.load(path, **options)
    right = (data.labels == (table == 1)).all()
    yield name, bool(right and (data.known == (table >= 0)).all())


def try_given_forms(folder):
  """Yields (file, whether the answer is the right one), of --forms."""
  for name, options, wanted in FORMS:
    options = dict(options)
    if 'others' in options:
      others = {k: folder / v for k, v in options['others'].items()}
      options['others'] = others
    if 'image_dir' in options:
      options['image_dir'] = str(folder / options['image_dir'])
    try:
      if 'image_dir' in options:
        found = manifest.read(folder / name, **options)
      else:
        found = labels.load(folder / name, **options)
    except errors.UserError as error:
      yield name, isinstance(wanted, str) and wanted in str(error)
      continue
    ones, known = found.labels.sum(0), found.known.sum(0)
    got = {
      label: (int(a), int(b - a), int(len(found.labels) - b))
      for label, a, b in zip(found.label_names, ones, known, strict=True)
    }
    yield name, got == wanted


def damaged(content, rng) -> bytes:
  """Returns the content with a bit flipped, cut short, or bytes drawn anew."""
  content = bytearray(content)
  place = int(rng.integers(len(content)))
  kind = int(rng.integers(4))
  if kind == 3:
    return bytes(content[:place])
  if kind == 2:
    size = int(rng.integers(1, 9))
    content[place : place + size] = rng.bytes(size)
  else:
    content[place] ^= 1 << int(rng.integers(8))
  return bytes(content)


def try_damage(path, rng, count, read, *, has_sums=True):
  """Yields whether damage to a file is told, or changes nothing that is read.

  Args:
    path: the file, which is as it was in the end.
    rng: draws the damage.
    count: how often.
    read: returns what is read of it, to be compared; raises UserError.
    has_sums: whether damage can be told from another content.
  """
  content = path.read_bytes()
  whole = read()
  for _ in range(count):
    path.write_bytes(damaged(content, rng))
    said = io.StringIO()
    try:
      with contextlib.redirect_stderr(said):
        held = read() == whole or not has_sums or 'amage' in said.getvalue()
    except (errors.UserError, FileNotFoundError):
      held = True
    except Exception as error:
      print(f'{path.name}: {type(error).__name__}: {error}', file=sys.stderr)
      held = False
    yield held
  path.write_bytes(content)


def make_config(num_steps: int = 24):
  """Returns a run that takes seconds."""
  c = settings.default()
  c.data.num_train, c.data.num_validation, c.data.num_test = 60, 16, 24
  c.data.image_size = 32
  c.balance.optimizer = 'newton'
  c.balance.lam_images = 100
  c.model.name = 'resnet8_16'
  c.train.batch_size = 8
  c.train.num_steps = num_steps
  c.train.eval_every_steps = 8
  c.train.checkpoint_every_steps = 3
  return c


def command(path, num_steps: int = 24) -> list[str]:
  """Returns the command line of that run, in a folder."""
  flat = settings.flatten(make_config(num_steps).to_dict())
  usual = settings.flatten(settings.default().to_dict())
  changed = {k: v for k, v in flat.items() if v != usual[k]}
  flags = [f'--config.{name}={value}' for name, value in changed.items()]
  root = pathlib.Path(__file__).parents[1]
  return [
    *(sys.executable, '-m', 'aubal_jax.main', f'--workdir={path}'),
    *(f'--config={root / "configs/quickstart.py"}', *flags),
  ]


def run(path, timeout=None, limit=None):
  """Runs the command; returns its status and what it said on stderr.

  Args:
    path: its folder.
    timeout: seconds after which it is killed; None: never.
    limit: bytes that a file may have; None: any.
  """
  words = command(path)
  if limit:
    words = [sys.executable, '-c', _LIMITED, str(limit), *words]
  process = subprocess.Popen(
    words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
  )
  try:
    _, said = process.communicate(timeout=timeout)
  except subprocess.TimeoutExpired:
    process.kill()
    _, said = process.communicate()
  return process.returncode, said


def results(path) -> tuple:
  """Returns the bytes that a run ends in."""
  names = ('plan.npz', 'report.json')
  return tuple((path / name).read_bytes() for name in names)


def try_kills(folder, count, seed):
  """Yields whether a run that was killed ends as one that was not."""
  whole = folder / 'whole'
  start = time.perf_counter()
  status, said = run(whole)
  seconds = time.perf_counter() - start
  if status:
    raise SystemExit(said)
  for number in range(count):
    path = folder / f'kill-{number}'
    drawn = random.Random(seed + number)
    for _ in range(2):
      run(path, timeout=seconds * drawn.uniform(0.1, 1))
    status, said = run(path)
    yield not status and results(path) == results(whole)
    shutil.rmtree(path)


def try_disks(folder, count, seed):
  """Yields whether a full disk is told, and costs nothing when it has room."""
  whole = folder / 'whole'
  if not whole.exists():
    run(whole)
  for number in range(count):
    path = folder / f'disk-{number}'
    limit = int(2 ** random.Random(seed + number).uniform(6, 19))
    status, said = run(path, limit=limit)
    told = 'Traceback' not in said and (status == 0) == (not said.strip())
    again, said_again = run(path)
    held = told and again == 0 and results(path) == results(whole)
    if not held:
      print(
        f'disk of {limit} bytes a file: {said}{said_again}', file=sys.stderr
      )
    yield held
    shutil.rmtree(path)


def damage_of_tables(folder, rng, count):
  """Yields (kind of file, whether damage to it is held)."""
  table = np.maximum(draw_table(rng), 0).astype(np.uint8)
  np.savez(folder / 't.npz', labels=table, label_names=NAMES)
  np.save(folder / 't.npy', table)
  lines = [','.join(map(str, row)) for row in [NAMES, *table.tolist()]]
  (folder / 't.csv').write_text('\n'.join(lines) + '\n')
  (folder / 't.csv.gz').write_bytes(
    gzip.compress((folder / 't.csv').read_bytes(), mtime=0)
  )
  plan_lib.spread([0, 0, 1], [4, 2], label_names=NAMES).save(folder / 'p.npz')

  def read_table(path):
    found = labels.load(path)
    names = found.label_names, found.ids.tolist()
    return found.labels.tolist(), found.known.tolist(), names

  def read_plan():
    found = plan_lib.load(folder / 'p.npz')
    return found.source.tolist(), found.augment.tolist(), found.label_names

  for name in ('t.npz', 't.npy', 't.csv.gz'):
    path = folder / name
    for held in try_damage(
      path, rng, count, lambda p=path: read_table(p), has_sums=False
    ):
      yield f'table {path.suffix}', held
  for held in try_damage(folder / 'p.npz', rng, count, read_plan):
    yield 'plan.npz', held


def damage_of_checkpoints(folder, rng, count):
  """Yields (kind of file, whether damage to it is held)."""
  import jax

  whole = folder / 'whole'
  if not whole.exists():
    run(whole)

  def read():
    found = bundle.load(whole / 'checkpoints')
    leaves = jax.tree.leaves((found.params, found.batch_stats))
    return [np.asarray(leaf).tobytes() for leaf in leaves]

  paths = [p for p in sorted((whole / 'checkpoints').rglob('*')) if p.is_file()]
  paths = [p for p in paths if p.stat().st_size]
  for number in range(count):
    path = paths[number % len(paths)]
    for held in try_damage(path, rng, 1, read):
      yield 'checkpoint', held


def tally(found) -> dict:
  """Returns kind -> {'tried', 'held'} of (kind, held)."""
  total = {}
  for kind, held in found:
    entry = total.setdefault(kind, {'tried': 0, 'held': 0})
    entry['tried'] += 1
    entry['held'] += held
  return total


def make_jobs(args, folder, rng):
  """Yields (name of a job, its outcomes)."""
  if 'forms' in args.jobs:
    yield 'forms', try_forms(folder, rng, args.count)
    if args.forms:
      yield 'given forms', try_given_forms(pathlib.Path(args.forms))
    else:
      print('No --forms: the tables of others are left out.', file=sys.stderr)
  if 'damage' in args.jobs:
    yield 'damage', damage_of_tables(folder, rng, args.count)
    checkpoints = damage_of_checkpoints(folder, rng, args.count // 4)
    yield 'damage to checkpoints', checkpoints
  if 'kills' in args.jobs:
    kills = try_kills(folder, args.runs, args.seed)
    yield 'kills', (('a run, twice', held) for held in kills)
  if 'disks' in args.jobs:
    disks = try_disks(folder, args.runs, args.seed)
    yield 'full disks', (('a run', held) for held in disks)


def main():
  """Prints how many of each were tried, and how many held."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--jobs', nargs='+', choices=JOBS, default=JOBS)
  parser.add_argument('--count', type=int, default=1000, help='of each kind')
  parser.add_argument('--runs', type=int, default=5, help='kills, full disks')
  parser.add_argument('--forms', help='folder of tables')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--json')
  args = parser.parse_args()
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    rng = np.random.default_rng(args.seed)
    for job, outcomes in make_jobs(args, pathlib.Path(folder), rng):
      found[job] = tally(outcomes)
      for kind, entry in found[job].items():
        tried, held = entry['tried'], entry['held']
        print(f'{job:22} {kind:24} {tried:6,} tried {held:6,} held', flush=True)
  if args.json:
    with open(args.json, 'w', encoding='utf-8') as file:
      json.dump({'cpus': os.cpu_count(), 'found': found}, file, indent=1)


if __name__ == '__main__':
  main()
