"""checkpoints/ -> report.json."""

from __future__ import annotations

from aubal_jax import files
from aubal_jax import hosts
from aubal_jax import workdir


def run(inputs) -> None:
  """checkpoints/ -> report.json."""
  from aubal_jax import evaluate as evaluate_lib
  from aubal_jax import metrics
  from aubal_jax.tasks import network

  config, dataset, path = inputs.config, inputs.dataset, inputs.path
  inputs.need_images()
  split = 'test' if len(dataset.rows('test')) else 'validation'
  rows, tuning = dataset.rows(split), dataset.rows('validation')
  if not len(rows):
    raise ValueError(
      'There is neither a test nor a validation split to evaluate on; set '
      'config.data.validation_fraction, or name the splits in the table.'
    )
  if not hosts.from_first(lambda: workdir.has_begun(path, 'train')):
    raise ValueError(
      f'{path} has no checkpoints; run the train task there first '
      '(--config.task=train, or --config.task=run for all stages).'
    )
  images = inputs.images()
  described = network.describe(config, dataset.label_names)
  model, _ = network.make_network(described)
  state, which, thresholds = hosts.from_first(
    lambda: network.restore(path / 'checkpoints', described)[1:]
  )
  predict = evaluate_lib.make_predict(model)

  def probabilities(rows):
    return evaluate_lib.predict_rows(
      predict, state, images, rows, batch_size=config.evaluate.batch_size
    )

  if split != 'test' or not len(tuning):
    thresholds = None
  elif thresholds is None:  # The checkpoint was not validated.
    thresholds = metrics.tune_thresholds(
      probabilities(tuning), dataset.labels[tuning], dataset.known[tuning]
    )
  report = evaluate_lib.summarise(
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
  report = {'step': int(state.step), 'checkpoint': which, **report}
  if hosts.is_first():
    files.write_json(path / 'report.json', report)
  inputs.finish('evaluate')
  floor = report['floors']['all_positive']['f1_macro']
  print(
    f'evaluate: {split} split, {report["num_images"]:,} images: F1 macro '
    f'{report["f1_macro"]:.3f} (tuned thresholds '
    f'{report["tuned"]["f1_macro"]:.3f}, all-positive floor {floor:.3f}), '
    f'accuracy {report["accuracy"]:.3f}, AWC {report["awc"]:.3f}',
    flush=True,
  )
  inputs.watch.lap('evaluation')
