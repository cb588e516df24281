r"""Runs the study that a plan has fixed, and writes its page.

  python scripts/study.py --config=configs/study.py --data=FOLDER,FOLDER
  python scripts/study.py --config=configs/study.py --page
  python scripts/study.py --config=configs/study.py --data=FOLDER \
      --cell='emotions | none | 5x2x3'

The first runs every cell whose line is not in the file of results; each is
added as it comes: stopped or killed, the same command goes on. What gains on
the screening sets is then asked again of the confirmation sets. --page writes
the page and the picture from the results alone. --questions=NAME,NAME asks only
these, and leaves the rest for later. --cell runs one cell anew and
prints its line beside the one that is kept. Cells are done by who the plan's
`experiments` name, or --executor, --address and --num_workers.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import pathlib
import sys

from aubal_jax.experiments.study import answers
from aubal_jax.experiments.study import page
from aubal_jax.experiments.study import plan as plan_lib
from aubal_jax.experiments.study import results
from aubal_jax.experiments.study import sets
from aubal_jax.runs import errors
from aubal_jax.runs import executors
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.runs import quiet
from aubal_jax.runs import workers

HOME = pathlib.Path(__file__).resolve().parents[1]
PLAN = HOME / 'configs' / 'study.py'


def load(path):
  """Returns the module of a plan: PLAN and get_config().

  Raises:
    UserError: there is no such file, or it holds no plan.
  """
  if not pathlib.Path(path).is_file():
    raise errors.UserError(
      f'--config={path} is not there; name a plan, such as configs/study.py.'
    )
  spec = importlib.util.spec_from_file_location('study_plan', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  for name in ('PLAN', 'get_config'):
    if not hasattr(module, name):
      raise errors.UserError(
        f'--config={path} holds no {name}; name a plan, such as '
        'configs/study.py.'
      )
  return module


def _results_of(config) -> pathlib.Path:
  """Returns the file of results of a plan: the project's has its own."""
  if config.resolve() == PLAN:
    return HOME / 'docs' / 'study.jsonl'
  return pathlib.Path('runs', f'{config.stem}.jsonl')


def run_cells(title, cells, folder, path, executor) -> int:
  """Runs the cells that have no line yet; returns how many failed."""
  done = results.read(path)
  where = {cell: sets.find(cell.data, folder) for cell in cells}
  absent = sorted({cell.data for cell in cells if where[cell] is None})
  if absent:
    print(
      f'{title}: not in {folder or "--data"}, and left out: {", ".join(absent)}'
    )
  left = [c for c in cells if where[c] is not None and c.name not in done]
  print(f'{title}: {len(cells)} cells, {len(left)} to run', flush=True)
  report = progress.Progress(len(left), title)
  failed = 0
  for cell, outcome in _outcomes(left, where, executor):
    try:
      results.append(path, outcome())
    except Exception as error:  # Of one cell: the others go on.
      failed += 1
      told = errors.tell_failure(error)
      print(f'{title}: {cell.name} {told}', file=sys.stderr, flush=True)
    report.update(1)
  return failed


def _outcomes(cells, where, executor):
  """Yields cells, as they get done, and what returns or raises their outcome.

  Args:
    cells: to be done.
    where: cell -> the file of its set.
    executor: who does them; None: this process, one after the other.
  """
  if executor is None:
    for cell in cells:
      yield cell, functools.partial(sets.run, cell, where[cell])
    return
  waiting = {executor.submit(sets.run, c, where[c]): c for c in cells}
  for future in executors.as_done(waiting):
    yield waiting[future], future.result


@contextlib.contextmanager
def opened(given, folder):
  """Yields the executor; None: this process does the cells."""
  count = workers.default_count(given.num_workers)
  if given.executor == 'local' and count == 1:
    yield None
    return
  with executors.open(
    given.executor, given.address, count, folder=folder
  ) as executor:
    yield executor


def run_all(plan, folder, path, given) -> int:
  """Runs screening, then what it chose; returns how many cells failed."""
  with opened(given, path.parent / 'jobs') as executor:
    failed = run_cells(
      'screening', plan_lib.screening(plan), folder, path, executor
    )
    if failed:
      print(
        f'study: {failed} cells failed, and what is asked again waits for '
        'them; the same command goes on.',
        file=sys.stderr,
      )
      return failed
    chosen = answers.chosen(plan, results.read(path))
    again = [contrast for found in chosen.values() for contrast in found]
    return run_cells(
      *('confirmation', plan_lib.confirmation(plan, again), folder, path),
      executor,
    )


def _with_questions(plan, names):
  """Returns the plan with these of its questions alone; '': with all."""
  if not names:
    return plan
  found = {question.name: question for question in plan.questions}
  if unknown := [name for name in names.split(',') if name not in found]:
    raise errors.UserError(
      f'--questions={names} holds {unknown[0]!r}, which is none of the plan: '
      f'{", ".join(found)}.'
    )
  return plan._replace(questions=[found[name] for name in names.split(',')])


def run_one(plan, name, folder, path) -> int:
  """Runs a cell anew; returns 1 where its line is another now."""
  cells = plan_lib.screening(plan)
  everything = [c for question in plan.questions for c in question.contrasts]
  cells += plan_lib.confirmation(plan, everything)
  found = [cell for cell in cells if cell.name == name]
  if not found:
    raise errors.UserError(
      f'--cell={name!r} is none of the plan; the first are '
      f'{[cell.name for cell in cells[:3]]}.'
    )
  where = sets.find(found[0].data, folder)
  if where is None:
    raise errors.UserError(f'{found[0].data} is not in --data={folder!r}.')
  line = json.loads(json.dumps(sets.run(found[0], where)))
  print(json.dumps(line, sort_keys=True))
  kept = results.read(path).get(name)
  if kept is None:
    print('No line of it is kept.')
  elif line == kept:
    print('It is the line that is kept.')
  else:
    off = results.largest_difference(line, kept)
    print(f'The line that is kept differs, by at most {off:.2g} in a score.')
  return int(line != kept)


def write_page(plan, path, config_name) -> None:
  """Writes study.md and study.png beside the results."""
  lines = results.read(path)
  picture = path.with_suffix('.png')
  with files.write_atomically(picture, 'wb') as file:
    page.draw(plan, lines, file)
  content = page.write(
    *(path.name, plan, lines),
    config=_from_home(config_name),
    picture=picture.name,
  )
  with files.write_atomically(path.with_suffix('.md'), 'w') as file:
    file.write(content)
  print(f'study: {path.with_suffix(".md")}, {picture}')


def _from_home(path) -> str:
  """Returns a path as the repository has it, where it is of it."""
  path = pathlib.Path(path).resolve()
  inside = path.is_relative_to(HOME)
  return str(path.relative_to(HOME) if inside else path.name)


def main(argv=None) -> int:
  """Runs what is asked for; returns the exit status."""
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument('--config', type=pathlib.Path, default=PLAN)
  parser.add_argument('--data', default='', help='folders of the sets')
  parser.add_argument('--questions', default='', help='of the plan; all')
  parser.add_argument(
    '--results',
    type=pathlib.Path,
    help="a .jsonl; else docs/study.jsonl of the project's own plan, and "
    'runs/NAME.jsonl of another',
  )
  parser.add_argument('--page', action='store_true')
  parser.add_argument('--cell', default='')
  parser.add_argument('--executor', choices=executors.NAMES)
  parser.add_argument('--address')
  parser.add_argument('--num_workers', type=int)
  options = parser.parse_args(argv)
  quiet.tensorflow()
  try:
    module = load(options.config)
    options.results = options.results or _results_of(options.config)
    plan, given = module.PLAN, module.get_config().experiments
    for name in ('executor', 'address', 'num_workers'):
      if getattr(options, name) is not None:
        given[name] = getattr(options, name)
    if options.page:
      write_page(plan, options.results, options.config)
      return 0
    if options.cell:
      return run_one(plan, options.cell, options.data, options.results)
    some = _with_questions(plan, options.questions)
    failed = run_all(some, options.data, options.results, given)
    write_page(plan, options.results, options.config)
    return int(failed > 0)
  except (errors.UserError, OSError) as error:
    print(f'Error: {error}', file=sys.stderr)
    return 1


if __name__ == '__main__':
  sys.exit(main())
