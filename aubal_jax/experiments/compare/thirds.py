"""Scores of rare, middle and frequent labels: who gains, and who pays."""

from __future__ import annotations

import types

import numpy as np

PARTS = ('rare', 'middle', 'frequent')
# Name of a score -> heading. F1 is at tuned thresholds: at .5 a rare label's
# tells of its threshold alone.
SCORES = types.MappingProxyType(
  {f'ap_{part}': f'AP, {part}' for part in PARTS}
  | {f'f1_{part}_tuned': f'F1, tuned, {part}' for part in PARTS}
)


def parts(counts) -> list[np.ndarray]:
  """Returns the labels of each of PARTS: thirds of them, by their counts.

  Fewer than three labels are one group, which is each of the parts.

  Args:
    counts: int[L], positives among the training rows before resampling; of
      equals the first is the rarer.
  """
  order = np.argsort(counts, kind='stable')
  if len(order) < len(PARTS):
    return [order] * len(PARTS)
  return np.array_split(order, len(PARTS))


def score(counts, ap, f1) -> dict[str, float | None]:
  """Returns the means over the labels of each part that have a score.

  Args:
    counts: int[L], as of `parts`.
    ap: L numbers; None: not defined.
    f1: likewise, at tuned thresholds.
  """
  found = {}
  for form, values in (('ap_{}', ap), ('f1_{}_tuned', f1)):
    for part, labels in zip(PARTS, parts(counts), strict=True):
      defined = [values[k] for k in labels if values[k] is not None]
      mean = float(np.mean(defined)) if defined else None
      found[form.format(part)] = mean
  return found
