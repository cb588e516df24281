"""labels -> labelsets.json, solution.json, plan.npz."""

from __future__ import annotations

import math
import sys

import numpy as np

from aubal_jax import files
from aubal_jax import labelsets as labelsets_lib
from aubal_jax import plan as plan_lib
from aubal_jax import workdir

_NUM_LISTED_LABELSETS = 20


def run(inputs, path) -> None:
  """labels -> labelsets.json, solution.json, plan.npz."""
  config, dataset = inputs.config, inputs.dataset
  rows = dataset.rows('train')
  if not len(rows):
    raise ValueError('The training split has no row; nothing to balance.')
  labelsets = labelsets_lib.find_labelsets(dataset.labels[rows])
  uneven = labelsets_lib.imbalance(labelsets)
  print(
    f'balance: {uneven["images"]:,} training images, {uneven["labels"]} '
    f'labels, {uneven["labelsets"]:,} labelsets, MeanIR '
    f'{uneven["mean_ir"]:.2f}',
    flush=True,
  )
  for label in uneven['absent']:
    print(
      f'Warning: {dataset.label_names[label]} has no positive in the training '
      'split and takes no part in balancing.',
      file=sys.stderr,
    )
  plan, solution = _make_plan(config, dataset, rows, labelsets)
  place = np.zeros(len(dataset), np.int64)
  place[rows] = labelsets.index
  after = np.bincount(place[plan.source], minlength=len(labelsets.counts))
  _write_labelsets(path, dataset.label_names, labelsets, uneven, after)
  if solution is not None:
    files.write_json(path / 'solution.json', _solution_json(solution, plan))
  else:
    (path / 'solution.json').unlink(missing_ok=True)
  plan.save(path / 'plan.npz')
  workdir.finish(path, 'balance', config)
  inputs.watch.lap('balance')


def _make_plan(config, dataset, rows, labelsets):
  """Returns the plan and, but for method none, the solution behind it."""
  method, names = config.balance.method, dataset.label_names
  if method not in ('aubal', 'random', 'none'):
    raise ValueError(
      "config.balance.method must be 'aubal', 'random' or 'none'; it is "
      f'{method!r}.'
    )
  if method == 'none':
    return plan_lib.unchanged(rows, label_names=names), None
  from aubal_jax.balancing import solve as solve_lib

  settings = config.balance.to_dict()
  del settings['method']
  solution = solve_lib.solve(labelsets.patterns, labelsets.counts, **settings)
  _print_solution(solution)
  if method == 'random':
    plan = plan_lib.random(
      rows, solution.images_after, label_names=names, seed=config.seed
    )
    return plan, solution
  plan = plan_lib.spread(
    labelsets.index,
    solution.counts,
    label_names=names,
    rows=rows,
    seed=config.seed,
  )
  return plan, solution


def _print_solution(solution) -> None:
  print(
    f'balance: f from {solution.value_start:,.1f} to {solution.value:,.1f} '
    f'with {solution.images_after - solution.images_before:,} images more; '
    f'certified to be within {solution.gap:.1e} of the best '
    f'({solution.num_steps:,} steps, {solution.seconds:.2f} s and '
    f'{solution.seconds_compile:.1f} s compiling)',
    flush=True,
  )
  if not solution.converged:
    print(
      f'Warning: the certified gap {solution.gap:.1e} is above balance.tol; '
      'a larger balance.max_steps, or balance.optimizer=newton, closes it.',
      file=sys.stderr,
    )
  if solution.empty_boxes:
    print(
      f'Warning: {solution.empty_boxes} labelsets have no whole number of '
      'images between balance.lower and balance.upper; they got the nearest.',
      file=sys.stderr,
    )


def _write_labelsets(path, names, labelsets, uneven, after) -> None:
  grown = np.argsort(-(after - labelsets.counts), kind='stable')

  def listed(order):
    return [
      {
        'labels': [
          names[i] for i in np.flatnonzero(np.asarray(labelsets.patterns[s]))
        ],
        'count': int(labelsets.counts[s]),
        'count_after': int(after[s]),
        'growth': float(after[s] / labelsets.counts[s]),
      }
      for s in order[:_NUM_LISTED_LABELSETS]
    ]

  content = {name: _plain(value) for name, value in uneven.items()}
  content['label_names'] = list(names)
  content['absent'] = [names[i] for i in uneven['absent']]
  content['largest'] = listed(np.arange(len(after)))
  content['grown'] = listed(grown[after[grown] > labelsets.counts[grown]])
  files.write_json(path / 'labelsets.json', content)


def _solution_json(solution, plan) -> dict:
  """Returns solution.json: the figures, not the labelsets' own."""
  content = {
    name: _plain(value)
    for name, value in vars(solution).items()
    if name not in ('growth', 'counts')
  }
  for name in ('min', 'mean', 'max'):
    content[f'growth_{name}'] = float(getattr(np, name)(solution.growth))
  for when in ('before', 'after'):
    counts = getattr(solution, f'class_counts_{when}')
    content[f'mean_ir_{when}'] = labelsets_lib.mean_ir(counts)
  content['plan_rows'] = len(plan)
  return content


def _plain(value):
  """Returns NumPy values as JSON types; NaN as None."""
  if isinstance(value, np.ndarray):
    return [_plain(entry) for entry in value.tolist()]
  if isinstance(value, np.generic):
    return _plain(value.item())
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
