"""Logits freed from the plan that was trained on: adjusted to other priors.

A network trained on rows in which a label has the prior q says log odds that
are too large by logit(q) - logit(p) where its prior is p (Saerens, Latinne,
Decaestecker 2002; Menon et al. 2021, arXiv 2007.07314). A label's ranking
stays, and with it its average precision; what reaches a threshold does not.
"""

from __future__ import annotations

import numpy as np

from aubal_jax.experiments.compare import averaged
from aubal_jax.scoring import thresholds


def shift(trained: np.ndarray, there: np.ndarray) -> np.ndarray:
  """Returns float64[L], the log odds that training on a plan adds.

  Args:
    trained: float[L, 2], positives and known entries among the rows of a plan.
    there: likewise, among the rows that it was made of.
  """
  odds = []
  for positives, known in (np.asarray(trained).T, np.asarray(there).T):
    # Half a row of either kind: a label that is never there stays finite.
    share = (positives + 0.5) / (known + 1.0)
    odds.append(averaged.logit(share))
  return odds[0] - odds[1]


def probabilities(probability: np.ndarray, added: np.ndarray) -> np.ndarray:
  """Returns probabilities [N, L] whose logits are less by `added` [L]."""
  return thresholds.sigmoid(averaged.logit(probability) - added)
