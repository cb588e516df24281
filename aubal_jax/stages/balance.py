"""labels -> labelsets.json, solution.json, plan.npz, plan.csv, balance.html."""

from __future__ import annotations

import dataclasses
import math
import pathlib

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import codes
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.stages import kept_rows
from aubal_jax.stages import problem
from aubal_jax.stages import rows as rows_lib
from aubal_jax.stages import solving
from aubal_jax.stages import target_plans
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

_NUM_LISTED_LABELSETS = 20


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  c = config.balance
  if config.task == 'keep' and c.method not in settings.KEEPERS:
    raise errors.UserError(
      f'task keep needs balance.method to be one of {[*settings.KEEPERS]}; it '
      f'is {c.method!r}. --config=keep sets it.'
    )
  if c.method in settings.KEEPERS and c.fraction:
    raise errors.UserError(
      f'balance.fraction is no amount of {c.method}: keep.share says how many '
      f'rows stay. Set it to 0; it is {c.fraction}.'
    )
  if c.method == 'aubal' and c.fraction and (c.budget or c.budget_growth):
    raise errors.UserError(
      f'balance.fraction is {c.fraction}, which is a budget; leave out '
      'balance.budget and balance.budget_growth.'
    )
  target_plans.check(config)


def run(run) -> None:
  """Finds the labelsets, solves, and writes the plan."""
  from aubal_jax.report import page

  dataset, path = run.dataset, run.path
  labelsets = problem.find_labelsets(run)
  rows = dataset.rows('train')
  uneven = measure(labelsets)
  several = target_plans.make(run)
  if several is None:
    plan, solution = _make_plan(run, rows, labelsets)
  else:
    plan, solution = several.whole, several.solution
  after = _counts_after(plan, rows, labelsets)
  names = dataset.label_names
  content = labelsets_json(names, labelsets, uneven, after)
  content['codes'] = codes.as_json(dataset.counts)
  content['plan'] = _plan_json(run, plan, labelsets, after)
  if several is not None:
    content['plan'] |= several.about
    content['targets'] = several.told
  if dataset.sources is not None:
    content['sources'] = rows_lib.tell_sources(dataset)
  solved = None if solution is None else solution_json(solution)
  plans = target_plans.files_of(several)
  all_plans = {'plan.npz': plan, **plans}
  if not all(_is_same(one, path / name) for name, one in all_plans.items()):
    run.begin('balance')
  files.write_json(path / 'labelsets.json', content)
  if solved is None:
    (path / 'solution.json').unlink(missing_ok=True)
  else:
    files.write_json(path / 'solution.json', solved)
  rows_lib.write(path / 'rows.csv', dataset, raw=run.config.raw_cells)
  rows_lib.write_plan(
    path / 'plan.csv', plan, dataset, raw=run.config.raw_cells
  )
  if plans:
    (path / target_plans.FOLDER).mkdir(exist_ok=True)
  for name, one in all_plans.items():
    one.save(path / name)
  write_page(run, content, solved, page.describe_plan(plan, dataset.labels))
  run.finish('balance')
  print(f'balance: {path / "plan.csv"}, {path / "balance.html"}', flush=True)
  run.watch.lap('balance')


def measure(labelsets) -> dict:
  """Returns how uneven the training rows are, and prints it."""
  uneven = labelsets_lib.imbalance(labelsets)
  print(
    f'balance: {uneven["images"]:,} training images, {uneven["labels"]:,} '
    f'label(s), {uneven["labelsets"]:,} labelset(s), MeanIR '
    f'{uneven["mean_ir"]:.2f}',
    flush=True,
  )
  return uneven


def write_page(run, content, solved, plan: dict) -> None:
  """Writes balance.html.

  Args:
    run: the `Run`.
    content: of labelsets.json.
    solved: of solution.json, or None.
    plan: as of `page.describe_plan`.
  """
  from aubal_jax.report import page

  name = pathlib.PurePath(run.config.data.path).name or run.config.data.name
  shown = page.Content(
    labelsets=content,
    solution=solved,
    plan=plan,
    title=f'Balance: {name}',
  )
  page.write_balance_page(run.path / 'balance.html', shown)


def _is_same(plan, path) -> bool:
  """Whether the file holds this very plan, so that training on it stands."""
  if not path.exists():
    return False
  try:
    old = plan_lib.load(path)
  except ValueError:
    return False
  return old == plan


def _counts_after(plan, rows, labelsets) -> np.ndarray:
  """Returns int64[S], rows of the plan that show each labelset.

  A row whose own labels are no labelset of the table is in none.

  Args:
    plan: the `Plan`.
    rows: int[N], ascending, the table's rows that `labelsets` are of.
    labelsets: the `Labelsets` of these rows.
  """
  num_labelsets = len(labelsets.counts)
  shown = labelsets.index[np.searchsorted(rows, plan.source)].astype(np.int64)
  if plan.labels is not None:
    own = (plan.labels != labelsets.patterns[shown]).any(axis=1)
    found = labelsets_lib.find_labelsets(
      np.concatenate([labelsets.patterns, plan.labels[own]])
    )
    of_patterns, of_own = np.split(found.index, [num_labelsets])
    first = np.full(len(found.counts), num_labelsets)
    first[of_patterns[::-1]] = np.arange(num_labelsets)[::-1]
    shown[own] = first[of_own]
  return np.bincount(shown, minlength=num_labelsets + 1)[:num_labelsets]


def _make_plan(run, rows, labelsets):
  """Returns the plan and, where one is behind it, the solution."""
  config, names = run.config, run.dataset.label_names
  method = config.balance.method
  if method == 'keep':
    return kept_rows.choose(run, rows, labelsets)
  if method not in ('aubal', 'random') or (
    method == 'random' and config.balance.fraction
  ):
    return problem.make_plan(run, rows), None
  upper = problem.find_upper(run, labelsets)
  solution = solving.solve(config, labelsets, upper)
  plan = plan_lib.spread(
    labelsets.index,
    solution.counts,
    label_names=names,
    rows=rows,
    seed=config.seed,
  )
  if method == 'random':
    added = int(plan.augment.sum())
    plan = plan_lib.random(
      rows, len(plan) - added, added, label_names=names, seed=config.seed
    )
    print(
      f'balance: the plan is the control: {len(plan):,} rows, {added:,} of '
      'them augmented, as many as that solution has, drawn evenly',
      flush=True,
    )
  return plan, solution


def labelsets_json(names, labelsets, uneven, after) -> dict:
  """Returns labelsets.json, but for codes, sources and the plan.

  Args:
    names: of the labels.
    labelsets: the `Labelsets` of the training rows.
    uneven: from `measure`.
    after: int64[S], rows of the plan that show each.
  """
  grown = np.argsort(-(after - labelsets.counts), kind='stable')

  unknown = None if labelsets.known is None else ~labelsets.known

  def listed_names(where):
    return [names[i] for i in np.flatnonzero(where)]

  def listed(order):
    return [
      {
        'labels': listed_names(labelsets.patterns[s]),
        'unknown': [] if unknown is None else listed_names(unknown[s]),
        'count': int(labelsets.counts[s]),
        'count_after': int(after[s]),
        'growth': float(after[s] / labelsets.counts[s]),
      }
      for s in order[:_NUM_LISTED_LABELSETS]
    ]

  content = {name: plain(value) for name, value in uneven.items()}
  content['label_names'] = list(names)
  content['absent'] = [names[i] for i in uneven['absent']]
  content['largest'] = listed(np.arange(len(after)))
  content['grown'] = listed(grown[after[grown] > labelsets.counts[grown]])
  return content


def _plan_json(run, plan, labelsets, after) -> dict:
  """Returns what the plan is, and prints how uneven it is."""
  if plan.labels is None:
    uneven = labelsets_lib.imbalance(
      dataclasses.replace(labelsets, counts=after)
    )
  else:
    uneven = labelsets_lib.imbalance(plan.labels)
  sources = np.unique(plan.source)
  content = {
    'method': run.config.balance.method,
    'epochs': problem.num_epochs(run, len(labelsets.index)),
    'rows': len(plan),
    'added': int(plan.augment.sum()),
    'mixed': int((plan.partner >= 0).sum()),
    'left_out': len(labelsets.index) - len(sources),
  }
  for name in ('class_counts', 'mean_ir', 'cvir', 'scumble'):
    content[name] = plain(uneven[name])
  print(
    f'balance: the plan has {len(plan):,} rows, {content["added"]:,} of them '
    f'added; {content["left_out"]:,} images are in none; MeanIR '
    f'{uneven["mean_ir"]:.2f}, CVIR {uneven["cvir"]:.2f}',
    flush=True,
  )
  as_it_is = plan.labels is None and not (
    content['added'] + content['left_out']
  )
  if as_it_is and content['method'] != 'none':
    print(f'Note: {content["method"]} finds nothing to change in these labels.')
  return content


def solution_json(solution) -> dict:
  """Returns solution.json: the figures, not the labelsets' own."""
  content = {
    name: plain(value)
    for name, value in vars(solution).items()
    if name not in ('growth', 'counts', 'label_names', 'unevenness')
  }
  if solution.unevenness:
    content['label_names'] = [*solution.label_names]
    content['unevenness'] = {
      name: dict(zip(('before', 'after'), both, strict=True))
      for name, both in solution.unevenness.items()
    }
  for name in ('min', 'mean', 'max'):
    content[f'growth_{name}'] = plain(getattr(np, name)(solution.growth))
  for when in ('before', 'after'):
    counts = getattr(solution, f'class_counts_{when}')
    content[f'mean_ir_{when}'] = plain(labelsets_lib.mean_ir(counts))
  return content


def plain(value):
  """Returns NumPy values as JSON types; NaN as None."""
  if isinstance(value, np.ndarray):
    return [plain(entry) for entry in value.tolist()]
  if isinstance(value, np.generic):
    return plain(value.item())
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
