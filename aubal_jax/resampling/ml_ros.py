"""ML-ROS: rows with rare labels are cloned."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

_BLOCK_ENTRIES = 1 << 20  # Counts held at a time, 8 MB; or of one round.


def make_plan(
  labels, *, fraction, rng, live_mean: bool = False
) -> plan_lib.Plan:
  """Returns the plan in which rows with minority labels are cloned.

  A minority label's bag is its positives. Round after round each bag in turn,
  in the order of the columns, clones one of its original members, drawn evenly;
  class counts follow at once, and a bag whose IRLbl has come down to MeanIR is
  visited no more. MeanIR is that of the table as given. It ends with
  round(fraction N) clones, exactly, or earlier when no bag is left.

  Charte, Rivera, del Jesus and Herrera 2015, Neurocomputing 163.

  Args:
    labels: uint8 CSR [N, L].
    fraction: of the N rows to add; None is .25.
    rng: draws the members.
    live_mean: MeanIR follows the counts as well.
  """
  counts = bags.class_counts(labels)
  mean = None if live_mean else labelsets_lib.mean_ir(counts)
  bag = np.flatnonzero(bags.minority(counts))
  left = bags.num_to_add(fraction, labels.shape[0])
  starts, members = bags.members(labels)
  sizes = np.diff(starts)
  added, num_rounds = [np.empty(0, np.int64)], 1
  while left and bag.size:
    # Several rounds at once, as if no bag left; of those, the rounds after the
    # first that a bag leaves in are drawn anew, without it.
    drawn = rng.integers(sizes[bag], size=(num_rounds, len(bag)))
    drawn = members[starts[bag] + drawn].ravel()[:left]
    after = np.cumsum(labels[drawn].toarray(), axis=0, dtype=np.int64) + counts
    leaves = _reached(after, np.resize(bag, len(drawn)), mean)
    most = max(_BLOCK_ENTRIES // (len(counts) * len(bag)), 1)
    num_rounds, done = min(2 * num_rounds, most), len(drawn)
    if leaves.any():
      num_rounds = leaves.argmax() // len(bag) + 1
      done = min(num_rounds * len(bag), done)
      bag = bag[~np.resize(leaves[done - len(bag) : done], len(bag))]
    added.append(drawn[:done])
    counts, left = after[done - 1], left - done
  return plan_lib.with_added(labels.shape[0], np.concatenate(added))


def _reached(counts, label, mean):
  """Returns bool[K], whether IRLbl of `label[k]` is at or below MeanIR.

  Args:
    counts: int[K, L], class counts after each clone.
    label: int[K].
    mean: MeanIR; None: that of the same counts.
  """
  highest = counts.max(axis=1)
  own = highest / counts[np.arange(len(counts)), label]
  if mean is None:
    present = counts[-1] > 0
    mean = (highest[:, np.newaxis] / counts[:, present]).mean(axis=1)
  return own <= mean * (1 + bags.ROUNDING)
