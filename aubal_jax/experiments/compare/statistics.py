"""From the results of all cells to what a comparison of them can say.

Cells that differ only in method, bounds and diversity are compared with each
other: they share a context of model, fraction and augmented rows. What has no
fraction, or no rows to augment, belongs to every context.
"""

from __future__ import annotations

import itertools

import numpy as np

from aubal_jax.experiments.compare import effects
from aubal_jax.experiments.compare import paired
from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.compare import trials as trials_lib

REFERENCES = ('none', 'random')
_CONTEXT = ('model', 'fraction', 'augment_rows')


def summarise(results) -> dict:
  """Compares cells: means, paired tests, ranks, budgets and main effects.

  Args:
    results: the content of each cell's result.json. What has no trials, such
      as a cell that failed, is left out.

  Returns:
    What compare.json holds as `statistics`, without NaN: `alpha`, `scores`
    (names), `contexts` and `effects`. A context has `model`,
    `fraction`, `augment_rows`, `data` (names), `entries` (K names) and
      * `cells`: for each data set and entry the means;
      * `overall`: for each entry the mean over the data sets;
      * `tests`: each entry less `none` and less `random`, on each data set and
        over all (`data` None), `p_holm` over the entries;
      * `pairs`: each entry less each other where their rows are equal;
      * `ranks`: of each score, with Friedman, Nemenyi and who is left out;
      * `shares`: of the gain over `none` (or loss) at .5, what is left with
        tuned thresholds.
  """
  results = [result for result in results if result.get('trials')]
  names = entry_names(results)
  scores = [s for s in trials_lib.SCORES if any(_has(r, s) for r in results)]
  choices = [
    [*dict.fromkeys(r[key] for r in results if r[key] is not None)] or [None]
    for key in _CONTEXT
  ]
  contexts, placed = [], []
  for values in itertools.product(*choices):
    where = dict(zip(_CONTEXT, values, strict=True))
    cells = _cells(results, where, names)
    if cells:
      contexts.append(where | _compare(cells, scores))
      placed += [
        r | where | {'entry': e, 'lacks': {k for k in where if r[k] is None}}
        for (_, e), r in cells.items()
      ]
  return {
    'alpha': significance.ALPHA,
    'scores': scores,
    'contexts': contexts,
    'effects': effects.main_effects(placed, scores),
  }


def entry_names(results) -> dict:
  """Returns (method, upper, diversity) -> name, `none` and `random` first."""
  keys = dict.fromkeys(trials_lib.entry(r) for r in results)
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


def _has(result, score) -> bool:
  return any(t['scores'].get(score) is not None for t in result['trials'])


def _cells(results, where, names) -> dict:
  """Returns (data, entry) -> result, of what belongs to a context."""
  chosen = {}
  for result in results:
    if all(result[key] in (None, value) for key, value in where.items()):
      place = result['data'], names[trials_lib.entry(result)]
      strange = sum(result[key] is None for key in where)
      if place not in chosen or strange < chosen[place][0]:
        chosen[place] = strange, result
  order = [*names.values()]
  places = sorted(chosen, key=lambda place: order.index(place[1]))
  return {place: chosen[place][1] for place in places}


def _compare(cells, scores) -> dict:
  """Returns all of a context but where it is."""
  data = [*dict.fromkeys(data for data, _ in cells)]
  entries = [*dict.fromkeys(entry for _, entry in cells)]
  tests = [
    test
    for score in scores
    for reference in REFERENCES
    if reference in entries
    for test in paired.against(cells, data, entries, score, reference)
  ]
  return {
    'data': data,
    'entries': entries,
    'cells': [
      {'data': place[0], 'entry': place[1], **_means(result, scores)}
      for place, result in cells.items()
    ],
    'overall': _overall(cells, data, entries, scores),
    'tests': tests,
    'pairs': paired.pairs(cells, data, entries, scores),
    'ranks': [_ranks(cells, data, entries, score) for score in scores],
    'shares': paired.shares(tests),
  }


def _means(result, scores) -> dict:
  """Returns the means of a cell over its trials, scores with intervals."""
  trials = result['trials']
  return {
    **{key: result[key] for key in ('method', 'upper', 'diversity')},
    'num_trials': len(trials),
    'num_splits': len({(t['repeat'], t['fold']) for t in trials}),
    'scores': {score: _told(_estimate(result, score)) for score in scores},
    'plan': _mean_of([t['plan'] for t in trials]),
    'seconds': _mean_of([t['seconds'] for t in trials]),
    'label_names': result['label_names'],
    **{
      key: [_mean(column) for column in zip(*rows, strict=True)]
      for key in ('frequency', 'f1_per_label', 'f1_per_label_tuned')
      for rows in ([t[key] for t in trials],)
    },
  }


def _estimate(result, score):
  trials = result['trials']
  return trials_lib.estimate(trials_lib.values(trials, score), trials)


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


def _overall(cells, data, entries, scores) -> list[dict]:
  """Returns the mean over the data sets of each entry that is on all."""
  rows = []
  for entry in entries:
    row = {'entry': entry, 'scores': {}}
    for score in scores:
      found = [
        _estimate(cells[d, entry], score) for d in data if (d, entry) in cells
      ]
      whole = len(found) == len(data) and None not in found
      row['scores'][score] = _told(
        significance.average(found) if whole else None
      )
    rows.append(row)
  return rows


def _ranks(cells, data, entries, score) -> dict:
  """Returns average ranks over the data sets, and what they can tell."""
  table = np.full((len(data), len(entries)), np.nan)
  for (d, entry), result in cells.items():
    one = _estimate(result, score)
    if one is not None:
      table[data.index(d), entries.index(entry)] = one.mean
  whole = ~np.isnan(table).any(axis=0)
  kept = [entry for entry, there in zip(entries, whole, strict=True) if there]
  row = {
    'score': score,
    'data': data,
    'entries': kept,
    'left_out': [entry for entry in entries if entry not in kept],
  }
  if not kept:
    return row | {'ranks': [], 'average': [], 'friedman': None}
  ranks = significance.ranks(table[:, whole])
  row |= {'ranks': ranks.tolist(), 'average': ranks.mean(axis=0).tolist()}
  friedman = significance.friedman(table[:, whole])
  if friedman is None:
    return row | {'friedman': None}
  difference = significance.critical_difference(len(kept), len(data))
  return row | {
    'friedman': friedman._asdict(),
    'critical_difference': difference,
    'bars': significance.not_told_apart(row['average'], difference),
    'data_needed': significance.data_needed(
      len(kept), float(np.ptp(row['average']))
    ),
  }
