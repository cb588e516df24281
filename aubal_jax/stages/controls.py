"""The same training on other plans -> controls.json and controls/METHOD.

A score alone says little of balancing. Each control has the images, the seed
and the steps of the run, and another `balance.method`; it is a run in a folder
of its own, which a stop loses nothing of.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aubal_jax import settings
from aubal_jax.network import log as log_lib
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import preemption
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import course
from aubal_jax.scoring import differences
from aubal_jax.scoring import summary
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import train


def wanted(config) -> bool:
  """Whether there are controls."""
  return bool(settings.values(config, 'controls.methods'))


def check(config) -> None:
  """Raises UserError where there is no control, or it is the run itself."""
  own = config.balance.method
  if not wanted(config):
    raise errors.UserError(
      'controls.methods is empty; name what to compare with, such as '
      'none,random.'
    )
  if own in settings.values(config, 'controls.methods'):
    raise errors.UserError(
      f'controls.methods holds {own!r}, which is balance.method: the run '
      'itself. Leave it out.'
    )


def run(run) -> None:
  """Trains the controls, and compares the run with them.

  Raises:
    UserError: nothing is trained yet, or the folder of a control is of another
      run.
  """
  if not run.is_done('train'):
    raise errors.UserError(
      f'{run.path} has no checkpoints of a whole training to compare with; run '
      'the train task there first (--config.task=train, or '
      '--config.task=run for all stages).'
    )
  run.begin('controls')
  methods = settings.values(run.config, 'controls.methods')
  others = {name: _make_run(run, name) for name in methods}
  hosts.from_first(lambda: [own.refuse_other() for own in others.values()])
  for place, (name, own) in enumerate(others.items(), 1):
    preemption.stop_if_requested()
    print(
      f'controls: {name}, {place} of {len(others)}, in {own.path}', flush=True
    )
    _train(own)
  record = _compare({**others, run.config.balance.method: _teacher(run)})
  if hosts.is_first():
    files.write_json(run.path / 'controls.json', record)
    for line in _lines(record):
      print(f'controls: {line}', flush=True)
  run.finish('controls')
  run.watch.lap('controls')


def _make_run(run, method):
  """Returns the `Run` of a control."""
  config = run.config.copy_and_resolve_references()
  config.task = 'run'
  config.balance.method, config.multitask.balance = method, 'none'
  config.controls.methods = ()
  config.distill.students = 0
  config.train.num_steps = run.num_steps
  own = run.within(run.path / 'controls' / method, config)
  return dataclasses.replace(own, opened=run.images_seen())


def _teacher(run):
  """Returns the `Run` without its students: a control has none."""
  config = run.config.copy_and_resolve_references()
  config.distill.students = 0
  return dataclasses.replace(run, config=config)


def _train(run) -> None:
  """Balances and trains what is not done yet."""
  with run.locked():
    if not run.is_done('balance'):
      hosts.from_first(lambda: balance.run(run))
    if not run.is_done('train'):
      train.run(run)


def _compare(runs) -> dict:
  """Returns controls.json.

  Args:
    runs: method -> its `Run`, the run itself last.
  """
  *_, (method, own) = runs.items()
  found = {name: evaluate.predict(other) for name, other in runs.items()}
  rows, dataset = found[method].rows, own.dataset
  label, known = dataset.labels[rows], dataset.known[rows]
  groups = None if dataset.groups is None else dataset.groups[rows]
  unit = bootstrap.units(len(rows), groups)
  thresholds = {
    name: summary.used_thresholds(
      mine.probability, label, known, mine.thresholds, unit, own.config.seed
    )
    for name, mine in found.items()
  }
  return {
    'method': method,
    'num_steps': own.num_steps,
    'networks': {name: _network(runs[name], found[name]) for name in runs},
    'differences': differences.differences(
      {name: mine.probability for name, mine in found.items()},
      *(label, known),
      thresholds=thresholds,
      reference=method,
      groups=groups,
      seed=own.config.seed,
    ),
  }


def _network(run, found) -> dict:
  """Returns what a network was trained on, and what it scores."""
  labelsets = run.path / 'labelsets.json'
  plan = hosts.from_first(lambda: files.read_json(labelsets))['plan']
  names = ('rows', 'added', 'left_out', 'class_counts', 'mean_ir')
  report = found.state | evaluate.summarise(run, found)
  areas = [entry['ap'] for entry in report['per_label'].values()]
  return {
    **{name: plan[name] for name in names},
    'map': float(np.mean([x for x in areas if x is not None] or [0.0])),
    'short': hosts.from_first(lambda: course.seems_short(_lines_of(run))),
    'report': report,
  }


def _lines_of(run) -> list[dict]:
  return log_lib.read_lines(run.path / 'metrics.jsonl')


def _lines(record):
  """Yields the scores of each network, and how far the run is from it."""
  less = {
    (d['less'], d['score']): f' ({d["difference"]:+.3f})'
    for d in record['differences']
  }
  for name, entry in record['networks'].items():
    report = entry['report']
    scores = {'f1_macro': ('F1 macro', report['f1_macro'])}
    for kind in ('shrunk', 'tuned'):
      if kind in report:
        scores[f'f1_macro_{kind}'] = kind, report[kind]['f1_macro']
    scores['map'] = 'mAP', entry['map']
    told = ', '.join(
      f'{title} {score:.3f}{less.get((name, key), "")}'
      for key, (title, score) in scores.items()
    )
    yield f'{name}: {entry["rows"]:,} rows, {told}'
  yield (
    f'in brackets: what {record["method"]} has more; the page tells which '
    'differences are more than chance'
  )
