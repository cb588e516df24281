"""A cell of a comparison on a table of features: one method, all its trials."""

from __future__ import annotations

import functools
import time
import typing
from collections.abc import Mapping
from collections.abc import Sequence

import jax
import numpy as np
from scipy import sparse

from aubal_jax import resampling
from aubal_jax.balancing import diversity as diversity_lib
from aubal_jax.batches import plan_rows
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.experiments.compare import adjusted as adjusted_lib
from aubal_jax.experiments.compare import averaged as averaged_lib
from aubal_jax.experiments.compare import fit
from aubal_jax.experiments.compare import rates as rates_lib
from aubal_jax.experiments.compare import trials as trials_lib
from aubal_jax.network import losses as losses_lib
from aubal_jax.network.models import tabular
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

_NUM_LOOKS = 6  # At validation, on the way of a training.
_ROWS_STEP = 64  # Rows are filled up to a multiple: methods share programs.


def run_cell(
  dataset: dataset_lib.Dataset,
  method: str,
  *,
  fraction: float | None,
  model: str,
  seeds: int | Sequence[int] = 3,
  repeats: int = 5,
  folds: int = 2,
  num_steps: int = 300,
  options: Mapping | None = None,
  diversity: str = 'none',
  num_clusters: int = 0,
  rates: Sequence[float] = (1.0,),
  adjusts: bool = False,
) -> dict:
  """Resamples, trains and scores a method in every fold, with every seed.

  Folds, validation rows and the standardisation of features depend on the split
  alone; from the seed (and the split) come resampling and the first parameters.
  Neighbours are looked for among standardised features. A trial is that of the
  learning rate that is the best on its validation rows.

  Args:
    dataset: a table with features.
    method: a name of `resampling.RESAMPLERS`; 'aubal:OBJECTIVE'; or
      'loss:NAME', a name of `losses.LOSSES` on the rows as they are.
    fraction: rows to add or to delete, see `resampling.resample`; of no meaning
      to a loss.
    model: a name of `models.tabular.MODELS`.
    seeds: how many, or which.
    repeats: divisions into folds.
    folds: folds of each.
    num_steps: optimiser steps, the same for all.
    options: further options of the resampler, such as `upper`.
    diversity: what bounds the growth of `aubal`, a name of `diversity.KINDS`.
    num_clusters: of content, see `diversity.find_clusters`.
    rates: times the learning rate, K of them; all are trained at once.
    adjusts: whether the trials are also scored without the prior of their plan,
      see `adjusted`.

  Returns:
    What result.json says beside what the cell is: `num_steps`, `label_names`,
    `trials` and, of `none` with several seeds, `averaged`; where it adjusts,
    `adjusted`.

  Raises:
    UserError: a name is not known, or the resampler refuses an argument.
  """
  seeds = range(seeds) if isinstance(seeds, int) else seeds
  splits = trials_lib.draw(dataset, repeats=repeats, num_folds=folds)
  resampler, loss, chosen = parse_method(method, options)
  losses = (fit.bce,)
  if loss is not None:
    losses = tuple(_make_loss(dataset, split, loss) for split in splits)
    fraction = None
  resample = functools.partial(
    resampling.resample, method=resampler, fraction=fraction, **chosen
  )
  limits = {key: chosen[key] for key in ('lower', 'upper') if key in chosen}
  if diversity != 'none':
    limits |= {'kind': diversity, 'num_clusters': num_clusters}
  drawn = [
    _draw_seeds(dataset, split, seeds, resampler, resample, limits)
    for split in splits
  ]
  num_rows = max(
    len(split.train) + sum(len(one.made) for one in some)
    for split, some in zip(splits, drawn, strict=True)
  )
  trials, averaged, adjusted = [], [], []
  for k, (split, some) in enumerate(zip(splits, drawn, strict=True)):
    started = time.perf_counter()
    probability, looks = _train(
      *(dataset, split, some, model),
      num_rows=-(-num_rows // _ROWS_STEP) * _ROWS_STEP,
      losses=losses,
      which=min(k, len(losses) - 1),
      num_steps=num_steps,
      rates=rates,
    )
    seconds = (time.perf_counter() - started) / len(some) / len(rates)
    mine, predicted = [], []
    for seed, one, found, on_way in zip(
      *(seeds, some, probability, looks), strict=True
    ):
      trial, said = _trial(
        *(dataset, split, one, found, on_way),
        seed=seed,
        rates=rates,
        num_steps=num_steps,
        seconds={'resample': one.seconds, 'train': seconds},
      )
      mine.append(trial)
      predicted.append(said)
    trials += mine
    if adjusts:
      adjusted += _adjusted(dataset, split, some, mine, predicted)
    if method == 'none':
      averaged += averaged_lib.make_trials(dataset, split, mine, predicted)
  return {
    'num_steps': num_steps,
    'label_names': list(dataset.label_names),
    'trials': trials,
    **({'averaged': averaged} if averaged else {}),
    **({'adjusted': adjusted} if adjusted else {}),
  }


def _adjusted(dataset, split, drawn, trials, predicted) -> list[dict]:
  """Returns trials, scored anew without the priors of their plans."""
  known = dataset.known[split.train]
  labels = dataset.labels[split.train] * known
  there = np.stack([labels.sum(axis=0), known.sum(axis=0)], axis=1)
  found = []
  for one, trial, said in zip(drawn, trials, predicted, strict=True):
    positives = (one.targets * one.weights).sum(axis=0)
    trained = np.stack([positives, one.weights.sum(axis=0)], axis=1)
    added = adjusted_lib.shift(trained, there)
    said = [adjusted_lib.probabilities(p, added) for p in said]
    found.append(trial | trials_lib.score(dataset, split, *said))
  return found


def _trial(
  dataset, split, drawn, probability, looks, *, rates, num_steps, **about
) -> tuple[dict, tuple]:
  """Returns the trial of the rate that is best on validation, and what it says.

  Args:
    dataset: the table.
    split: of it.
    drawn: the `_Drawn` that was trained on.
    probability: float32[K, N, L], of the whole table, at each rate.
    looks: float32[K, J, V, L], of validation on the way.
    rates: K of them.
    num_steps: of the training.
    **about: `seed` and `seconds`.

  Returns:
    The trial; and the probabilities of validation and of test.

  Raises:
    FloatingPointError: it diverged at every rate; one at which it did has lost.
  """

  def score(found):
    if not np.isfinite(found).all():
      return None
    return trials_lib.validation_map(dataset, split, found)

  tried = [
    (rate, score(p[split.validation]))
    for rate, p in zip(rates, probability, strict=True)
  ]
  place = rates.index(rates_lib.best(tried))
  if not np.isfinite(probability[place]).all():
    raise FloatingPointError(rates_lib.tell_diverged(rates))
  said = tuple(
    probability[place][rows] for rows in (split.validation, split.test)
  )
  steps = fit.look_steps(num_steps, _NUM_LOOKS)
  trial = trials_lib.make_trial(
    *(dataset, split, drawn.plan, *said),
    rate=rates[place],
    tried=tried,
    course=[
      (step, score(p)) for step, p in zip(steps, looks[place], strict=True)
    ],
    **about,
  )
  return trial, said


def parse_method(
  method: str, options: Mapping | None = None
) -> tuple[str, str | None, dict]:
  """Returns the resampler, the loss (None: binary cross entropy), its options.

  Examples:
    >>> parse_method('aubal:l1', {'upper': 3.0})
    ('aubal', None, {'objective': 'l1', 'upper': 3.0})
    >>> parse_method('loss:focal')
    ('none', 'focal', {})
  """
  kind, colon, detail = method.partition(':')
  if colon and kind == 'loss':
    return 'none', detail, {}
  if colon and kind == 'aubal':
    return kind, None, {'objective': detail, **(options or {})}
  return method, None, dict(options or {})


class _Drawn(typing.NamedTuple):
  """A plan, as it is trained on.

  Attributes:
    plan: in rows of the table.
    made: float64[E, F], features of the rows that have a partner.
    targets: float64[R + E, L], of the R training rows and of those.
    weights: float64[R + E, L].
    key: JAX key, of the first parameters.
    seconds: that resampling took.
  """

  plan: plan_lib.Plan
  made: np.ndarray
  targets: np.ndarray
  weights: np.ndarray
  key: jax.Array
  seconds: float


def find_upper(
  dataset, rows, features, *, kind, num_clusters=0, lower=1.0, upper=10.0
) -> np.ndarray:
  """Returns the largest growth of each labelset of these rows.

  Args:
    dataset: the table; of groups, if they are the bounds.
    rows: int[R], those that are resampled.
    features: float[N, F], of the table, in which clusters are looked for.
    kind: 'group' or 'content', see `diversity.KINDS`.
    num_clusters: of content, see `diversity.find_clusters`.
    lower: least growth.
    upper: largest growth, whatever the diversity.

  Returns:
    float64[S] in the order of `find_labelsets`.
  """
  if kind == 'group':
    groups = np.asarray(dataset.groups)[rows]
  else:
    groups = diversity_lib.find_clusters(
      features[rows], num_clusters=num_clusters
    )
  found = labelsets_lib.find_labelsets(dataset.labels[rows])
  return diversity_lib.bound_growth(
    found.index, found.counts, groups, lower=lower, upper=upper
  )


def _draw_seeds(dataset, split, seeds, resampler, resample, limits) -> list:
  """Returns the `_Drawn` of each seed.

  Args:
    dataset: the table.
    split: of it.
    seeds: one for each plan.
    resampler: its name.
    resample: makes a plan of labels.
    limits: of `find_upper`, with a `kind` where diversity bounds growth.
  """
  features = fit.standardise(dataset.features, split.train)
  if 'kind' in limits:
    bounds = {'upper': find_upper(dataset, split.train, features, **limits)}
  else:
    bounds = resampling.about_rows(resampler, dataset, split.train)
  bounded = functools.partial(resample, **bounds)
  return [_draw(dataset, split, features, seed, bounded) for seed in seeds]


def _draw(dataset, split, features, seed, resample) -> _Drawn:
  """Resamples the training part of a split."""
  started = time.perf_counter()
  entropy = np.random.SeedSequence([seed, split.repeat, split.fold])
  of_plan, of_features, of_model = map(int, entropy.generate_state(3))
  plan = resample(
    dataset.labels[split.train],
    features=features[split.train],
    rows=split.train,
    seed=of_plan,
    label_names=dataset.label_names,
  )
  made = plan.take(features, np.random.default_rng(of_features))
  made = made[plan.partner >= 0]
  seconds = time.perf_counter() - started
  targets, weights = _entries(dataset, split, plan)
  key = jax.random.key(of_model)
  return _Drawn(plan, made, targets, weights, key, seconds)


def _entries(dataset, split, plan):
  """Returns targets and weights [R + E, L] that stand for a plan's rows.

  A row that the plan repeats weighs as often. One that it has with several
  labels has their mean as target, which is the same cross entropy.
  """
  made, rows = plan.partner >= 0, np.arange(len(plan))
  labels = plan_rows.labels_of(plan, dataset.labels, rows)
  known = plan_rows.known_of(plan, dataset.known, rows)
  place = np.searchsorted(split.train, plan.source)
  place[made] = len(split.train) + np.arange(made.sum())
  add = sparse.csr_array(
    (np.ones(len(plan)), (place, np.arange(len(plan)))),
    shape=(len(split.train) + made.sum(), len(plan)),
  )
  weights = add @ known.astype(np.float64)
  return (add @ (labels * known)) / np.maximum(weights, 1), weights


def _make_loss(dataset, split, name):
  """Returns a loss that knows the label frequencies of a training part."""
  counts = dataset.labels[split.train].sum(axis=0, dtype=np.int64)
  known = dataset.known[split.train].sum(axis=0)
  return losses_lib.make_loss(
    name, frequency=counts / np.maximum(known, 1), counts=counts
  )


def _train(
  dataset, split, drawn, model, *, num_rows, rates, **settings
) -> np.ndarray:
  """Returns probabilities of the whole table, and of validation on the way.

  Returns:
    float32[S, K, N, L], and float32[S, K, J, V, L] of J looks.
  """
  features = fit.standardise(dataset.features, split.train)
  train = len(split.train)
  rows = np.zeros((num_rows, features.shape[1]), np.float32)
  rows[:train] = features[split.train]
  shape = (len(drawn), num_rows, dataset.labels.shape[1])
  targets, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
  start = train
  for k, one in enumerate(drawn):
    own = slice(start, start + len(one.made))
    rows[own] = one.made
    for into, values in ((targets, one.targets), (weights, one.weights)):
      into[k, :train], into[k, own] = values[:train], values[train:]
    start = own.stop
  if model == 'logistic':
    axes = fit.principal_axes(rows[:train])
    rows, features = rows @ axes, features @ axes
  net = tabular.make_model(model, shape[2])
  params, looks = fit.fit(
    net,
    features=rows,
    targets=targets,
    weights=weights,
    num_entries=np.float32(dataset.known[split.train].sum()),
    keys=jax.numpy.stack([one.key for one in drawn]),
    learning_rates=np.float32(rates) * fit.LEARNING_RATES[model],
    num_looks=_NUM_LOOKS,
    **settings,
  )

  def predict(params, features):
    found = np.asarray(fit.predict(net, params, features))
    shape = len(rates), len(drawn), *found.shape[1:]
    return found.reshape(shape).swapaxes(0, 1)

  held = features[split.validation]
  on_way = [
    predict(jax.tree.map(lambda x, k=k: x[k], looks), held)
    for k in range(len(jax.tree.leaves(looks)[0]))
  ]
  return predict(params, features), np.stack(on_way, axis=2)
