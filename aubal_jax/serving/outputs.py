"""Where predictions go: into the run's folder, or into a file of one's own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing
from collections.abc import Iterator

from aubal_jax import settings
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import workdir


class Outputs(typing.NamedTuple):
  """What is written.

  Attributes:
    rows: the .csv.
    record: the JSON file that says what the rows are of.
    submission: the folder of one, if that is asked for.
    is_own: whether the user named `rows`.
    page: the .html of faces.
  """

  rows: pathlib.Path
  record: pathlib.Path
  submission: pathlib.Path
  is_own: bool
  page: pathlib.Path

  @property
  def partial(self) -> pathlib.Path:
    """Where rows are until all are done."""
    return self.rows.with_name(f'{self.rows.name}.partial')


def find(config, path: pathlib.Path, *, of_faces: bool = False) -> Outputs:
  """Returns where predictions go: `predict.out`, or the run's folder.

  Args:
    config: any configuration.
    path: the folder of the run.
    of_faces: whether a row is a face, which may be in a .parquet as well.

  Raises:
    UserError: `predict.out` is no .csv, or no file that may be written.
  """
  out = pathlib.Path(config.predict.out)
  usual = path / 'predictions.csv'
  if not config.predict.out or _is_same(out, usual):
    record, page = path / 'predictions.json', path / 'predictions.html'
    return Outputs(usual, record, path / 'submission', False, page)
  _check(config, out, ('.csv', '.parquet') if of_faces else ('.csv',))
  # Beside results.csv there may be a results.json of somebody else.
  record = out.with_name(f'{out.name}.json')
  submission = out.with_name(f'{out.stem}_submission')
  return Outputs(
    out, record, submission, True, out.with_name(f'{out.name}.html')
  )


def _check(config, out, suffixes) -> None:
  lead = f'predict.out={out}'
  if out.suffix.lower() not in suffixes:
    raise errors.UserError(
      f'{lead}: predictions are a {" or ".join(suffixes)}; name such a file, '
      f'as {out.with_suffix(".csv") if out.name else "x.csv"}.'
    )
  if out.is_dir():
    raise errors.UserError(f'{lead}: that is a folder; name a file in it.')
  if not out.parent.is_dir():
    raise errors.UserError(
      f'{lead}: there is no folder {out.parent}; make it, or name another file.'
    )
  if not os.access(out.parent, os.W_OK):
    raise errors.UserError(
      f'{lead}: the folder {out.parent} cannot be written to; name another.'
    )
  named = [
    (n, settings.value(config, n)) for n in ('predict.path', 'data.path')
  ]
  named += [('predict.also', path) for path in config.predict.also]
  for name, given in named:
    if given and _is_same(out, given):
      raise errors.UserError(
        f'{lead}: that is {name}, which is read; name another file.'
      )


def _is_same(one, other) -> bool:
  return os.path.realpath(one) == os.path.realpath(other)


@contextlib.contextmanager
def locked(outputs: Outputs, path: pathlib.Path) -> Iterator[None]:
  """Keeps a second process from the same predictions.

  Args:
    outputs: of `find`.
    path: the folder of the run.

  Raises:
    UserError: another process writes them.
  """
  if not outputs.is_own:
    with workdir.locked(path, name='.predict.lock'):
      yield
    return
  rows = outputs.rows
  busy = f'Another run writes {rows}; wait for it, or name another file'
  with files.locked(rows.with_name(f'.{rows.name}.lock'), busy):
    for left in rows.parent.glob(f'.{outputs.record.name}.*.tmp'):
      left.unlink()
    yield


def clear(outputs: Outputs, path: pathlib.Path) -> None:
  """Deletes earlier predictions; a submission beside a file of one's own stays.

  Args:
    outputs: of `find`.
    path: the folder of the run.
  """
  if not outputs.is_own:
    workdir.clear(path, workdir.PREDICTIONS)
    return
  rows = outputs.rows
  names = (
    *(rows.name, outputs.partial.name, outputs.record.name),
    outputs.page.name,
  )
  workdir.clear(rows.parent, names)
