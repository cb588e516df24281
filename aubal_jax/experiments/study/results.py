"""The results of a study: a file of lines, one for each cell, as they come."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pathlib

from aubal_jax.runs import errors


def read(path: os.PathLike | str) -> dict[str, dict]:
  """Returns name of cell -> its line; {} where there is no file.

  A last line that was cut short, by a process that was killed, is passed over.

  Raises:
    UserError: a line is none of a study.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return {}
  content = path.read_text(encoding='utf-8')
  whole = content[: content.rfind('\n') + 1]
  found = {}
  for number, text in enumerate(whole.splitlines(), 1):
    try:
      line = json.loads(text)
      found[line['cell']] = line
    except (ValueError, KeyError, TypeError) as error:
      raise errors.UserError(
        f'{path}, line {number}: this is no result of a study ({error}); '
        'delete the line, and its cell is run again.'
      ) from error
  return found


def largest_difference(line: dict, other: dict) -> float:
  """Returns how far two lines of a cell are apart in any score.

  What one of them lacks, or has of other splits, is infinitely far.
  """
  mine, its = _numbers(line['scores']), _numbers(other['scores'])
  if mine.keys() != its.keys():
    return math.inf
  return max(abs(mine[key] - its[key]) for key in mine)


def _numbers(scores, place=()) -> dict[tuple, float]:
  """Returns place -> number of nested scores; None is -1."""
  if isinstance(scores, dict | list):
    items = scores.items() if isinstance(scores, dict) else enumerate(scores)
    parts = [_numbers(value, (*place, key)) for key, value in items]
    return {key: value for part in parts for key, value in part.items()}
  return {place: -1.0 if scores is None else scores}


def append(path: os.PathLike | str, line: dict) -> None:
  """Adds a line; what a process that was killed left of one goes."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, 'a+b') as file:
    fcntl.flock(file, fcntl.LOCK_EX)  # Another study may add to it.
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b'\n') + 1)
    file.write(f'{json.dumps(line, sort_keys=True)}\n'.encode())
    file.flush()
    os.fsync(file.fileno())
