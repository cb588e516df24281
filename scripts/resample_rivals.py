"""Other programs that resample: public ones, and plain loops to be beaten.

Each takes labels uint8[N, L] and features float32[N, F] or None, and returns a
table with a row for each row that it makes or keeps.
"""

import random

import numpy as np

FRACTION = 0.25


def irlbl(table):
  """Returns float64[L], the largest class count over each; inf if absent."""
  counts = table.sum(axis=0, dtype=np.int64)
  with np.errstate(divide='ignore'):
    return counts.max() / counts


def loop_ml_ros(labels, features):
  """ML-ROS by the book, without a thought of speed; returns labels."""
  draw = random.Random(0)
  ratios = irlbl(labels)
  mean_ir = ratios[np.isfinite(ratios)].mean()
  bags = {
    label: [row for row in range(len(labels)) if labels[row, label]]
    for label in range(labels.shape[1])
    if mean_ir < ratios[label] < np.inf
  }
  wanted, table = len(labels) + round(FRACTION * len(labels)), labels
  while bags and len(table) < wanted:
    for label in list(bags):
      table = np.vstack([table, labels[draw.choice(bags[label])]])
      if irlbl(table)[label] <= mean_ir:
        del bags[label]
      if len(table) == wanted:
        break
  return table


def loop_lp_ros(labels, features):
  """LP-ROS by the book, without a thought of speed; returns labels."""
  draw, bags = random.Random(0), {}
  for row in range(len(labels)):
    bags.setdefault(tuple(labels[row].tolist()), []).append(row)
  mean = len(labels) / len(bags)
  small = sorted(
    (x for x in bags.values() if len(x) < mean), key=len, reverse=True
  )
  left, table = round(FRACTION * len(labels)), labels
  for place, bag in enumerate(small):
    share = min(left // (len(small) - place), int(mean - len(bag)))
    for _ in range(share):
      table = np.vstack([table, labels[draw.choice(bag)]])
    left -= share
  return table


def multismote(labels, features):
  """MLSMOTE of the package multismote."""
  from multismote import MultiSMOTE

  sampler = MultiSMOTE(k_neighbors=5, random_state=0)
  return sampler.fit_resample(features, labels)[1]


def _label_by_label(labels, features, make_sampler):
  """Returns the labels with what imbalanced-learn adds for each rare label."""
  ratios = irlbl(labels)
  mean_ir = ratios[np.isfinite(ratios)].mean()
  added = []
  for label in np.flatnonzero((ratios > mean_ir) & np.isfinite(ratios)):
    target = labels[:, label]
    count = int(target.sum())
    if count > 1:
      sampler = make_sampler({1: min(2 * count, len(labels) - count)}, count)
      added.append(sampler.fit_resample(features, target)[0][len(labels) :])
  return np.concatenate([features, *added])


def imblearn_smote(labels, features):
  """SMOTE of imbalanced-learn, twice the positives of each rare label."""
  from imblearn.over_sampling import SMOTE

  return _label_by_label(
    labels,
    features,
    lambda wanted, count: SMOTE(
      sampling_strategy=wanted,
      k_neighbors=min(5, count - 1),
      random_state=0,
    ),
  )


def imblearn_random(labels, features):
  """Clones of imbalanced-learn, twice the positives of each rare label."""
  from imblearn.over_sampling import RandomOverSampler

  return _label_by_label(
    labels,
    np.arange(len(labels))[:, None],
    lambda wanted, _: RandomOverSampler(
      sampling_strategy=wanted, random_state=0
    ),
  )


# name: the method of ours it stands beside, what to import, what to call, and
# whether it needs features.
RIVALS = {
  'loop ml_ros': ('ml_ros', None, loop_ml_ros, False),
  'loop lp_ros': ('lp_ros', None, loop_lp_ros, False),
  'imblearn RandomOverSampler': ('ml_ros', 'imblearn', imblearn_random, False),
  'imblearn SMOTE': ('smote', 'imblearn', imblearn_smote, True),
  'multismote': ('mlsmote', 'multismote', multismote, True),
}
