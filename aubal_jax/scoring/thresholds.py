r"""Thresholds that hold on new images: of a label, and of all labels together.

The threshold of the best F1 of a label rests on its positives, and where those
are few it follows their noise. It is drawn towards the one threshold of the
best F1 macro, which rests on all labels, the more the fewer there are:

    logit t = w logit t_label + (1 - w) logit t_all,    w = P / (P + 10)

P counts the known positives of the label among the images of tuning. Fan, Lin:
A Study on Threshold Selection for Multi-label Classification, 2007, shows what
thresholds of rare labels do without a restraint.

Break-even thresholds are those of the published multi-task system: where
precision and recall of a label are nearest. Deng, Chen, Shi: Multitask Emotion
Recognition with Incomplete Labels, FG 2020.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from aubal_jax.scoring import metrics

KINDS = ('shrunk', 'tuned', 'break_even', 'half')
BESIDE = ('tuned', 'shrunk')  # In every report.
FEW = 10  # Positives with which a label's own threshold weighs a half.
_LEAST = 1e-6  # Probabilities are as far from 0 and 1, for finite logits.
_EQUAL = 1e-9  # Below this a difference in F1 is that of rounding.


@dataclasses.dataclass(frozen=True, eq=False)
class Thresholds:
  """Thresholds, and what they rest on.

  Attributes:
    labels: float64[L], of the best F1 of each label, see
      `metrics.tune_thresholds`.
    of_all: of the best F1 macro, see `tune_for_all`; None: not known.
    positives: int64[L], known positives behind each of `labels`; None: not
      known.
    break_even: float64[L], see `tune_break_even`; None: not known.
    smooth: the width in frames over which what is predicted of a video is
      best averaged, see `smoothing.find`; None: not known.
  """

  labels: np.ndarray
  of_all: float | None = None
  positives: np.ndarray | None = None
  break_even: np.ndarray | None = None
  smooth: int | None = None

  @property
  def shrunk(self) -> np.ndarray | None:
    """float64[L], see `shrink`; None where it is not known what from."""
    if self.of_all is None or self.positives is None:
      return None
    return shrink(self.labels, self.of_all, self.positives)

  def of_kind(self, kind: str) -> np.ndarray | None:
    """Returns float64[L] of a kind but 'half'; None where not known."""
    return self.labels if kind == 'tuned' else getattr(self, kind)

  def to_json(self) -> dict:
    """Returns what `from_json` takes, in plain JSON types."""
    found = {'thresholds': self.labels.tolist()}
    if self.of_all is not None and self.positives is not None:
      found['shrinking'] = {
        'threshold': float(self.of_all),
        'positives': self.positives.tolist(),
      }
    if self.break_even is not None:
      found['break_even'] = self.break_even.tolist()
    if self.smooth is not None:
      found['smoothing'] = {'width': self.smooth}
    return found


def from_json(content: Mapping) -> Thresholds | None:
  """Returns the thresholds of `to_json`, with what an older file has of them.

  Args:
    content: may hold more, and no thresholds.
  """
  if content.get('thresholds') is None:
    return None
  shrinking = content.get('shrinking')
  labels, even = (
    None if found is None else np.array(found, np.float64)
    for found in (content['thresholds'], content.get('break_even'))
  )
  smoothing = content.get('smoothing')
  smooth = None if smoothing is None else int(smoothing['width'])
  if shrinking is None:
    return Thresholds(labels, break_even=even, smooth=smooth)
  return Thresholds(
    labels,
    of_all=float(shrinking['threshold']),
    positives=np.array(shrinking['positives'], np.int64),
    break_even=even,
    smooth=smooth,
  )


def find(probability, label, known=None) -> Thresholds:
  """Tunes thresholds on images that are not scored with them.

  Args:
    probability: float[N, L], in [0, 1].
    label: 0/1 or bool [N, L]; ignored where not known.
    known: bool[N, L], or None where every label is known.

  Raises:
    UserError: as `metrics.check_entries`.
  """
  entries = metrics.check_entries(probability, label, known)
  _, label, known = entries
  return Thresholds(
    labels=metrics.tune_thresholds(*entries),
    of_all=tune_for_all(*entries),
    positives=np.count_nonzero(label & known, axis=0),
    break_even=tune_break_even(*entries),
  )


def tune_break_even(probability, label, known=None) -> np.ndarray:
  """Finds where precision and recall of each label are nearest.

  Of all scores of the label, upwards, it is the first where |precision -
  recall| of those at or above it is least; a score equal to it is then not
  positive, as published. So what is returned is the next float64 above it. A
  label without a known positive keeps 0.5. O(L N log N).

  Args:
    probability: float[N, L], in [0, 1].
    label: 0/1 or bool [N, L]; ignored where not known.
    known: bool[N, L], or None where every label is known.

  Returns:
    float64[L]; an entry is positive if its probability >= the threshold.

  Raises:
    UserError: as `metrics.check_entries`.
  """
  entries = metrics.check_entries(probability, label, known)
  columns = zip(*(x.T for x in entries), strict=True)
  return np.array(
    [_break_even(p[k].astype(np.float64), truth[k]) for p, truth, k in columns]
  )


def _break_even(score, label):
  """Returns the threshold for float64[N], bool[N]."""
  if not label.any():
    return 0.5
  order = np.argsort(-score, kind='stable')
  score, hits = score[order], np.cumsum(label[order])
  last = metrics.cuts(score)[::-1]
  apart = np.abs(hits[last] / (last + 1) - hits[last] / hits[-1])
  return np.nextafter(score[last[apart.argmin()]], np.inf)


def shrink(labels, of_all, positives) -> np.ndarray:
  """Draws thresholds towards one, on logits; see the module.

  Args:
    labels: float[L], of each label.
    of_all: the one; it is that of a label without a positive.
    positives: int[L], behind each of `labels`.

  Returns:
    float64[L].
  """
  positives = np.asarray(positives, np.float64)
  weight = positives / (positives + FEW)
  mixed = weight * logit(labels) + (1 - weight) * logit(of_all)
  return np.where(positives > 0, sigmoid(mixed), of_all)


def logit(probability, least: float = _LEAST) -> np.ndarray:
  """Returns log(p / (1 - p)) in float64, p cut to `least` from 0 and 1."""
  p = np.clip(np.asarray(probability, np.float64), least, 1 - least)
  return np.log(p) - np.log1p(-p)


def sigmoid(x) -> np.ndarray:
  """Returns 1 / (1 + exp(-x)) in float64."""
  return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def tune_for_all(probability, label, known=None) -> float:
  """Finds the one threshold of the largest F1 macro.

  All cuts between two distinct scores of any labels are tried, and the one
  below all of them; the threshold is the midpoint of the scores around the cut.
  Cuts whose F1 macro differs by less than 1e-9 are equally good: of them the
  one nearest 0.5 is taken, of two as near the upper. Without a positive it is
  0.5, as every cut scores 0. O(N L log(N L)).

  Args:
    probability: float[N, L], in [0, 1].
    label: 0/1 or bool [N, L]; ignored where not known.
    known: bool[N, L], or None where every label is known.

  Raises:
    UserError: as `metrics.check_entries`.
  """
  probability, label, known = metrics.check_entries(probability, label, known)
  truth, num_labels = label[known], label.shape[1]
  if not truth.any():
    return 0.5
  score = probability[known]
  column = np.broadcast_to(np.arange(num_labels), label.shape)[known]
  order = np.argsort(-score)  # A cut is after all that are equal.
  score = score[order].astype(np.float64)
  gain = _gains(truth[order], column[order], num_labels)
  last = metrics.cuts(score)
  f1 = np.cumsum(gain)[last] / num_labels
  best = last[f1 > f1.max() - _EQUAL]
  return float(metrics.nearest_half(score, best))


def _gains(truth, column, num_labels):
  """Returns what each entry adds to the F1 of its label when called positive.

  Args:
    truth: bool[M], in the order in which entries are called positive.
    column: int[M], the label of each.
    num_labels: L.

  Returns:
    float64[M]; the sum of the first k is the sum of F1 over labels, where k are
    called positive.
  """
  small = column.astype(np.min_scalar_type(num_labels))
  by_label = np.argsort(small, kind='stable')  # Linear in M: they are small.
  truth, column = truth[by_label], column[by_label]
  sizes = np.bincount(column, minlength=num_labels)
  starts = np.cumsum(sizes) - sizes
  hits = np.concatenate([[0], np.cumsum(truth)])
  positives = hits[starts + sizes] - hits[starts]
  found = hits[1:] - hits[starts][column]
  called = np.arange(1, len(truth) + 1) - starts[column]
  f1 = 2 * found / (called + positives[column])
  before = np.concatenate([[0.0], f1[:-1]])
  before[called == 1] = 0
  gains = np.empty(len(truth))
  gains[by_label] = f1 - before
  return gains
