"""compare.json and compare.csv: all that was measured, and what it says.

Cells that differ only in method, bounds and diversity are compared with each
other: they share a context of model, fraction, share kept and augmented rows.
What has no fraction or share, or no rows to augment, belongs to every context.
"""

from __future__ import annotations

import itertools

import numpy as np

from aubal_jax.experiments.compare import averaged
from aubal_jax.experiments.compare import curves
from aubal_jax.experiments.compare import effects
from aubal_jax.experiments.compare import paired
from aubal_jax.experiments.compare import rates
from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.compare import thirds
from aubal_jax.experiments.compare import trials as trials_lib
from aubal_jax.experiments.compare import verdicts
from aubal_jax.runs import csv_files

REFERENCES = tuple(verdicts.REFERENCES)
_CONTEXT = ('model', 'fraction', 'share', 'augment_rows')
_CELL = (
  *('data', 'kind', 'method', 'fraction', 'share', 'model', 'augment_rows'),
  *('upper', 'diversity', 'num_steps'),
)
# The columns of compare.csv.
FIELDS = (
  *_CELL,
  *('seed', 'rate', 'repeat', 'fold', 'num_train', 'num_test'),
  *trials_lib.TITLES,
  *('rows', *trials_lib.UNEVEN, 'resample_seconds', 'train_seconds', 'status'),
)


def make_record(rows) -> dict:
  """Returns the content of compare.json, which `write_page` and `lines` take.

  Args:
    rows: the content of each cell's result.json, in the order wanted. One that
      failed has what it was to be (`data`, `method`, ...), no `trials`, and
      `status`, the reason.
  """
  rows = [{'status': ''} | row for row in rows]
  return {'rows': rows, 'statistics': summarise(rows)}


def write_csv(path, record, *, raw: bool = False) -> None:
  """Writes a row for each trial, and one for each cell that failed.

  Args:
    path: of the file.
    record: from `make_record`.
    raw: see `csv_files`.
  """
  rows = ([row.get(name) for name in FIELDS] for row in _csv_rows(record))
  csv_files.write(path, FIELDS, rows, raw=raw)


def _csv_rows(record):
  """Yields the rows of compare.csv, and more entries with them."""
  for row in (*record['rows'], *averaged.rows(record['rows'])):
    cell = {key: row.get(key) for key in (*_CELL, 'rate', 'status')}
    for trial in row.get('trials') or [{}]:
      seconds = trial.get('seconds', {})
      yield {
        **cell,
        **trial,
        **trial.get('scores', {}),
        **trial.get('plan', {}),
        **{f'{name}_seconds': value for name, value in seconds.items()},
      }


def summarise(results) -> dict:
  """Compares cells: means, paired tests, ranks, budgets and main effects.

  Args:
    results: the content of each cell's result.json. What has no trials, such
      as a cell that failed, is left out.

  Returns:
    What compare.json holds as `statistics`, without NaN: `alpha`, `scores`
    (names, without those of `thirds`), `contexts` and `effects`. A context has
    `model`, `fraction`, `share`, `augment_rows`, `data` (names), `entries` (K
    names) and
      * `cells`: for each data set and entry the means;
      * `overall`: for each entry the mean over the data sets;
      * `tests`: each entry less each of REFERENCES, on each data set and
        over all (`data` None), `p_holm` over the entries;
      * `pairs`: each entry less each other where their rows are equal;
      * `ranks`: of each score, with Friedman, Nemenyi and who is left out;
      * `shares`: of the gain over `none` (or loss) at .5, what is left with
        tuned thresholds;
      * `curves`: of each entry less `none` by step, see `curves.differences`.
  """
  results = [
    {'share': None} | result for result in results if result.get('trials')
  ]
  results += averaged.rows(results)
  names = entry_names(results)
  measured = {
    name
    for result in results
    for trial in result['trials']
    for name, value in trial['scores'].items()
    if value is not None
  }
  scores = [score for score in trials_lib.SCORES if score in measured]
  of_thirds = [score for score in thirds.SCORES if score in measured]
  choices = [
    [*dict.fromkeys(r[key] for r in results if r[key] is not None)] or [None]
    for key in _CONTEXT
  ]
  contexts, placed = [], []
  for values in itertools.product(*choices):
    where = dict(zip(_CONTEXT, values, strict=True))
    cells = _cells(results, where, names)
    if cells:
      contexts.append(where | _compare(cells, scores, of_thirds))
      placed += [
        r | where | {'entry': e, 'lacks': {k for k in where if r[k] is None}}
        for (_, e), r in cells.items()
        if e != verdicts.AVERAGED
      ]
  return {
    'alpha': significance.ALPHA,
    'scores': scores,
    'contexts': contexts,
    'effects': effects.main_effects(placed, scores),
  }


def _choice(result) -> tuple:
  """Returns what a cell is among those that it is compared with."""
  return result['method'], result['upper'], result['diversity']


def entry_names(results) -> dict:
  """Returns (method, upper, diversity) -> name, REFERENCES first."""
  keys = dict.fromkeys(map(_choice, results))
  uppers = {upper for _, upper, _ in keys if upper is not None}
  diversities = {diversity for *_, diversity in keys if diversity is not None}
  names = {}
  for key in sorted(keys, key=lambda key: _place(key[0])):
    method, upper, diversity = key
    name = method
    if upper is not None and len(uppers) > 1:
      name += f' ≤{upper:g}'
    if diversity not in (None, 'none') and len(diversities) > 1:
      name += f' {diversity}'
    names[key] = name
  return names


def _place(method) -> int:
  return REFERENCES.index(method) if method in REFERENCES else len(REFERENCES)


def _cells(results, where, names) -> dict:
  """Returns (data, entry) -> result, of what belongs to a context."""
  chosen = {}
  for result in results:
    if all(result[key] in (None, value) for key, value in where.items()):
      place = result['data'], names[_choice(result)]
      strange = sum(result[key] is None for key in where)
      if place not in chosen or strange < chosen[place][0]:
        chosen[place] = strange, result
  order = [*names.values()]
  places = sorted(chosen, key=lambda place: order.index(place[1]))
  return {place: chosen[place][1] for place in places}


def _compare(cells, scores, of_thirds) -> dict:
  """Returns all of a context but where it is.

  What is of a third of the labels is estimated and tested, no more.
  """
  every = [*scores, *of_thirds]
  data = [*dict.fromkeys(data for data, _ in cells)]
  entries = [*dict.fromkeys(entry for _, entry in cells)]
  estimates = {
    (*place, score): paired.estimate(paired.scores_of(mine, score), mine)
    for place, result in cells.items()
    for mine in (result['trials'],)
    for score in every
  }
  tests = [
    test
    for score in every
    for reference in REFERENCES
    if reference in entries
    for test in paired.against(cells, data, entries, score, reference)
  ]
  return {
    'data': data,
    'entries': entries,
    'cells': [
      {'data': d, 'entry': e}
      | _means(result, {score: estimates[d, e, score] for score in every})
      for (d, e), result in cells.items()
    ],
    'overall': _overall(estimates, data, entries, every),
    'tests': tests,
    'pairs': paired.pairs(cells, data, entries, scores),
    'ranks': [_ranks(estimates, data, entries, score) for score in scores],
    'shares': paired.shares(tests),
    'curves': curves.differences(cells, data, entries),
  }


def _means(result, estimates) -> dict:
  """Returns the means of a cell over its trials, scores with intervals."""
  trials = result['trials']
  return {
    **{key: result[key] for key in ('method', 'upper', 'diversity', 'share')},
    'num_trials': len(trials),
    'num_splits': len({(t['repeat'], t['fold']) for t in trials}),
    'scores': {score: _told(one) for score, one in estimates.items()},
    'rates': rates.counts(trials),
    'best_last': sum(t.get('best_last', False) for t in trials),
    'plan': _mean_of([t['plan'] for t in trials]),
    'seconds': _mean_of([t['seconds'] for t in trials]),
    'label_names': result['label_names'],
    **{
      key: [_mean(column) for column in zip(*rows, strict=True)]
      for key in ('frequency', *trials_lib.PER_LABEL)
      # Cells of before there were shrunk thresholds lack those.
      for rows in ([t[key] for t in trials if key in t],)
    },
  }


def _mean_of(dicts) -> dict:
  return {key: _mean([d[key] for d in dicts]) for key in dicts[0]}


def _mean(values) -> float | None:
  values = [v for v in values if v is not None]
  return sum(values) / len(values) if values else None


def _told(estimate) -> dict:
  """Returns an estimate as `mean` and `half_width`, None where unknown."""
  if estimate is None:
    return {'mean': None, 'half_width': None}
  return {'mean': estimate.mean, 'half_width': estimate.half_width()}


def _overall(estimates, data, entries, scores) -> list[dict]:
  """Returns the mean over the data sets of each entry that is on all."""
  rows = []
  for entry in entries:
    means = {}
    for score in scores:
      found = [estimates.get((d, entry, score)) for d in data]
      means[score] = _told(
        None if None in found else significance.average(found)
      )
    rows.append({'entry': entry, 'scores': means})
  return rows


def _ranks(estimates, data, entries, score) -> dict:
  """Returns average ranks over the data sets, and what they can tell."""
  entries = [entry for entry in entries if entry != verdicts.AVERAGED]
  found = {e: [estimates.get((d, e, score)) for d in data] for e in entries}
  kept = [entry for entry in entries if None not in found[entry]]
  table = np.array([[one.mean for one in found[e]] for e in kept]).T
  row = {
    'score': score,
    'data': data,
    'entries': kept,
    'left_out': [entry for entry in entries if entry not in kept],
  }
  if not kept:
    return row | {'ranks': [], 'average': [], 'friedman': None}
  ranks = significance.ranks(table)
  row |= {'ranks': ranks.tolist(), 'average': ranks.mean(axis=0).tolist()}
  friedman = significance.friedman(table)
  if friedman is None:
    return row | {'friedman': None}
  difference = significance.critical_difference(len(kept), len(data))
  spread = float(np.ptp(row['average']))
  return row | {
    'friedman': friedman._asdict(),
    'critical_difference': difference,
    'bars': significance.not_told_apart(row['average'], difference),
    'data_needed': significance.data_needed(len(kept), spread),
  }
