"""The results of a study: a file of lines, one for each cell, as they come."""

from __future__ import annotations

import json
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


def append(path: os.PathLike | str, line: dict) -> None:
  """Adds a line; what a process that was killed left of one goes."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, 'a+b') as file:
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b'\n') + 1)
    file.write(f'{json.dumps(line, sort_keys=True)}\n'.encode())
    file.flush()
    os.fsync(file.fileno())
