"""checkpoints/ -> report.json."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import workdir
from aubal_jax.scoring import thresholds as thresholds_lib


@dataclasses.dataclass(frozen=True)
class Predictions:
  """What the best state that was saved says of the split that is scored.

  Attributes:
    split: test, or validation where there is no test.
    rows: int[R] of the data set.
    probability: float32[R, L].
    thresholds: from validation; None where there is no other split.
    state: `step` and `checkpoint`, of the state.
  """

  split: str
  rows: np.ndarray
  probability: np.ndarray
  thresholds: thresholds_lib.Thresholds | None
  state: dict


def run(run) -> None:
  """checkpoints/ -> report.json."""
  found = predict(run)
  report = found.state | summarise(run, found)
  if hosts.is_first():
    files.write_json(run.path / 'report.json', report)
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
  run.watch.lap('evaluation')


def predict(run) -> Predictions:
  """Returns what the network of a trained run says of the split to score.

  Raises:
    UserError: there is no split to score, or nothing was trained.
  """
  from aubal_jax.network import bundle
  from aubal_jax.network import inference

  dataset, path = run.dataset, run.path
  run.need_images()
  split = 'test' if len(dataset.rows('test')) else 'validation'
  rows, tuning = dataset.rows(split), dataset.rows('validation')
  if not len(rows):
    raise errors.UserError(
      'There is neither a test nor a validation split to evaluate on; set '
      'config.data.validation_fraction, or name the splits in the table.'
    )
  if not hosts.from_first(lambda: workdir.has_begun(path, 'train')):
    raise errors.UserError(
      f'{path} has no checkpoints; run the train task there first '
      '(--config.task=train, or --config.task=run for all stages).'
    )
  trained = hosts.from_first(lambda: bundle.load(path / 'checkpoints'))
  probabilities = functools.partial(
    inference.predict_rows,
    trained.make_predict(),
    run.streams(trained.description),
    batch_size=run.config.evaluate.batch_size,
  )
  thresholds = trained.thresholds.get(bundle.LABELS)
  if split != 'test' or not len(tuning):
    thresholds = None
  elif thresholds is None or thresholds.shrunk is None:
    # The checkpoint was not validated, or by an earlier version.
    found = thresholds_lib.find(
      probabilities(tuning)[bundle.LABELS],
      dataset.labels[tuning],
      dataset.known[tuning],
    )
    own = found.labels if thresholds is None else thresholds.labels
    thresholds = dataclasses.replace(found, labels=own)
  return Predictions(
    split,
    rows,
    probabilities(rows)[bundle.LABELS],
    thresholds,
    {'step': trained.step, 'checkpoint': trained.which},
  )


def summarise(run, found: Predictions) -> dict:
  """Returns the scores of predictions, the content of report.json."""
  from aubal_jax.scoring import summary

  dataset, rows = run.dataset, found.rows
  return summary.summarise(
    found.probability,
    dataset.labels[rows],
    dataset.known[rows],
    thresholds=found.thresholds,
    label_names=dataset.label_names,
    groups=None if dataset.groups is None else dataset.groups[rows],
    split=found.split,
    num_dropped=len(dataset.rows('dropped')),
    seed=run.config.seed,
  )
