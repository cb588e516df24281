"""checkpoints/ -> report.json."""

from __future__ import annotations

from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import workdir


def run(run) -> None:
  """checkpoints/ -> report.json."""
  from aubal_jax.network import bundle
  from aubal_jax.network import inference
  from aubal_jax.scoring import metrics
  from aubal_jax.scoring import summary

  config, dataset, path = run.config, run.dataset, run.path
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
  streams = run.streams(trained.description)
  predict = trained.make_predict()

  def probabilities(rows):
    found = inference.predict_rows(
      predict, streams, rows, batch_size=config.evaluate.batch_size
    )
    return found[bundle.LABELS]

  thresholds = trained.thresholds.get(bundle.LABELS)
  if split != 'test' or not len(tuning):
    thresholds = None
  elif thresholds is None:  # The checkpoint was not validated.
    thresholds = metrics.tune_thresholds(
      probabilities(tuning), dataset.labels[tuning], dataset.known[tuning]
    )
  report = summary.summarise(
    probabilities(rows),
    dataset.labels[rows],
    dataset.known[rows],
    thresholds=thresholds,
    label_names=dataset.label_names,
    groups=None if dataset.groups is None else dataset.groups[rows],
    split=split,
    num_dropped=len(dataset.rows('dropped')),
    seed=config.seed,
  )
  report = {'step': trained.step, 'checkpoint': trained.which, **report}
  if hosts.is_first():
    files.write_json(path / 'report.json', report)
  run.finish('evaluate')
  floor = report['floors']['all_positive']['f1_macro']
  print(
    f'evaluate: {split} split, {report["num_images"]:,} images: F1 macro '
    f'{report["f1_macro"]:.3f} (tuned thresholds '
    f'{report["tuned"]["f1_macro"]:.3f}, all-positive floor {floor:.3f}), '
    f'accuracy {report["accuracy"]:.3f}, AWC {report["awc"]:.3f}',
    flush=True,
  )
  run.watch.lap('evaluation')
