"""checkpoints/ -> report.json; of several runs also ensemble.json."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import sys
import typing

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import loading
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import workdir
from aubal_jax.scoring import thresholds as thresholds_lib
from aubal_jax.stages import distill
from aubal_jax.stages import sequence
from aubal_jax.stages import target_scores

# What report.json has of the teacher and of each student.
_COMPARED = (
  *('step', 'checkpoint', 'split', 'f1_macro', 'accuracy', 'awc', 'per_label'),
  *('shrunk', 'tuned', 'targets', 'challenge', 'clean'),
)


@dataclasses.dataclass(frozen=True)
class Predictions:
  """What the best state that was saved says of the split that is scored.

  Attributes:
    split: test, or validation where there is no test.
    rows: int[R] of the data set.
    probability: float32[R, L].
    thresholds: from validation; None where there is no other split.
    state: `step` and `checkpoint`, of the state.
    ensemble: the `Ensemble` whose mean it is; None: it is of one network.
    targets: name -> `Said` of the targets beside the labels.
  """

  split: str
  rows: np.ndarray
  probability: np.ndarray
  thresholds: thresholds_lib.Thresholds | None
  state: dict
  ensemble: typing.Any = None
  targets: dict = dataclasses.field(default_factory=dict)


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  if config.ensemble.runs and config.task != 'evaluate':
    raise errors.UserError(
      'ensemble.runs names runs that are trained, for the tasks evaluate and '
      f'predict; the task is {config.task}. Train each run in a folder of its '
      'own first.'
    )


def run(run) -> None:
  """checkpoints/ -> report.json; of several runs also ensemble.json."""
  from aubal_jax.network import ensemble

  found = predict(run)
  report = found.state | summarise(run, found) | _of_learners(run)
  if hosts.is_first():
    files.write_json(run.path / 'report.json', report)
    if found.ensemble is not None:
      ensemble.write(run.path, found.ensemble)
  run.finish('evaluate')
  floor = report['floors']['all_positive']['f1_macro']
  print(
    f'evaluate: {found.split} split, {report["num_images"]:,} images: F1 macro '
    f'{report["f1_macro"]:.3f} (shrunk thresholds '
    f'{report["shrunk"]["f1_macro"]:.3f}, tuned '
    f'{report["tuned"]["f1_macro"]:.3f}, all-positive floor {floor:.3f}), '
    f'accuracy {report["accuracy"]:.3f}, AWC {report["awc"]:.3f}',
    flush=True,
  )
  for line in target_scores.lines(report):
    print(f'evaluate: {line}', flush=True)
  run.watch.lap('evaluation')


def predict(run) -> Predictions:
  """Returns what the network of a trained run says of the split to score.

  Raises:
    UserError: there is no split to score, or nothing was trained.
  """
  dataset = run.dataset
  run.need_streams()
  if not any(len(dataset.rows(split)) for split in ('test', 'validation')):
    raise errors.UserError(
      'There is neither a test nor a validation split to evaluate on; set '
      'config.data.validation_fraction, or name the splits in the table.'
    )
  members = settings.values(run.config, 'ensemble.runs')
  trained = _load_members(run, members) if members else _load(run)
  return _read(run, trained, trained.make_predict())


def _read(run, trained, predict_batch) -> Predictions:
  """Returns what a `Bundle` or an `Ensemble` says, by its compiled program."""
  from aubal_jax.network import bundle
  from aubal_jax.network import ensemble
  from aubal_jax.network import inference

  dataset = run.dataset
  averaged = isinstance(trained, ensemble.Ensemble)
  reader = target_scores.Reader(
    dataset,
    trained.description.heads,
    functools.partial(
      inference.predict_rows,
      predict_batch,
      run.streams(trained.description),
      batch_size=run.config.evaluate.batch_size,
      windows=sequence.of_rows(trained.description, dataset),
    ),
  )
  split = reader.split()
  if not split:
    raise errors.UserError(
      'No row of the test or the validation split knows a label, by which '
      'thresholds and scores are found; give some rows labels there.'
    )
  kept = None if averaged else trained.thresholds.get(bundle.LABELS)
  others = averaged or split == 'test'  # Who needs thresholds for other images.
  thresholds = _complete(kept, dataset, reader) if others else None
  return Predictions(
    split,
    reader.rows(split),
    reader.said(split),
    thresholds if split == 'test' else None,
    _state(trained),
    ensemble.tuned(trained, thresholds) if averaged else None,
    {name: reader.read(name) for name in reader.others if reader.split(name)},
  )


def _complete(kept, dataset, reader) -> thresholds_lib.Thresholds | None:
  """Returns thresholds of the validation split; None where there is none.

  Args:
    kept: by the checkpoint. It may not have been validated, or by an earlier
      version, and a mean of networks never was: then they are tuned here.
    dataset: the `Dataset`.
    reader: of what the network says.
  """
  rows = reader.rows('validation')
  if not len(rows):
    return None
  if kept is not None and kept.shrunk is not None:
    return kept
  found = target_scores.tune(dataset, rows, reader.said('validation'))
  own = found.labels if kept is None else kept.labels
  return dataclasses.replace(found, labels=own)


def _state(trained) -> dict:
  """Returns what report.json says of a `Bundle` or an `Ensemble`."""
  from aubal_jax.network import ensemble

  if not isinstance(trained, ensemble.Ensemble):
    return {'step': trained.step, 'checkpoint': trained.which}
  members = [
    {'run': folder.name, **described}
    for folder, described in zip(
      trained.folders, trained.describe(), strict=True
    )
  ]
  return {
    'step': None,
    'checkpoint': 'ensemble',
    'ensemble': {'mean': trained.mean, 'members': members},
  }


def _load(run):
  """Returns the `Bundle` of the run's own checkpoints.

  Where the run has students, their `Ensemble`.
  """
  from aubal_jax.network import bundle
  from aubal_jax.network import ensemble

  path = run.path
  if not hosts.from_first(lambda: workdir.has_begun(path, 'train')):
    raise errors.UserError(
      f'{path} has no checkpoints; run the train task there first '
      '(--config.task=train, or --config.task=run for all stages).'
    )
  students = distill.folders(run.config, path)
  if not students:
    return hosts.from_first(lambda: bundle.load(path / 'checkpoints'))
  if not run.is_done('distill', alone=True):
    raise errors.UserError(
      f'{path} has not all of its {len(students)} students yet; run the '
      'distill task there first (--config.task=distill, or '
      '--config.task=run for all stages).'
    )
  mean = run.config.ensemble.mean
  return hosts.from_first(lambda: ensemble.load(students, mean=mean, least=1))


def _of_learners(run) -> dict:
  """Returns the scores of the teacher and of each student; {} without these.

  They are 'teacher', and 'students' in their order; a report each, as far as
  one compares them.
  """
  from aubal_jax.network import bundle
  from aubal_jax.network import inference

  folders = distill.folders(run.config, run.path)
  if not folders or settings.values(run.config, 'ensemble.runs'):
    return {}
  learners = hosts.from_first(
    lambda: (
      [distill.load_teacher(run)]
      + [bundle.load(folder / 'checkpoints') for folder in folders]
    )
  )
  description = learners[0].description
  model, _ = bundle.make_network(description)
  predict = inference.make_predict(model, description.heads)
  reports = []
  for one in learners:
    found = _read(run, one, predict(one.params, one.batch_stats))
    report = found.state | summarise(run, found)
    reports.append({k: report[k] for k in _COMPARED if k in report})
  return {'teacher': reports[0], 'students': reports[1:]}


def _load_members(run, members):
  """Returns the `Ensemble` of other runs, if it is one of this data set."""
  from aubal_jax.network import ensemble

  path = run.path
  if hosts.from_first(lambda: workdir.has_begun(path, 'train')):
    raise errors.UserError(
      f'{path} is the folder of a run of its own; name another --workdir for '
      'the ensemble of ensemble.runs.'
    )
  loaded = hosts.from_first(
    lambda: ensemble.load(members, mean=run.config.ensemble.mean)
  )
  description, names = loaded.description, tuple(run.dataset.label_names)
  if names != description.label_names:
    raise errors.UserError(
      f'The data set has the labels {[*names]}, but the members of '
      f'ensemble.runs have {[*description.label_names]}; give the '
      'configuration that they were trained with.'
    )
  seen = description.pixels or description.frames
  given = loading.pixels(run.config)
  if seen is not None and seen != given:
    raise errors.UserError(
      f'The members of ensemble.runs see images as {seen}, but the '
      f'configuration makes them {given}; set data.image_size, channels, '
      'resize and crop to what they see.'
    )
  hosts.from_first(lambda: _tell_other_tables(run, members))
  return loaded


def _tell_other_tables(run, members) -> None:
  """Warns of members that may have been trained on what is scored."""
  table = 'the table'
  here = run.pinned['train'][table]
  for member in members:
    there = workdir.settings_of(pathlib.Path(member), 'train').get(table, here)
    if there != here:
      print(
        f'Warning: {member} was trained on another table, or on other splits '
        'of it: the images that are scored here may have trained it.',
        file=sys.stderr,
        flush=True,
      )


def summarise(run, found: Predictions) -> dict:
  """Returns the scores of predictions, the content of report.json."""
  from aubal_jax.scoring import summary

  dataset, rows = run.dataset, found.rows
  report = summary.summarise(
    found.probability,
    dataset.labels[rows],
    dataset.known[rows],
    thresholds=found.thresholds,
    label_names=dataset.label_names,
    groups=None if dataset.groups is None else dataset.groups[rows],
    split=found.split,
    num_dropped=len(dataset.rows('dropped')),
    seed=run.config.seed,
    published=bool(found.targets),
  )
  if not found.targets:
    return report
  labels = target_scores.Said(found.split, rows, found.probability)
  said = {target_scores.LABELS: labels, **found.targets}
  return {
    **report,
    **target_scores.summarise(run, said, report),
    **target_scores.clean(run, said),
  }
