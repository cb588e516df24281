import os
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
