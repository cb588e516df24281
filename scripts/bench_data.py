"""Reads made-up data sets of full size, and prints how fast and in how much.

  python scripts/bench_data.py --json=data.json
  python scripts/bench_data.py --scale=0.02

Four jobs, each in a fresh process. `scan`: annotations of 400,000 frames in 60
files, with the frames there (empty files), as Aff-Wild2 has them. `manifest`:
1M rows x 14 labels as CSV, read, checked but for paths, and grouped; `pandas`
only reads it, where it is installed. `build`: a cache of 20,000 JPEG crops, by
one process and by one for each CPU. `batches`: 64 shuffled rows at a time from
that cache, mapped, on one core; its floor is a gather of the same rows from an
array in memory. `memory` is the most the process held, its imports counted in.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from aubal_jax.media import images
from aubal_jax.media import store
from aubal_jax.runs import workers

HEADER = 'AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25'
BATCH = 64


def peak_bytes():
  """Returns the most memory this process had so far, or None."""
  status = pathlib.Path('/proc/self/status')
  for line in status.read_text().splitlines() if status.exists() else ():
    if line.startswith('VmHWM:'):
      return 1024 * int(line.split()[1])
  return None


def seconds_of(function):
  """Returns what a function gives, and its seconds."""
  start = time.perf_counter()
  result = function()
  return result, time.perf_counter() - start


def scan(folder, scale):
  """Times the reader of Aff-Wild2 on a tree that is made first."""
  from aubal_jax.datasets import readers

  rng = np.random.default_rng(0)
  num_frames = int(400_000 * scale) // 60
  for number in range(60):
    part = 'Training_Set' if number % 4 else 'Validation_Set'
    table = folder / 'annotations' / 'AU_Set' / part / f'{number}-video.txt'
    table.parent.mkdir(parents=True, exist_ok=True)
    rows = rng.integers(0, 2, (num_frames, 8))
    lines = [','.join(map(str, row)) for row in rows.tolist()]
    table.write_text('\n'.join([HEADER, *lines]) + '\n')
    crops = folder / 'cropped_aligned' / table.stem
    crops.mkdir(parents=True)
    for frame in range(num_frames):
      (crops / f'{frame + 1:05d}.jpg').touch()
  found, seconds = seconds_of(
    lambda: readers.read('aff_wild2', str(folder), release='2020')
  )
  return {'rows': len(found), 'seconds': seconds, 'allowed': 10 * scale}


def manifest(folder, scale):
  """Times reading, checking and grouping a large table."""
  from aubal_jax.datasets import labels
  from aubal_jax.tables import labelsets

  rng = np.random.default_rng(0)
  num_rows = int(1_000_000 * scale)
  cells = (rng.random((num_rows, 14)) < 0.1).astype('u1').astype('U1')
  path = folder / 'table.csv'
  with open(path, 'w') as file:
    file.write(','.join(['path', 'subject', *(f'label{k}' for k in range(14))]))
    for number, row in enumerate(cells.tolist()):
      file.write(f'\nimages/{number:07d}.jpg,S{number // 100},{",".join(row)}')
  del cells
  before = peak_bytes()

  def read():
    data = labels.load(path)
    return labelsets.find_labelsets(data.labels)

  _, seconds = seconds_of(read)
  row = {'rows': num_rows, 'seconds': seconds, 'allowed': 5 * scale}
  row['memory'], row['before'] = peak_bytes(), before
  if importlib.util.find_spec('pandas'):
    import pandas

    row['pandas'] = seconds_of(lambda: pandas.read_csv(path))[1]
  return row


class Crops:
  """As much of a `Dataset` as a cache needs: files."""

  load_images = corners = None

  def __init__(self, files):
    self.files = files

  def __len__(self):
    return len(self.files)


def make_crops(folder, count):
  """Returns JPEG files of smooth 112 x 112 grey pictures."""
  import cv2

  rng = np.random.default_rng(0)
  folder.mkdir()
  files = []
  for number in range(count):
    small = rng.integers(0, 256, (9, 9), np.uint8)
    files.append(str(folder / f'{number}.jpg'))
    cv2.imwrite(files[-1], cv2.resize(small, (112, 112)))
  return np.array(files)


def cache(folder, scale):
  """Times building a cache, and batches read from it."""
  count = int(20_000 * scale)
  crops = Crops(make_crops(folder / 'crops', count))
  rows, pixels = np.arange(count), images.Pixels()
  built = {}
  for processes in (1, workers.default_count(0)):
    (read, failures), built[processes] = seconds_of(
      lambda processes=processes: store.open_images(
        crops,
        rows,
        pixels,
        cache_dir=str(folder / f'cache{processes}'),
        num_processes=processes,
      )
    )
    assert not failures
  held = read(rows)
  order = np.random.default_rng(1).permutation(count)[: count // BATCH * BATCH]
  batches = order.reshape(-1, BATCH)

  def run(take):
    for batch in batches:
      take(batch)

  run(read)  # The files are in the system's cache from here on.
  mapped = min(seconds_of(lambda: run(read))[1] for _ in range(3))
  floor = min(seconds_of(lambda: run(held.__getitem__))[1] for _ in range(3))
  return {
    'rows': count,
    'build': {n: count / seconds for n, seconds in built.items()},
    'batches': order.size / mapped,
    'floor': order.size / floor,
    'allowed': 10_000,
  }


JOBS = {'scan': scan, 'manifest': manifest, 'cache': cache}


def run_apart(name, scale):
  """Runs one job in a fresh process; returns its row."""
  command = [sys.executable, __file__, f'--scale={scale}', f'--job={name}']
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise SystemExit(f'{name} failed:\n{done.stderr}')
  return json.loads(done.stdout)


def tell(name, row):
  """Prints the row of a job."""
  if name == 'cache':
    one, *others = row['build'].items()
    print(f'build: {one[1]:,.0f} images/s by one process')
    for processes, rate in others:
      print(
        f'build: {rate:,.0f} images/s by {processes} processes, '
        f'{rate / one[1]:.2f} times'
      )
    print(
      f'batches: {row["batches"]:,.0f} images/s from mapped files (asked: '
      f'{row["allowed"]:,}), {row["batches"] / row["floor"]:.2f} of a gather '
      'from memory'
    )
    return
  text = (
    f'{name}: {row["rows"]:,} rows in {row["seconds"]:.2f} s (asked: '
    f'{row["allowed"]:.2g} s)'
  )
  if row.get('memory'):
    text += (
      f', at most {row["memory"] / 1e6:,.0f} MB (before: '
      f'{row["before"] / 1e6:,.0f})'
    )
  if 'pandas' in row:
    text += f'; pandas alone reads it in {row["pandas"]:.2f} s'
  print(text, flush=True)


def main():
  """Runs all jobs, or in a process of its own one of them."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--scale', type=float, default=1.0, help='Of all sizes.')
  parser.add_argument('--json', help='Where the rows are written.')
  parser.add_argument('--job', choices=JOBS, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.job:
    with tempfile.TemporaryDirectory() as folder:
      row = JOBS[args.job](pathlib.Path(folder), args.scale)
    print(json.dumps(row))
    return
  rows = {}
  for name in JOBS:
    rows[name] = run_apart(name, args.scale)
    tell(name, rows[name])
  if args.json:
    rows['cpus'] = os.cpu_count()
    pathlib.Path(args.json).write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
