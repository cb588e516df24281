"""Every variant of the solver, and rivals, on one problem: table and plot."""

from __future__ import annotations

import sys
import tempfile
import time

from aubal_jax import settings
from aubal_jax.experiments.solvers import optimizers_plot as report
from aubal_jax.experiments.solvers import timing
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.stages import problem

_FIELDS = (
  *('variant', 'kind', 'num_steps', 'seconds', 'seconds_compile', 'value'),
  *('cost', 'lower_bound_priced', 'gap', 'polished', 'converged'),
  *('memory_bytes', 'status'),
)
_TELL_SECONDS = 5.0


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  from aubal_jax.experiments.solvers import rivals

  for name in settings.values(config, 'optimizers.rivals'):
    if name not in (*rivals.RIVALS, 'none'):
      raise errors.UserError(
        f'optimizers.rivals must hold names of {[*rivals.RIVALS, "none"]}, or '
        f'be () for all; it holds {name!r}.'
      )
  for name in settings.values(config, 'optimizers.rivals'):
    if name != 'none' and not rivals.available(name):
      raise errors.UserError(
        f'optimizers.rivals must hold what is installed; {name!r} is not: '
        f'{extras.command("bench")}'
      )
  extras.need('matplotlib', 'config.task=optimizers')


def run(run) -> None:
  """Measures all of them, one after the other, and writes what was found.

  Raises:
    SystemExit: some failed; their rows say why.
  """
  path = run.path
  if run.is_done('optimizers'):
    _print_done(files.read_json(path / 'optimizers.json'))
    print(f'optimizers: already done, see {path / "optimizers.png"}')
    return
  labelsets = problem.find_labelsets(run)
  instance = _prepared(run.config, labelsets)
  record = {
    'problem': _describe(run.config.balance, labelsets, instance),
    'tol': run.config.balance.tol,
    'rows': [],
    'not_installed': _rivals(run.config)[1],
  }
  run.watch.lap('finding labelsets')
  print(f'optimizers: {record["problem"]}\n\n{report.head()}', flush=True)
  for row in _measured(run.config, labelsets, instance):
    print(report.line(row), flush=True)
    record['rows'].append(row)
  record['notes'] = report.notes(record)
  print('\n' + report.wrapped(record['notes']), flush=True)
  _write(run, record)
  print(f'optimizers: {path / "optimizers.png"}', flush=True)
  run.watch.lap('measuring')
  failed = [row['variant'] for row in record['rows'] if row['failed']]
  if failed:
    print(
      f'Warning: failed: {", ".join(failed)}; the same command tries again.',
      file=sys.stderr,
    )
    raise SystemExit(1)
  run.finish('optimizers')


def _print_done(record) -> None:
  """Prints the table that is there."""
  print(f'optimizers: {record["problem"]}\n\n{report.head()}')
  for row in record['rows']:
    print(report.line(row))
  print('\n' + report.wrapped(record['notes']))


def _prepared(config, labelsets):
  """Returns the `Instance`; raises UserError where a setting is wrong."""
  from aubal_jax.balancing import instance as instance_lib
  from aubal_jax.balancing import iterations
  from aubal_jax.balancing import rules

  instance = instance_lib.make_instance(
    labelsets.patterns,
    labelsets.counts,
    rules.Rules(**problem.rules_of(config)),
  )
  search = iterations.Search(
    optimizer='newton',  # Which takes any.
    tol=config.balance.tol,
    max_steps=config.balance.max_steps,
  )
  search.check(instance.penalty)
  return instance


def _describe(settings, labelsets, instance) -> str:
  """Returns the problem in words, from the settings of `config.balance`."""
  images = int(labelsets.counts.sum())
  num_sets, num_labels = instance.patterns.shape
  words = (
    f'{images:,} training images, {num_labels:,} label(s), {num_sets:,} '
    f'labelset(s); objective {settings.objective}, lambda {instance.lam:.4g} '
    f'as used, growth {settings.lower:g} to {settings.upper:g}, image cost '
    f'{settings.image_cost:g}, gap wanted {settings.tol:g}'
  )
  if instance.budget:
    # Those of no label are not in the instance's.
    most = instance.budget.most + images - instance.start.sum()
    amount = 'exactly' if instance.budget.exactly else 'at most'
    words += f', {amount} {most:,.0f} images'
  return words


def _rivals(config) -> tuple[list[str], list[str]]:
  """Returns the rivals that are asked, and those that are not installed."""
  from aubal_jax.experiments.solvers import rivals

  names = settings.values(config, 'optimizers.rivals')
  if names:
    return [name for name in names if name != 'none'], []
  there = [name for name in rivals.RIVALS if rivals.available(name)]
  return there, [name for name in rivals.RIVALS if name not in there]


def _measured(config, labelsets, instance):
  """Yields the rows of the variants, and then those of the rivals.

  A first-order variant is run alone, and once more with Newton steps where it
  has stalled; else they have nothing to finish.
  """
  from aubal_jax.balancing import iterations
  from aubal_jax.balancing import newton
  from aubal_jax.balancing import solve as solve_lib

  variants = (
    settings.values(config, 'optimizers.variants') or solve_lib.VARIANTS
  )
  asked, _ = _rivals(config)
  affordable = newton.fits(instance.patterns.indptr, len(instance.weights))
  bounds, watch = [], _Watch(len(variants) + len(asked))
  with tempfile.TemporaryDirectory(prefix='aubal_jax_') as folder:
    timing.save_problem(folder, labelsets)

    def measured(title, kind, function, *arguments):
      watch.begin(title)
      answer = timing.run_apart(
        function,
        *(folder, config, *arguments),
        max_seconds=config.optimizers.max_seconds,
        on_wait=watch.tell,
      )
      watch.end()
      return _row(config, title, kind, answer, bounds)

    for name in variants:
      row = measured(name, 'variant', timing.solve, name, False)
      yield row
      stalled = row['status'] == 'stalled' and name not in iterations.EXACT
      if stalled and affordable:
        watch.total += 1
        title = f'{name} + newton'
        yield measured(title, 'variant', timing.solve, name, True)
    for name in asked:
      yield measured(name, 'rival', timing.ask, name)


def _row(config, title, kind, answer, bounds) -> dict:
  """Returns the row of an answer; None where there is nothing to say.

  Args:
    config: the configuration.
    title: of the row.
    kind: 'variant' or 'rival'.
    answer: of `timing.run_apart`.
    bounds: of the variants so far; that of this one is added.
  """
  from aubal_jax.balancing import iterations

  row = dict.fromkeys(_FIELDS) | {'variant': title, 'kind': kind}
  row |= {'failed': False, 'trace': None} | answer
  if row['value'] is None:
    return row
  if kind == 'variant':
    if row['lower_bound_priced'] is not None:
      bounds.append(row['lower_bound_priced'])
    spent = row['num_steps'] >= config.balance.max_steps
    first_order = title not in iterations.EXACT and not row['polished']
    row['status'] = 'out of steps' if spent and first_order else 'stalled'
  else:
    says, unit = row.pop('says'), row.pop('unit')
    row['status'] = f'in its own words: {says}'
    if bounds:
      row['lower_bound_priced'] = max(bounds)
      excess = row['value'] + row['cost'] - max(bounds)
      row['gap'] = max(excess, 0.0) / unit
      row['converged'] = row['gap'] <= config.balance.tol
  if row['converged']:
    row['status'] = 'converged'
  return row


class _Watch:
  """Says on stderr what is being measured, and how long all may take."""

  def __init__(self, total):
    self.total = total
    self._done, self._start = 0, time.monotonic()

  def begin(self, title):
    """Another one is begun."""
    self._title, self._begun = title, time.monotonic()
    self._next = self._begun + _TELL_SECONDS

  def tell(self, text):
    """Prints a line, if it is time to; rarer and rarer."""
    now = time.monotonic()
    if now < self._next:
      return
    self._next = now + max(_TELL_SECONDS, min((now - self._begun) / 3, 60.0))
    line = f'{self._title} ({self._done + 1} of {self.total}): '
    line += f'{text}, ' if text else ''
    line += progress.duration(now - self._begun)
    if self._done:
      left = (self.total - self._done) * (now - self._start) / (self._done + 1)
      line += f'; about {progress.duration(left)} left in all'
    print(line, file=sys.stderr, flush=True)

  def end(self):
    """It has been measured."""
    self._done += 1


def _write(run, record) -> None:
  """Writes optimizers.csv, optimizers.json and optimizers.png."""
  run.begin('optimizers')
  csv_files.write(
    run.path / 'optimizers.csv',
    _FIELDS,
    ([row.get(name) for name in _FIELDS] for row in record['rows']),
    raw=run.config.raw_cells,
  )
  files.write_json(run.path / 'optimizers.json', record)
  with files.write_atomically(run.path / 'optimizers.png', 'wb') as file:
    report.draw(
      file, record['rows'], tol=record['tol'], title=record['problem']
    )
