import errno
import os
import random
import stat

import pytest

from aubal_jax.runs import files


def test_json_round_trip(tmp_path):
  path = tmp_path / 'deep' / 'x.json'
  files.write_json(path, {'a': [1, None, 'ü']})
  assert files.read_json(path) == {'a': [1, None, 'ü']}
  umask = os.umask(0)
  os.umask(umask)
  assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
  path = tmp_path / 'x.json'
  files.write_json(path, 1)
  with pytest.raises(ValueError, match='Out of range'):
    files.write_json(path, float('nan'))
  with pytest.raises(RuntimeError), files.write_atomically(path) as file:
    file.write('half')
    raise RuntimeError
  assert files.read_json(path) == 1
  assert [p.name for p in tmp_path.iterdir()] == ['x.json']


def test_a_damaged_file_is_named(tmp_path):
  path = tmp_path / 'x.json'
  path.write_text('{"a": ')
  with pytest.raises(ValueError, match=r'x\.json is damaged'):
    files.read_json(path)


@pytest.mark.parametrize('refuses', [False, True])
def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch, refuses):
  """What is not is lost with the power: the name, though not the bytes."""
  done = []
  sync, replace = os.fsync, os.replace

  def note_sync(handle):
    is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
    done.append('folder' if is_folder else 'file')
    if is_folder and refuses:
      raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    sync(handle)

  def note_replace(*names):
    done.append('rename')
    replace(*names)

  monkeypatch.setattr(os, 'fsync', note_sync)
  monkeypatch.setattr(os, 'replace', note_replace)
  rng = random.Random(0)
  for _ in range(5):
    path = tmp_path / f'{rng.randrange(3)}' / f'{rng.randrange(3)}.json'
    done.clear()
    content = rng.random()
    files.write_json(path, content)
    assert done == ['file', 'rename', 'folder']
    assert files.read_json(path) == content


def test_bytes_that_are_no_text_are_a_damaged_file(tmp_path):
  path, rng = tmp_path / 'x.json', random.Random(0)
  for _ in range(50):
    files.write_json(path, {'a': [1, 2.5, 'ü']})
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] |= 0x80
    path.write_bytes(content)
    try:
      files.read_json(path)  # 'ü' may become another letter.
    except ValueError as error:
      assert 'x.json is damaged' in str(error)


def test_what_the_dead_left_goes_and_what_is_being_written_stays(tmp_path):
  rng = random.Random(0)
  for _ in range(10):
    for k in range(rng.randrange(4)):
      (tmp_path / f'.x.json.{k}.tmp').write_text('half')
    with files.write_atomically(tmp_path / 'x.json') as file:
      file.write('1')
      files.remove_left(tmp_path)
      assert len([*tmp_path.glob('.*.tmp')]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ['x.json']
