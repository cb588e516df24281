"""Main effects of a crossed experiment: one factor, the others held equal."""

from __future__ import annotations

import itertools
import statistics

from aubal_jax.experiments.compare import paired
from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.compare import verdicts

# Factor -> what is held equal while it changes. An entry is a method with its
# bounds, and is held with the rows and the images that are augmented.
_HELD = {
  'entry': ('fraction', 'share', 'augment_rows'),
  'augment_rows': ('entry', 'fraction', 'share'),
  'fraction': ('entry', 'share', 'augment_rows'),
  'share': ('entry', 'fraction', 'augment_rows'),
  'upper': ('method', 'diversity', 'fraction', 'share', 'augment_rows'),
  'diversity': ('method', 'upper', 'fraction', 'share', 'augment_rows'),
}
# The first of these that there is, is what the others are compared with.
_ORDER = {
  'entry': tuple(verdicts.REFERENCES),
  'augment_rows': ('none', 'added', 'all'),
  'diversity': ('none',),
}


def main_effects(cells, scores) -> list[dict]:
  """Returns what each factor changes, on average over all else.

  Args:
    cells: dicts of `data`, `model`, `entry`, `trials`, all that is held, and
      `lacks`, the factors that cannot change a cell.
    scores: names.

  Returns:
    dicts of `model`, `factor`, `level`, `reference`, `score`, `data` (None:
    the mean over the data sets), `difference`, `half_width`, `p`,
    `p_holm` (over the levels) and `num_held`, how many combinations of the
    rest both levels have. Empty unless a factor beside the entry has several
    levels.
  """
  factors = {f: _levels(cells, f) for f in _HELD}
  crossed = [f for f in factors if f != 'entry' and len(factors[f]) > 1]
  if not crossed:
    return []
  effects = []
  for model in dict.fromkeys(cell['model'] for cell in cells):
    mine = [cell for cell in cells if cell['model'] == model]
    for factor, score in itertools.product(('entry', *crossed), scores):
      references = factors[factor][:1]
      if factor == 'entry':
        references = [x for x in _ORDER['entry'] if x in factors[factor]]
      for reference in references:
        found = [
          {'model': model, 'factor': factor, 'level': level} | row
          for level in factors[factor]
          if level not in (reference, references[0])
          for row in _effect(mine, factor, level, reference, score)
        ]
        effects += _adjusted(found)
  return effects


def _adjusted(effects) -> list[dict]:
  """Returns effects with `p_holm`, over the levels on each data set."""
  families = {}
  for row in effects:
    families.setdefault(row['data'], []).append(row)
  return [
    row | {'p_holm': p}
    for family in families.values()
    for row, p in zip(
      family,
      significance.holm([row['p'] for row in family]),
      strict=True,
    )
  ]


def _levels(cells, factor) -> list:
  """Returns the values of a factor, the reference first."""
  found = dict.fromkeys(
    cell[factor] for cell in cells if cell[factor] is not None
  )
  first = _ORDER.get(factor)
  if first is None:
    return sorted(found)
  return sorted(found, key=lambda x: first.index(x) if x in first else 9)


def _effect(cells, factor, level, reference, score) -> list[dict]:
  """Returns the effect of a level on each data set, and over all."""
  found, held, rows = [], [], []
  data = [*dict.fromkeys(cell['data'] for cell in cells)]
  for d in data:
    sides = [
      {
        tuple(cell[key] for key in _HELD[factor]): cell['trials']
        for cell in cells
        if cell['data'] == d
        and cell[factor] == value
        and factor not in cell['lacks']
      }
      for value in (level, reference)
    ]
    both = [key for key in sides[0] if key in sides[1]]
    one = _averaged([(sides[0][k], sides[1][k]) for k in both], score)
    if one is not None:
      found.append(one)
      held.append(len(both))
      rows.append((d, one, len(both)))
  if len(data) > 1 and len(found) == len(data):
    rows.append((None, significance.average(found), min(held)))
  return [
    {
      'reference': reference,
      'score': score,
      'data': d,
      'difference': one.mean,
      'half_width': one.half_width(),
      'p': one.p_value(),
      'num_held': num_held,
    }
    for d, one, num_held in rows
  ]


def _averaged(pairs, score):
  """Returns the estimate of differences, averaged over pairs of cells."""
  found = [paired.differences(a, b, score) for a, b in pairs]
  common = set.intersection(*map(set, found)) if found else ()
  means = {key: statistics.fmean(x[key] for x in found) for key in common}
  return paired.estimate(means, pairs[0][0] if pairs else ())
