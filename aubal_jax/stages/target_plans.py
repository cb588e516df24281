"""The plans of several targets: one each, beside that of the whole.

multitask.balance  plan.npz                       plans/TARGET.npz
none               by balance.method, the labels  none: its rows, once each
per_task           rows as often as the target    aubal on the target's rows
                   that wants them most
joint              one problem over all targets   what that has of its rows
published          as per_task                    drawn by weight, each epoch
"""

from __future__ import annotations

import dataclasses
import math
import typing
import urllib.parse
import zlib

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import targets
from aubal_jax.resampling import weighted
from aubal_jax.runs import errors
from aubal_jax.runs import hosts
from aubal_jax.stages import learnt
from aubal_jax.stages import problem
from aubal_jax.stages import published_samplers
from aubal_jax.stages import solving
from aubal_jax.tables import plan as plan_lib

FOLDER = 'plans'
BINS = 20  # Of a number over its range, each a label to even out.


class TargetPlans(typing.NamedTuple):
  """What the balance stage makes of several targets.

  Attributes:
    whole: `Plan` of all rows.
    plans: target -> `Plan` of its rows.
    solution: of all of them at once; None where each has its own, or none.
    told: target -> what labelsets.json tells of it.
    about: likewise of the plan of the whole.
  """

  whole: plan_lib.Plan
  plans: dict[str, plan_lib.Plan]
  solution: typing.Any
  told: dict[str, dict]
  about: dict[str, typing.Any]


def check(config) -> None:
  """Raises UserError for what no table could mend."""
  how, method = config.multitask.balance, config.balance.method
  if how != 'none' and method != 'aubal':
    raise errors.UserError(
      f'multitask.balance={how} makes the plans of all targets itself, so '
      f'balance.method must be aubal; it is {method!r}. Set one of them back.'
    )


def plans_of(run, path=None) -> dict[str, plan_lib.Plan]:
  """Returns target -> the `Plan` of its own rows, which training reads.

  Args:
    run: the `Run`.
    path: the folder with the plans; None: that of the run.

  Raises:
    UserError: one is not there, or of other rows than those.
  """
  names = learnt.names_of(run.config, run.dataset)
  path = path or run.path
  return hosts.from_first(lambda: {n: _plan_of(run, path, n) for n in names})


def _plan_of(run, path, name: str) -> plan_lib.Plan:
  """Returns the plan of a target."""
  rows, names = run.dataset.rows('train', name), run.dataset.targets[name].names
  if run.config.multitask.balance == 'none':
    return plan_lib.unchanged(rows, label_names=names)
  path = path / _file_of(name)
  if not path.exists():
    raise errors.UserError(
      f'{path} is not there; run the balance task first '
      '(--config.task=balance, or --config.task=run for all stages).'
    )
  plan = plan_lib.load(path, num_rows=len(run.dataset), label_names=names)
  if not np.isin(plan.source, rows).all():
    raise errors.UserError(
      f'{path} names rows that do not train {name!r} in this data set; run the '
      'balance task again.'
    )
  return plan


def _file_of(name: str) -> str:
  """Returns where the plan of a target is, in the folder of the run."""
  return f'{FOLDER}/{urllib.parse.quote(name, safe=" ")}.npz'


def files_of(made: TargetPlans | None) -> dict[str, plan_lib.Plan]:
  """Returns file -> plan of each target."""
  plans = {} if made is None else made.plans
  return {_file_of(name): plan for name, plan in plans.items()}


def make(run) -> TargetPlans | None:
  """Makes the plans that `multitask.balance` asks for, and tells of them.

  Returns:
    None where it asks for none.

  Raises:
    UserError: there is one target alone, or one that no row trains.
  """
  how = run.config.multitask.balance
  names = learnt.names_of(run.config, run.dataset)
  if how == 'none':
    others = sorted({*names} - {dataset_lib.LABELS})
    if others and run.config.balance.method != 'none':
      print(
        f'Note: {run.config.balance.method} evens out the labels; the other '
        f'targets ({", ".join(others)}) have no say in the plan of the whole '
        '(multitask.balance=joint, or per_task).',
        flush=True,
      )
    return None
  if len(names) < 2:
    raise errors.UserError(
      f'multitask.balance={how} is for several targets, and this run learns '
      f'{names[0]!r} alone; set it to none.'
    )
  for name in names:
    if not len(run.dataset.rows('train', name)):
      raise errors.UserError(
        f'multitask.balance={how}: no training row knows anything of the '
        f'target {name!r}; leave it out (multitask.targets).'
      )
  made = {'per_task': _per_task, 'joint': _joint, 'published': _published}
  found = made[how](run, names)
  _tell(found)
  return found


def _part(run, name: str, rows: np.ndarray):
  """Returns the columns of a target as a `several.Part`.

  A number has a block of its own, as V and A have: each row is in one bin of
  it, as it is in one class. Where the empty labelset is a label, that is a
  column of a binary target.

  Args:
    run: the `Run`.
    name: of the target.
    rows: int[R]; what does not train this target is not known of them.
  """
  from aubal_jax.balancing import several

  dataset, target = run.dataset, run.dataset.targets[name]
  trains = np.isin(rows, dataset.rows('train', name))
  sizes = (len(target.names),)
  if target.kind == 'real':
    table, sizes = targets.to_bins(target, BINS), (BINS,) * len(target.names)
  else:
    table = targets.to_binary(target)
  known = table.known[rows] & trains[:, None]
  labels, names = table.values[rows] * known, table.names
  if target.kind == 'binary' and run.config.balance.empty == 'label':
    none = known.any(axis=1) & ~labels.any(axis=1)
    labels = np.column_stack([labels, none.astype(np.uint8)])
    known = np.column_stack([known, known.any(axis=1)])
    sizes, names = (sizes[0] + 1,), (*names, 'none')
  return several.Part(labels, known, sizes, names)


def _solve(run, names, rows):
  """Returns the joint problem of some targets, its solution and its plan."""
  from aubal_jax.balancing import several

  joint = several.join({name: _part(run, name, rows) for name in names})
  unknown = run.config.data.unknown
  labelsets = joint.find_labelsets(
    unknown if unknown in several.UNKNOWN else 'absent'
  )
  upper = problem.find_upper(run, labelsets, rows)
  solution = solving.solve(run.config, labelsets, upper, joint)
  plan = plan_lib.spread(
    labelsets.index, solution.counts, rows=rows, seed=run.config.seed
  )
  return solution, plan


def _per_task(run, names) -> TargetPlans:
  plans, told = {}, {}
  for name in names:
    print(f'balance: {name}, by itself', flush=True)
    rows = run.dataset.rows('train', name)
    solution, plan = _solve(run, [name], rows)
    plans[name] = _named(run, name, plan)
    told[name] = _describe(len(rows), plan, solution.unevenness[name])
    told[name]['gap'] = float(solution.rounded_gap)
  return TargetPlans(_whole(run, plans), plans, None, told, {})


def _joint(run, names) -> TargetPlans:
  dataset = run.dataset
  own = {name: dataset.rows('train', name) for name in names}
  rows = np.unique(np.concatenate([dataset.rows('train'), *own.values()]))
  solution, plan = _solve(run, names, rows)
  plans = {name: _named(run, name, _only(plan, own[name])) for name in names}
  told = {
    name: _describe(len(own[name]), plans[name], solution.unevenness[name])
    for name in names
  }
  whole = dataclasses.replace(
    _only(plan, dataset.rows('train')), label_names=dataset.label_names
  )
  return TargetPlans(whole, plans, solution, told, {})


def _published(run, names) -> TargetPlans:
  from aubal_jax.balancing import several

  config, dataset = run.config, run.dataset
  plans, told, all_epochs = {}, {}, []
  for name in names:
    rows = dataset.rows('train', name)
    target = dataset.targets[name]
    own = dataclasses.replace(
      target, values=target.values[rows], known=target.known[rows]
    )
    # A target's draws are its own, whatever others there are.
    rng = np.random.default_rng([config.seed, zlib.crc32(name.encode())])
    weights = published_samplers.weights_of(
      own, recipe=config.multitask.recipe, rng=rng
    )
    drawn = run.num_steps * config.train.batch_size
    num_epochs = max(math.ceil(drawn / len(rows)), 1)
    plan = weighted.draw(weights, None, rng, num_epochs)
    plans[name] = _named(
      run, name, dataclasses.replace(plan, source=rows[plan.source])
    )
    joint = several.join({name: _part(run, name, rows)})
    repeats = np.bincount(plan.source, minlength=len(rows)) / num_epochs
    before, after = (
      joint.unevenness(counts @ joint.labels)[name]
      for counts in (np.ones(len(rows)), repeats)
    )
    told[name] = _describe(len(rows), plan, (before, after))
    told[name]['epochs'] = num_epochs
    all_epochs.append(num_epochs)
  about = {'method': 'published', 'epochs': max(all_epochs)}
  return TargetPlans(_whole(run, plans), plans, None, told, about)


def _named(run, name, plan) -> plan_lib.Plan:
  """Returns the plan with the names of its target."""
  names = run.dataset.targets[name].names
  return dataclasses.replace(plan, label_names=names)


def _only(plan, rows) -> plan_lib.Plan:
  """Returns what a plan has of these rows; it mixes none."""
  kept = np.isin(plan.source, rows)
  arrays = ('source', 'augment', 'partner')
  return dataclasses.replace(
    plan, **{name: getattr(plan, name)[kept] for name in arrays}
  )


def _whole(run, plans) -> plan_lib.Plan:
  """Returns the plan of all training rows, from those of the targets.

  A row is in it as often as in the plan that has it most; one that no target
  knows, once.
  """
  dataset = run.dataset
  size = len(dataset)
  repeats = np.ones(size, np.int64)
  for name in plans:
    repeats[dataset.rows('train', name)] = 0
  for plan in plans.values():
    repeats = np.maximum(repeats, np.bincount(plan.source, minlength=size))
  rows = dataset.rows('train')
  return plan_lib.spread(
    np.arange(len(rows)),
    repeats[rows],
    label_names=dataset.label_names,
    rows=rows,
    seed=run.config.seed,
  )


def _describe(num_rows: int, plan, unevenness) -> dict:
  """Returns what labelsets.json tells of a target."""
  before, after = unevenness
  return {
    'images': num_rows,
    'rows': len(plan),
    'added': int(plan.augment.sum()),
    'unevenness_before': before,
    'unevenness_after': after,
  }


def _tell(made: TargetPlans) -> None:
  """Prints a line for each target."""
  for name, entry in made.told.items():
    gap = f', certified gap {entry["gap"]:.2g}' if 'gap' in entry else ''
    print(
      f'balance: {name}: unevenness {entry["unevenness_before"]:.3f} to '
      f'{entry["unevenness_after"]:.3f}; {entry["images"]:,} images, '
      f'{entry["rows"]:,} rows of its plan{gap}',
      flush=True,
    )
