r"""Scores of multi-label predictions, from counts that can be added up.

Everything rests on four counts per label, over the entries whose label is
known: true and false positives, false and true negatives. Counts of two parts
of a data set add up to the counts of the whole, scores do not: so counts are
merged first and divided once. Where a score would be 0 / 0 it is 0, as in
scikit-learn with `zero_division=0`: a label without a positive has F1 0.

    precision = tp / (tp + fp)            recall = tp / (tp + fn)
    F1        = 2 tp / (2 tp + fp + fn)   F1 macro = mean of F1 over labels
    accuracy  = correct entries / known entries (all labels together)
    AWC       = (F1 macro + accuracy) / 2

Rieger, Pahl, Seuss: Unique Class Group Based Multi-Label Balancing Optimizer
for Action Unit Detection, FG 2020 (arXiv 2003.08751).
"""

import dataclasses

import numpy as np

from aubal_jax.runs import errors


def divide(numerator, denominator):
  """Returns numerator / denominator as float64, and 0 where it is 0 / 0."""
  numerator = np.asarray(numerator, np.float64)
  denominator = np.asarray(denominator, np.float64)
  out = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
  return np.divide(numerator, denominator, out=out, where=denominator > 0)


@dataclasses.dataclass(frozen=True)
class Confusion:
  """Counts of right and wrong decisions per label; `a + b` merges two.

  The last axis is the label. Axes before it, if any, are separate data sets
  (such as bootstrap samples), and every score keeps them.

  Attributes:
    tp: int64[..., L], positives found.
    fp: int64[..., L], negatives called positive.
    fn: int64[..., L], positives missed.
    tn: int64[..., L], negatives left alone.
  """

  tp: np.ndarray
  fp: np.ndarray
  fn: np.ndarray
  tn: np.ndarray

  @classmethod
  def from_probabilities(cls, probability, label, known=None, thresholds=0.5):
    """Counts decisions `probability >= threshold` over the known entries.

    Args:
      probability: float[N, L].
      label: 0/1 or bool [N, L]; ignored where not known.
      known: bool[N, L], or None where every label is known.
      thresholds: float, or float[L].

    Returns:
      The Confusion, int64[L] each.

    Raises:
      UserError: shapes differ, a label is neither 0 nor 1, or a probability
        of a known entry is not a number.
    """
    entries = check_entries(probability, label, known)
    return cls.from_decisions(decisions(*entries, thresholds))

  @classmethod
  def from_decisions(cls, decided):
    """Counts (tp, fp, fn, tn), bool[N, L] each, as `decisions` has them."""
    return cls(*(x.sum(axis=0, dtype=np.int64) for x in decided))

  def _counts(self):
    return self.tp, self.fp, self.fn, self.tn

  def __add__(self, other):
    """Returns the counts of both parts together."""
    if not isinstance(other, Confusion):
      return NotImplemented
    if self.tp.shape[-1] != other.tp.shape[-1]:
      raise errors.UserError(
        'Confusions can be added if they have the same labels, but one has '
        f'{self.tp.shape[-1]} and the other {other.tp.shape[-1]}: count both '
        'over the same label columns.'
      )
    pairs = zip(self._counts(), other._counts(), strict=True)
    return Confusion(*(mine + theirs for mine, theirs in pairs))

  @property
  def positives(self):
    """int64[..., L], known entries that are 1."""
    return self.tp + self.fn

  @property
  def negatives(self):
    """int64[..., L], known entries that are 0."""
    return self.fp + self.tn

  @property
  def precision(self):
    """float64[..., L], tp / (tp + fp); 0 where nothing is called positive."""
    return divide(self.tp, self.tp + self.fp)

  @property
  def recall(self):
    """float64[..., L], tp / (tp + fn); 0 where there is no positive."""
    return divide(self.tp, self.tp + self.fn)

  @property
  def f1(self):
    """float64[..., L], 2 tp / (2 tp + fp + fn); 0 where that is 0 / 0."""
    return divide(2 * self.tp, 2 * self.tp + self.fp + self.fn)

  @property
  def f1_skew_normalised(self):
    """float64[..., L], F1 as if there were as many negatives as positives.

    With r the recall and q = fp / (fp + tn) the share of negatives called
    positive: 2 r / (1 + r + q). Comparable between labels of different
    frequency, which F1 is not. 0 where there is no positive or no negative.
    Jeni, Cohn, De la Torre: Facing Imbalanced Data, ACII 2013.
    """
    false_rate = divide(self.fp, self.negatives)
    score = 2 * self.recall / (1 + self.recall + false_rate)
    return np.where(self.negatives > 0, score, 0.0)

  @property
  def f1_macro(self):
    """float64[...], mean of F1 over all labels, those without positives too."""
    return self.f1.mean(axis=-1)

  @property
  def f1_macro_present(self):
    """float64[...], mean of F1 over the labels that have a positive, or 0."""
    present = self.positives > 0
    return divide((self.f1 * present).sum(axis=-1), present.sum(axis=-1))

  @property
  def f1_micro(self):
    """float64[...], F1 of the counts summed over labels."""
    return self.pooled().f1[..., 0]

  @property
  def accuracy(self):
    """float64[...], correct entries / known entries, all labels together."""
    correct = (self.tp + self.tn).sum(axis=-1)
    return divide(correct, (self.positives + self.negatives).sum(axis=-1))

  @property
  def awc(self):
    """float64[...], (F1 macro + accuracy) / 2, the challenge's criterion."""
    return (self.f1_macro + self.accuracy) / 2

  def pooled(self):
    """Returns the counts summed over labels, as one label: int64[..., 1]."""
    return Confusion(*(x.sum(axis=-1, keepdims=True) for x in self._counts()))

  def all_negative(self):
    """Returns the counts of a predictor that never says yes: the one floor."""
    zero = np.zeros_like(self.tp)
    return Confusion(tp=zero, fp=zero, fn=self.positives, tn=self.negatives)

  def all_positive(self):
    """Returns the counts of a predictor that always says yes: the other."""
    zero = np.zeros_like(self.tp)
    return Confusion(tp=self.positives, fp=self.negatives, fn=zero, tn=zero)


def check_entries(probability, label, known=None):
  """Returns (probability float[N, L], label bool[N, L], known bool[N, L]).

  Raises:
    UserError: shapes differ, a known label is neither 0 nor 1, or the
      probability of a known entry is not a number.
  """
  probability, label = np.asarray(probability), np.asarray(label)
  known = (
    np.ones(label.shape, bool) if known is None else np.asarray(known, bool)
  )
  if probability.ndim != 2 or not (
    probability.shape == label.shape == known.shape
  ):
    raise errors.UserError(
      'probability, label and known must have one shape [N, L], but have '
      f'{probability.shape}, {label.shape} and {known.shape}: give one row '
      'per image and one column per label.'
    )
  if label.dtype != bool and np.any(known & (label != 0) & (label != 1)):
    worst = label[known & (label != 0) & (label != 1)][0]
    raise errors.UserError(
      f'label must be 0 or 1 where known, but holds {worst}: set known to '
      'False where the label is unknown.'
    )
  check_finite(probability, known)
  return probability, label.astype(bool), known


def check_finite(probability, known):
  """Raises UserError where what a network says of a known entry is no number.

  Args:
    probability: float[N, L].
    known: bool[N, L] or bool[N, 1].
  """
  bad = known & ~np.isfinite(probability)
  if bad.any():
    row, column = np.argwhere(bad)[0]
    raise errors.UserError(
      f'probability must be finite, but row {row}, column {column} is '
      f'{probability[row, column]}: the model that made it has diverged.'
    )


def decisions(probability, label, known, thresholds=0.5):
  """Returns which known entries are tp, fp, fn, tn: bool[N, L] each.

  Args:
    probability: float[N, L].
    label: bool[N, L].
    known: bool[N, L].
    thresholds: float, float[L] or float[N, L]; compared in float64, and a
      probability equal to its threshold counts as positive.
  """
  # float32 scores widen exactly, so a midpoint stays between its neighbours.
  said = probability.astype(np.float64) >= np.asarray(thresholds, np.float64)
  yes, no = known & label, known & ~label
  return yes & said, no & said, yes & ~said, no & ~said


def _tune_one(score, label):
  """Returns the threshold of the best F1 for float64[N], bool[N]."""
  positives = np.count_nonzero(label)
  if not positives:
    return 0.5  # Every cut scores 0.
  order = np.argsort(-score, kind='stable')
  score, hits = score[order], np.cumsum(label[order])
  last = cuts(score)
  f1 = 2 * hits[last] / (last + 1 + positives)
  return nearest_half(score, last[f1 == f1.max()])


def cuts(score):
  """Returns the places after which float[N], sorted downwards, can be cut.

  A cut after place k calls the k + 1 highest scores positive. It is possible
  where the next score is lower, and after the last.
  """
  return np.flatnonzero(np.append(score[1:] < score[:-1], True))


def nearest_half(score, cut):
  """Returns the threshold nearest 0.5 of some cuts, the upper of two as near.

  Args:
    score: float64[N], sorted downwards.
    cut: int[C], of `cuts`.
  """
  high = score[cut]
  low = np.append(score, min(0.0, score[-1]))[cut + 1]
  middle = low + (high - low) / 2
  # Between neighbouring floats there is no middle: the upper one cuts there.
  middle = np.where((middle > low) | (cut == len(score) - 1), middle, high)
  return middle[np.argmin(np.abs(middle - 0.5))]


def tune_thresholds(probability, label, known=None):
  """Finds the threshold of the largest F1 for each label, exactly.

  All cut points between two distinct scores are tried, and the one below all
  scores (everything positive). The threshold is the midpoint of the scores
  around the cut; of equally good cuts the one nearest 0.5 is taken. A label
  without a known positive keeps 0.5. O(L N log N).

  Args:
    probability: float[N, L], in [0, 1].
    label: 0/1 or bool [N, L]; ignored where not known.
    known: bool[N, L], or None where every label is known.

  Returns:
    float64[L]; an entry is positive if its probability >= the threshold.

  Raises:
    UserError: as `check_entries`.
  """
  entries = check_entries(probability, label, known)
  columns = zip(*(x.T for x in entries), strict=True)
  return np.array(
    [_tune_one(p[k].astype(np.float64), truth[k]) for p, truth, k in columns],
    np.float64,
  )


def roc_auc(probability, label, known):
  """Area under the ROC curve per label, over the known entries.

  Args:
    probability, label, known: as `check_entries` returns them.

  Returns:
    L floats; None for a label without a positive or without a negative.
  """
  return _ranked(_auc, probability, label, known, needs_negative=True)


def _auc(label, probability):
  """Returns the share of pairs in the right order, ties half (Mann-Whitney)."""
  # The ranks of scipy.stats, whose import alone takes most of a second.
  _, place, count = np.unique(
    probability, return_inverse=True, return_counts=True
  )
  rank = np.cumsum(count) - (count - 1) / 2
  positives = np.count_nonzero(label)
  above = rank[place[label]].sum()
  above -= positives * (positives + 1) / 2
  return above / (positives * (len(label) - positives))


def average_precision(probability, label, known):
  """Average precision per label, sum_k (R_k - R_{k-1}) P_k, where known.

  Args:
    probability, label, known: as `check_entries` returns them.

  Returns:
    L floats; None for a label without a positive.
  """
  return _ranked(
    _average_precision, probability, label, known, needs_negative=False
  )


def _average_precision(label, probability):
  """Returns the average precision of bool[N], float[N]; ties are one cut."""
  order = np.argsort(-probability, kind='stable')
  hits, last = np.cumsum(label[order]), cuts(probability[order])
  found = hits[last]
  return (np.diff(found, prepend=0) * found / (last + 1)).sum() / found[-1]


def _ranked(score, probability, label, known, *, needs_negative):
  """Returns [score(label, probability)] per label, None where undefined."""
  scores = []
  for p, truth, k in zip(probability.T, label.T, known.T, strict=True):
    truth = truth[k]
    defined = truth.any() and not (needs_negative and truth.all())
    scores.append(float(score(truth, p[k])) if defined else None)
  return scores
