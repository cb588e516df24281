"""Files with faults, and checkpoints such as the last release has written."""

import json
import pathlib
import random


def flip_bit(path: pathlib.Path, place: int) -> bytes:
  """Flips one bit of a file, counted from its first; returns what it held."""
  held = path.read_bytes()
  content = bytearray(held)
  content[place // 8] ^= 1 << place % 8
  path.write_bytes(content)
  return held


def draw_bit(path: pathlib.Path, rng: random.Random) -> int:
  """Returns the place of a bit of the file."""
  return rng.randrange(8 * path.stat().st_size)


def without_sums(checkpoints: pathlib.Path) -> None:
  """Makes a folder of checkpoints one of the last release, without sums."""
  for path in checkpoints.glob('*/_CHECKPOINT_METADATA'):
    content = json.loads(path.read_text()) | {'custom_metadata': {}}
    path.write_text(json.dumps(content))
