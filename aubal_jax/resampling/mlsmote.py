"""mlsmote: new rows between near rows of a rare label, with labels by vote."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aubal_jax.resampling import neighbours as neighbours_lib
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib

COMBINES = ('ranking', 'union', 'intersection')


def make_plan(
  labels,
  *,
  fraction,
  rng,
  features,
  neighbours: int = 5,
  combine: str = 'ranking',
) -> plan_lib.Plan:
  """Adds rows by MLSMOTE.

  For each label with IRLbl above MeanIR, each row that has it is a seed. Its k
  nearest are found among the rows that have the label too, and one of them,
  drawn, is the reference: the new row lies between the two, for each feature
  at a place of its own. Its labels come from the seed and all k neighbours.
  IRLbl and bags are those of the table, whatever has been added: public
  versions that evaluate them anew, or that search all rows for neighbours,
  make other rows. A bag of one row makes
  none; the others make its row instead.

  Charte et al. 2015, Knowledge-Based Systems 89.

  Args:
    labels: uint8[N, L].
    fraction: round(fraction N) rows, spread evenly over the seeds of all
      minority labels. None: as many as the counts of these labels sum to,
      the paper's amount: one for each seed.
    rng: where references, and what is left of even rounds, are drawn from.
    features: float[N, F].
    neighbours: k; in a bag of fewer, all others.
    combine: which labels a new row has: those of more than half of the k + 1
      rows ('ranking'), of any ('union'), or of all ('intersection').

  Returns:
    The plan; unchanged where no minority label has two positives.

  Raises:
    UserError: features are missing or not finite numbers, combine is none of
      these, or neighbours is no whole number above 0.
  """
  if combine not in COMBINES:
    raise errors.UserError(
      f'combine must be one of {[*COMBINES]}; it is {combine!r}.'
    )
  source, partner, votes = [], [], [labels.toarray()]
  for pairs in neighbours_lib.draw_pairs(
    labels, features, fraction=fraction, rng=rng, neighbours=neighbours
  ):
    source.append(pairs.source)
    partner.append(pairs.partner)
    votes.append(_combined(labels[pairs.bag], pairs, combine)[pairs.made])
  if not source:
    return plan_lib.with_added(labels.shape[0], [])
  return plan_lib.with_added(
    labels.shape[0],
    np.concatenate(source),
    partner=np.concatenate(partner),
    labels=np.concatenate(votes),
  )


def _combined(labels, pairs, combine: str) -> np.ndarray:
  """Returns uint8[Q, L], the labels of what each seed of a bag makes.

  Args:
    labels: uint8[n, L], of the rows of the bag.
    pairs: its `Pairs`.
    combine: see `make_plan`.
  """
  voters = np.column_stack([pairs.seeds, pairs.near])
  num_seeds, num_voters = voters.shape
  least = {
    'ranking': num_voters // 2 + 1,
    'union': 1,
    'intersection': num_voters,
  }[combine]
  heard = sparse.csr_array(
    (
      np.ones(voters.size, np.int32),
      voters.ravel(),
      np.arange(num_seeds + 1) * num_voters,
    ),
    shape=(num_seeds, labels.shape[0]),
  )
  votes = heard @ labels.astype(np.int32)
  return (votes.toarray() >= least).astype(np.uint8)
