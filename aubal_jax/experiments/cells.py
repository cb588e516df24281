"""Tasks of many runs: a cell is one of them, in a folder of its own."""

from __future__ import annotations

import sys

from aubal_jax.runs import workdir


def refuse_others(runs) -> None:
  """Raises UserError where a folder holds what is not of this task.

  Args:
    runs: the `Run` of the cells.
  """
  for own in runs:
    workdir.check_folder(own.path)
    workdir.refuse_other(own.path, own.pinned)


def end_with(failures) -> None:
  """Raises SystemExit where cells failed, and names them.

  Args:
    failures: cell -> what went wrong.
  """
  if failures:
    print(
      f'Warning: failed: {", ".join(cell.name for cell in failures)}; the same '
      'command tries again.',
      file=sys.stderr,
    )
    raise SystemExit(1)
