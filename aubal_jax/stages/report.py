"""Everything in the folder -> report.html, and the card of the network."""

from __future__ import annotations

import pathlib

import numpy as np

from aubal_jax import settings
from aubal_jax.network import log as log_lib
from aubal_jax.runs import files
from aubal_jax.stages import card
from aubal_jax.tables import plan as plan_lib

_NUM_STRIPS = 8
_NUM_AUGMENTED = 3


def run(run) -> None:
  """Draws the page from what there is; what is missing is named on it."""
  from aubal_jax.report import page

  config, dataset, path = run.config, run.dataset, run.path
  plan, described, contact = None, None, ()
  if (path / 'plan.npz').exists():
    plan = plan_lib.load(
      path / 'plan.npz',
      num_rows=len(dataset),
      label_names=dataset.label_names,
    )
    described = page.describe_plan(plan, dataset.labels)
    if dataset.load_images is not None and run.sees_pictures:
      contact = _contact_sheet(config, dataset, plan, run.some_images)
  metrics = log_lib.read_lines(path / 'metrics.jsonl')
  content = page.Content(
    labelsets=_read(path / 'labelsets.json'),
    plan=described,
    solution=_read(path / 'solution.json'),
    contact=contact,
    metrics=metrics,
    report=_read(path / 'report.json'),
    controls=_read(path / 'controls.json'),
    title=_title(config),
    settings=settings.flatten(config.to_dict()),
  )
  page.write_page(path / 'report.html', content)
  card.write(run, content)
  run.finish('report')
  print(f'report: {path / "report.html"}', flush=True)
  run.watch.lap('report')


def _title(config) -> str:
  name = pathlib.PurePath(config.data.path).name or config.data.name
  return f'Balance and training: {name}'


def _read(path):
  return files.read_json(path) if path.exists() else None


def _contact_sheet(config, dataset, plan, some_images) -> list[dict]:
  """Returns originals, each with what training makes of it.

  The sources are those repeated most often, each of another labelset; the
  pictures beside them are the very rows of the plan, as in epoch 0. Of a
  network of clips they are the last frames.
  """
  from aubal_jax.batches import plan_rows

  which = config.augment.rows
  shown = np.ones(len(plan), bool) if which == 'all' else plan.augment
  if which == 'none' or not shown.any():
    return []
  augmented = _augmented(config, plan)
  entries = []
  for source in _most_repeated(plan.source[shown], dataset.labels):
    rows = np.flatnonzero(shown & (plan.source == source))[:_NUM_AUGMENTED]
    original = some_images(np.array([source]))
    before = plan_rows.inputs_of(plan, some_images, rows, seed=config.seed)
    after = augmented(before, 0, rows)
    names = np.array(dataset.label_names)[dataset.labels[source] == 1]
    entries.append(
      {
        'original': original[0],
        'augmented': list(after),
        'labels': names.tolist(),
        'name': str(dataset.ids[source]),
      }
    )
  return entries


def _augmented(config, plan):
  """Returns f(images, epochs, rows) -> images, as training makes them."""
  from aubal_jax.batches import augment
  from aubal_jax.batches import clip_augment
  from aubal_jax.batches import draws
  from aubal_jax.batches import plan_rows
  from aubal_jax.batches import policy

  own = draws.Settings(**settings.arguments(config.augment, draws.OPTIONS))
  drawn = own, config.seed, plan_rows.growth_of(plan, own)
  if config.model.name in settings.TWO_STREAM:
    of_clips = clip_augment.Drawn(*drawn)
    return lambda images, *drawn: of_clips(images[:, np.newaxis], *drawn)[:, 0]
  if config.augment.policy:
    return policy.load(config.augment.policy, seed=config.seed)
  return augment.Drawn(*drawn)


def _most_repeated(source, labels) -> list[int]:
  """Returns rows of distinct labelsets, the most repeated first."""
  repeats = np.bincount(source, minlength=len(labels))
  order = np.argsort(-repeats, kind='stable')[: np.count_nonzero(repeats)]
  _, first = np.unique(labels[order], axis=0, return_index=True)
  return order[np.sort(first)[:_NUM_STRIPS]].tolist()
