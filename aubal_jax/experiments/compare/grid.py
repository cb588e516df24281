"""The grid of a comparison: one cell for each run that is a run of its own."""

from __future__ import annotations

import itertools
import re
import typing

from aubal_jax import resampling
from aubal_jax import settings
from aubal_jax.experiments.compare import rates as rates_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text

IMAGES = 'images'
TABLE = 'table'


class Cell(typing.NamedTuple):
  """One choice of the grid; None where a choice does not matter.

  Attributes:
    data: name of the data set.
    kind: 'table' (of features) or 'images'.
    method: a name of `resampling.RESAMPLERS`, `aubal:OBJECTIVE` or `loss:NAME`.
    fraction: rows added or deleted, as a share of those there are; None: the
      method's own amount, or none at all.
    model: name of the model.
    augment_rows: which rows are augmented; None for tables.
    upper: largest growth of a labelset; None but for `aubal`.
    diversity: a name of `diversity.KINDS`; 'none' but for `aubal`.
    seed: of training on images; None for tables, where a cell has all seeds.
    fold: of images, the test split; None where there is one split alone.
    share: rows kept, as a share of those there are; None but for `keep` and
      its rivals.
    rate: times the learning rate; 1 for tables, where a cell has all rates.
  """

  data: str
  kind: str
  method: str
  fraction: float | None
  model: str
  augment_rows: str | None = None
  upper: float | None = None
  diversity: str = 'none'
  seed: int | None = None
  fold: int | None = None
  share: float | None = None
  rate: float = 1.0

  @property
  def name(self) -> str:
    """Of its folder."""
    parts = [
      _plain(self.data),
      self.method.replace(':', '_'),
      _plain(self.model),
      *_named('f', self.fraction),
      *_named('share', self.share),
      *([self.augment_rows] if self.augment_rows is not None else []),
      *_named('u', self.upper),
      *([self.diversity] if self.diversity != 'none' else []),
      *_named('s', self.seed),
      *_named('k', self.fold),
      *_named('r', None if self.rate == 1 else self.rate),
    ]
    return '-'.join(parts)

  def described(self) -> dict:
    """Returns what result.json says of it, beside its trials."""
    fields = self._asdict()
    for name in ('seed', 'fold', 'rate'):
      del fields[name]
    return fields


def _plain(name) -> str:
  """Returns a name as a file may have it."""
  return re.sub(r'[^\w.]+', '_', name)


def _named(letter, number) -> list[str]:
  return [] if number is None else [f'{letter}{number:g}']


def check_method(method: str, *, objectives, losses) -> None:
  """Raises UserError where a method is none that can be compared.

  Args:
    method: see `Cell`.
    objectives: names that may follow `aubal:`.
    losses: names that may follow `loss:`.
  """
  kind, colon, name = method.partition(':')
  choices = {'aubal': objectives, 'loss': losses}.get(kind, ())
  if colon and name in choices:
    return
  names = [name for name in resampling.RESAMPLERS if name != 'aubal']
  if method not in names:
    whole = [f'aubal:{name}' for name in sorted(objectives)]
    whole += [f'loss:{name}' for name in sorted(losses)]
    raise errors.UserError(
      f'compare.methods must hold names of {names}, aubal:OBJECTIVE (one of '
      f'{sorted(objectives)}) or loss:NAME (one of {sorted(losses)}); it holds '
      f'{method!r}.{text.suggest(method, [*names, *whole])}'
    )


def has_amount(method: str) -> bool:
  """Whether a fraction says how much the method adds or deletes."""
  name, _, _ = method.partition(':')
  return name != 'loss' and resampling.takes(name, 'fraction')


def has_share(method: str) -> bool:
  """Whether a share says how many rows the method keeps."""
  return method in settings.KEEPERS


def make_grid(
  data,
  kind: str,
  *,
  methods,
  fractions,
  models,
  shares=(0.25,),
  augment_rows=(None,),
  uppers=(10.0,),
  diversities=('none',),
  seeds=(None,),
  folds=(None,),
  rates=(1.0,),
) -> list[Cell]:
  """Returns the cells, each once, in the order they are run in.

  What does not matter to a method is None (see `Cell`) in its only cell. Seeds
  and folds change last: a comparison that is cut short has all methods.

  Args:
    data: names of data sets.
    kind: of all of them.
    methods, fractions, models, ...: the choices of `Cell`; a fraction of 0 is
      the method's own amount.
  """
  cells = []
  for (
    seed,
    fold,
    name,
    model,
    rows,
    fraction,
    share,
    upper,
    diversity,
    method,
    rate,
  ) in itertools.product(
    *(seeds, folds, data, models, augment_rows),
    *(fractions, shares, uppers, diversities, methods, rates),
  ):
    ours = method.startswith('aubal:')
    cells.append(
      Cell(
        name,
        kind,
        method,
        (fraction or None) if has_amount(method) else None,
        model,
        rows,
        upper if ours else None,
        diversity if ours else 'none',
        seed,
        fold,
        share if has_share(method) else None,
        rate,
      )
    )
  return list(dict.fromkeys(cells))


def merge(results) -> list[dict]:
  """Returns one result for all cells that differ in seed, fold and rate alone.

  Of the rates each trial is that of the best, see `rates.choose`.

  Args:
    results: contents of result.json, in the order of the grid. One that failed
      has no `trials`, and stays a row of its own; so does one that diverged at
      every rate, with its `status`.
  """
  merged, failed = {}, []
  for result in results:
    if not result.get('trials'):
      failed.append(result)
      continue
    key = tuple(result[name] for name in Cell._fields if name in result)
    whole = merged.setdefault(key, {**result, 'trials': []})
    whole['trials'] = whole['trials'] + result['trials']
  for whole in merged.values():
    whole['trials'] = rates_lib.choose(whole['trials'])
    lost = [trial for trial in whole['trials'] if 'diverged' in trial]
    if lost:
      tried = [rate for rate, _ in lost[0]['tried']]
      told = rates_lib.tell_diverged(tried, lost[0]['diverged'])
      whole |= {'trials': [], 'status': f'failed: {told}'}
  return [*merged.values(), *failed]
