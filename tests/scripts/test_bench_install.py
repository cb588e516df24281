"""Sizes of installations: bytes of files, each once."""

import pathlib
import random
import runpy

ROOT = pathlib.Path(__file__).parents[2]


def test_a_size_is_that_of_all_files_and_of_no_link(tmp_path):
  size = runpy.run_path(str(ROOT / 'scripts/bench_install.py'))['size']
  rng = random.Random(0)
  folders, files, total = [tmp_path], [], 0
  for n in range(60):
    path = rng.choice(folders) / f'{n}'
    kind = rng.choice(['file', 'file', 'folder', 'link', 'loop'])
    if kind == 'folder':
      path.mkdir()
      folders.append(path)
    elif kind == 'file':
      path.write_bytes(bytes(rng.randrange(1000)))
      files.append(path)
      total += path.stat().st_size
    elif kind == 'loop' or files:
      path.symlink_to(tmp_path if kind == 'loop' else rng.choice(files))
    assert size(tmp_path) == total
