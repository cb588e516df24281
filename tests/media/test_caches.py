"""Names of made files: the same for the same, another for anything else."""

import itertools
import os
import random

import pytest

from aubal_jax.media import caches


def test_keys_tell_settings_and_lists_of_files_apart():
  names = ['a', 'b', 'ab', '', 'é', 'a\udcff']
  lists = [c for n in range(3) for c in itertools.product(names, repeat=n)]
  all_settings = ['', 'x', os.path.abspath('a'), '{"a": 1}']
  keys = {}
  for settings, paths in itertools.product(all_settings, lists):
    found = caches.key(settings, paths)
    assert len(found) == 16 and int(found, 16) >= 0
    assert keys.setdefault(found, (settings, paths)) == (settings, paths)
    assert caches.key(settings, [*paths]) == found
  assert len(keys) == 4 * len(lists)


def test_a_path_is_where_it_leads(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name in ('a', 'd/b', './a', 'd/../a'):
    assert caches.key('', [name]) == caches.key('', [str(tmp_path / name)])
  assert caches.key('', ['./a']) == caches.key('', ['d/../a'])


def test_a_state_changes_with_size_time_and_presence(tmp_path):
  rng = random.Random(0)
  paths = [str(tmp_path / name) for name in 'abc']
  for path in paths[:2]:
    with open(path, 'wb') as file:
      file.write(b'x')
    os.utime(path, ns=(0, 10**18))
  seen = {}
  for _ in range(60):
    path = rng.choice(paths)
    act = rng.choice(['remove', 'write', 'time', 'mode'])
    if act == 'remove' and os.path.exists(path):
      os.remove(path)
    elif act == 'write' or not os.path.exists(path):
      with open(path, 'wb') as file:
        file.write(b'x' * rng.randint(0, 3))
      os.utime(path, ns=(0, 10**18))
    elif act == 'time':
      os.utime(path, ns=(rng.randint(0, 9), 10**18 + rng.randint(0, 2)))
    else:  # Whether it may be written to says nothing of what it holds.
      os.chmod(path, rng.choice([0o644, 0o444]))
    held = tuple(
      (s.st_size, s.st_mtime_ns)
      if os.path.exists(p) and (s := os.stat(p))
      else None
      for p in paths
    )
    found = caches.state(paths)
    assert len(found) == 8
    assert seen.setdefault(held, found) == found
  assert len(set(seen.values())) == len(seen) > 10


def test_names_that_no_file_can_have_are_missing_ones(tmp_path):
  gone = caches.state([str(tmp_path / 'gone')])
  assert caches.state(['a\0b']) == gone
  assert caches.state(['x' * 5000]) == gone


def test_a_write_is_whole_or_not_at_all(tmp_path):
  path = tmp_path / 'made'
  rng = random.Random(1)
  content = b'old'
  path.write_bytes(content)
  for _ in range(20):
    new, fails = rng.randbytes(rng.randint(0, 99)), rng.random() < 0.5

    def save(file, new=new, fails=fails):
      file.write(new)
      if fails:
        raise OSError(28, 'No space left on device')

    if fails:
      with pytest.raises(OSError, match=r'data\.cache_dir') as told:
        caches.write(path, save)
      assert str(told.value).startswith(
        f'{path} cannot be written (No space left on device)'
      )
    else:
      caches.write(path, save)
      content = new
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ['made']
