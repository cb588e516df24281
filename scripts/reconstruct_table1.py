"""Rebuilds a joint distribution of labelsets from the paper's Table I.

  python scripts/reconstruct_table1.py --seed=0 --out=table1_joint.json

Table I (Rieger, Pahl, Seuss, FG 2020, arXiv 2003.08751) says how many images
of each source show each AU, not which AUs come together. This finds one joint
distribution that has exactly these numbers and that also explains the table's
last column: 55,490 images added within growth [1, 10] give the class counts
'aug-1' at an optimum of sum_i |z_i - mean z|. It is a fixture, not the
paper's data.

How. At an optimum there is u in [-1, 1]^L, u_i = sign(z_i - mean z) off the
mean, such that a labelset with c_s = P_s . (u - mean u) < 0 sits at 10 times
its count, one with c_s > 0 at its count, and one with c_s = 0 anywhere
between. With c fixed every demand is linear in the counts n and the additions
e, and of all answers the one nearest in Kullback-Leibler divergence to a prior
with the known co-occurrences is wanted: its dual is smooth and has 45
variables, so Newton's method solves it. Rounding to whole images that keeps
every equation is a small integer programme.
"""

import argparse
import json
import os
import sys
import tempfile

import numpy as np
from scipy import optimize
from scipy import sparse

from aubal_jax.datasets import action_units

SOURCES = ('AffWild', 'EmotioNet', 'CK+', 'Actor Study')
IMAGES = np.array([232842, 20160, 10724, 58825])
# Images of each source that show each AU; rows as SOURCES, columns as CODES.
MARGINALS = np.array(
  [
    [47548, 2271, 32387, 9290, 22964, 1537, 3490, 7463],
    [589, 0, 676, 0, 0, 0, 0, 1780],
    [2964, 1875, 3753, 2174, 2475, 1654, 1406, 5359],
    [11079, 8553, 11393, 6991, 7798, 2115, 4704, 13573],
  ]
)
AUGMENTED = np.array([62874, 24754, 48365, 33091, 35417, 17748, 25681, 35416])
AUGMENTED_IMAGES = 378041
GROWTH = 10
# AU12 and AU25 end on the mean, so their u is free. At -1/3 the mean of u is
# -1/3 too: labelsets of AU12 and AU25 only may then grow or not.
DUAL = np.array([3, -3, 3, -3, -1, -3, -3, -1]) / 3
# Log odds ratios of pairs in the prior. Brows rise together, smiles raise the
# cheeks and part the lips, frowns go with lowered lip corners, and lip
# corners seldom go up and down at once.
PAIRS = {
  ('AU01', 'AU02'): 2.5,
  ('AU01', 'AU04'): 0.6,
  ('AU02', 'AU04'): -0.8,
  ('AU02', 'AU25'): 0.8,
  ('AU01', 'AU15'): 0.6,
  ('AU01', 'AU20'): 0.6,
  ('AU04', 'AU12'): -0.6,
  ('AU04', 'AU15'): 0.8,
  ('AU04', 'AU20'): 0.6,
  ('AU06', 'AU12'): 2.5,
  ('AU06', 'AU15'): -0.8,
  ('AU12', 'AU15'): -2.0,
  ('AU12', 'AU20'): -0.5,
  ('AU12', 'AU25'): 1.0,
  ('AU20', 'AU25'): 1.2,
}
SPREAD = 0.5  # Standard deviation of the prior's log-normal disorder.


def all_patterns():
  """Returns int64[256, 8]: every labelset, the empty one first."""
  bits = len(action_units.CODES)
  return (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1]) & 1


def slopes(patterns):
  """Returns int64[S]: the sign of c_s, what another image of s costs."""
  return np.sign(np.rint(3 * 8 * patterns @ (DUAL - DUAL.mean()))).astype(int)


def prior(patterns, rng):
  """Returns float[4, S]: counts that look natural, before any fitting."""
  column = {code: i for i, code in enumerate(action_units.CODES)}
  rates = np.clip(MARGINALS / IMAGES[:, None], 1e-12, None)
  log_odds = np.log(rates / (1 - rates))
  energy = log_odds @ patterns.T
  for (a, b), strength in PAIRS.items():
    energy += strength * patterns[:, column[a]] * patterns[:, column[b]]
  energy += SPREAD * rng.standard_normal(energy.shape)
  energy[(MARGINALS == 0) @ patterns.T > 0] = -np.inf
  counts = np.exp(energy)
  return IMAGES[:, None] * counts / counts.sum(axis=1, keepdims=True)


def _demands():
  """Returns int64[4, 9] totals and int64[9] additions: AUs, then images."""
  totals = np.concatenate([MARGINALS, IMAGES[:, None]], axis=1)
  return totals, np.append(AUGMENTED, AUGMENTED_IMAGES) - totals.sum(axis=0)


def _state(theta, rows, q, extra, free):
  """Returns counts, additions per image and their derivative at `theta`."""
  k = rows.shape[1]
  drive = rows @ theta[-k:]
  share = 1 / (1 + np.exp(-np.clip(drive, -60, 60)))
  gain = np.where(free, (GROWTH - 1) * np.logaddexp(0, drive), extra * drive)
  with np.errstate(over='ignore'):
    n = q * np.exp(theta[:-k].reshape(-1, k) @ rows.T + gain)
  per_image = np.where(free, (GROWTH - 1) * share, extra)
  return n, per_image, np.where(free, per_image * (1 - share), 0.0)


def fit(patterns, q, *, tol=1e-9, max_steps=500):
  """Returns counts float[4, S] and additions float[S], the nearest to q.

  Minimises D(theta) = sum q exp(F(theta)) - theta . b, the dual of the
  Kullback-Leibler projection; theta holds a multiplier per source and column
  of [patterns, 1], and one per column of the additions. A labelset with c < 0
  adds (GROWTH - 1) n, one with c = 0 a logistic share of that.

  Args:
    patterns: int[S, 8].
    q: float[4, S], the prior.
    tol: largest residual, in units of the root of each demand.
    max_steps: of Newton's method.

  Raises:
    RuntimeError: the demands have not been met.
  """
  rows = np.concatenate([patterns, np.ones((len(patterns), 1))], axis=1)
  k, sign = rows.shape[1], slopes(patterns)
  extra = np.where(sign < 0, GROWTH - 1.0, 0.0)
  free = (sign == 0) & patterns.any(axis=1)
  totals, added = _demands()
  b = np.append(totals.ravel(), added).astype(float)
  scale = np.sqrt(np.maximum(np.abs(b), 1))
  theta = np.zeros(len(b))
  for _ in range(max_steps):
    n, per_image, bend = _state(theta, rows, q, extra, free)
    grown = np.tile(per_image[:, None] * rows, (len(n), 1))
    jacobian = np.hstack([np.kron(np.eye(len(n)), rows), grown])
    gradient = jacobian.T @ n.ravel() - b
    if np.all(np.abs(gradient) <= tol * scale):
      return n, per_image * n.sum(axis=0)
    hessian = (jacobian * n.reshape(-1, 1)).T @ jacobian
    hessian[-k:, -k:] += (rows * (bend * n.sum(axis=0))[:, None]).T @ rows
    hessian += 1e-9 * np.diag(np.maximum(np.diag(hessian), 1e-3))
    step = -np.linalg.solve(hessian, gradient)
    length, value = 1.0, n.sum() - theta @ b
    slack = 1e-13 * (n.sum() + np.abs(theta) @ np.abs(b))  # Rounding.
    while length > 1e-12:
      trial = theta + length * step
      descent = 1e-4 * length * (gradient @ step)
      reached = _state(trial, rows, q, extra, free)[0].sum() - trial @ b
      if reached <= value + descent + slack:
        break
      length /= 2
    theta = theta + length * step
  raise RuntimeError(
    f'Table I was not met within {max_steps} steps, off by '
    f'{np.abs(gradient).max():.3g} images; try another --seed.'
  )


def round_counts(patterns, n, *, least=0.3):
  """Returns whole counts int[4, S] and additions int[S] near n.

  An integer programme: every count goes to the next whole number above or
  below, those under `least` to 0, every equation of `_demands` holds and the
  sum of the moves is small (the search stops 20 % above the least).

  Raises:
    RuntimeError: there is no such rounding.
  """
  n = np.round(n, 4)  # The last bits differ from machine to machine.
  totals, added = _demands()
  rows = np.vstack([patterns.T, np.ones(len(patterns))])
  sign = slopes(patterns)
  free = np.flatnonzero((sign == 0) & patterns.any(axis=1))
  full = np.where(sign < 0, GROWTH - 1.0, 0.0)
  floor = np.where(n < least, 0, np.floor(n)).ravel()
  ceiling = np.where(n < least, 0, np.floor(n) + 1).ravel()
  num_sources = len(n)
  equal = sparse.bmat(
    [
      [sparse.kron(sparse.eye(num_sources), rows), None],
      [np.tile(full * rows, num_sources), rows[:, free]],
    ]
  )
  demand = np.append(totals.ravel(), added)
  box = sparse.hstack(
    [-(GROWTH - 1) * sparse.eye(n.shape[1]).tocsr()[free]] * num_sources
    + [sparse.eye(len(free))]
  )
  result = optimize.milp(
    np.append(1 - 2 * (n.ravel() - floor), np.zeros(len(free))),
    integrality=np.ones(n.size + len(free)),
    bounds=optimize.Bounds(
      np.append(floor, np.zeros(len(free))),
      np.append(ceiling, np.full(len(free), np.inf)),
    ),
    constraints=[
      optimize.LinearConstraint(equal, demand, demand),
      optimize.LinearConstraint(box, -np.inf, 0),
    ],
    options={'mip_rel_gap': 0.2},
  )
  if result.x is None:
    raise RuntimeError(
      f'No whole-number rounding was found ({result.message}); try another '
      '--seed.'
    )
  whole = np.rint(result.x).astype(np.int64)
  counts = whole[: n.size].reshape(n.shape)
  additions = (full * counts.sum(axis=0)).astype(np.int64)
  additions[free] = whole[n.size :]
  return counts, additions


def best_value(patterns, counts):
  """Returns min sum_i |z_i - mean z| over growth in [1, 10], by linprog."""
  rows = patterns[counts > 0]
  n = counts[counts > 0].astype(float)
  num_labels = rows.shape[1]
  deviation = (rows - rows.mean(axis=1, keepdims=True)).T * n
  eye = np.eye(num_labels)
  highest = np.where(rows.any(axis=1), GROWTH, 1)
  result = optimize.linprog(
    np.append(np.zeros(len(n)), np.ones(num_labels)),
    A_ub=np.block([[deviation, -eye], [-deviation, -eye]]),
    b_ub=np.zeros(2 * num_labels),
    bounds=[(1, h) for h in highest] + [(0, None)] * num_labels,
  )
  return float(result.fun)


def check(patterns, counts, additions):
  """Returns (what, found, wanted) rows; counts and wants are Table I's."""
  total = counts.sum(axis=0)
  grown = patterns.T @ (total + additions)
  worst = np.abs(counts @ patterns - MARGINALS).max()
  outside = (additions < 0) | (additions > (GROWTH - 1) * total)
  outside |= ~patterns.any(axis=1) & (additions != 0)
  return [
    ('largest error of an AU per source', int(worst), 0),
    (
      'largest error of the images per source',
      int(np.abs(counts.sum(axis=1) - IMAGES).max()),
      0,
    ),
    ('images', int(total.sum()), 322551),
    (
      'largest error of the aug-1 column',
      int(np.abs(grown - AUGMENTED).max()),
      0,
    ),
    ('images added', int(additions.sum()), 55490),
    ('labelsets outside growth [1, 10]', int(outside.sum()), 0),
  ]


def build(seed):
  """Returns patterns int[S, 8], counts int[4, S] and additions int[S].

  Labelsets without an image are left out; the others go by falling count.
  """
  patterns = all_patterns()
  n, _ = fit(patterns, prior(patterns, np.random.default_rng(seed)))
  counts, additions = round_counts(patterns, n)
  order = np.argsort(-counts.sum(axis=0), kind='stable')
  order = order[counts.sum(axis=0)[order] > 0]
  return patterns[order], counts[:, order], additions[order]


def write_json(path, patterns, counts, additions, seed):
  """Writes the joint: one line for each labelset; the file appears whole."""
  lines = [
    json.dumps([''.join(map(str, p)), c, a])
    for p, c, a in zip(
      patterns.tolist(), counts.T.tolist(), additions.tolist(), strict=True
    )
  ]
  note = (
    'A made-up joint distribution with the marginals of Table I of arXiv '
    '2003.08751; not the data of the paper.'
  )
  head = {
    'note': note,
    'seed': seed,
    'label_names': list(action_units.CODES),
    'sources': list(SOURCES),
    'columns': ['pattern', 'counts per source', 'images added'],
  }
  text = json.dumps(head, indent=1)[:-2] + ',\n "labelsets": [\n  '
  text += ',\n  '.join(lines) + '\n ]\n}\n'
  folder = os.path.dirname(os.path.abspath(path))
  with tempfile.NamedTemporaryFile(
    'w', dir=folder, suffix='.tmp', delete=False
  ) as f:
    f.write(text)
  os.chmod(f.name, 0o644)
  os.replace(f.name, path)


def main(argv=None):
  """Builds, prints the checks, writes; returns 1 where a check fails."""
  parser = argparse.ArgumentParser(
    description='Rebuilds a joint distribution of labelsets from Table I.'
  )
  parser.add_argument('--seed', type=int, default=0, help='of the prior')
  parser.add_argument('--out', default='table1_joint.json', help='JSON file')
  args = parser.parse_args(argv)
  patterns, counts, additions = build(args.seed)
  rows = check(patterns, counts, additions)
  for what, found, wanted in rows:
    verdict = 'ok' if found == wanted else 'WRONG'
    print(f'{what:40} {found:>10,} of {wanted:>8,}  {verdict}')
  grown = patterns.T @ (counts.sum(axis=0) + additions)
  reached = np.abs(grown - grown.mean()).sum()
  best = best_value(patterns, counts.sum(axis=0))
  print(f'{"labelsets":40} {len(patterns):>10,}')
  print(f'{"sum |z - mean z|, aug-1":40} {reached:>10,.3f}')
  print(f'{"the least possible (no variance term)":40} {best:>10,.3f}')
  if any(found != wanted for _, found, wanted in rows):
    return 1
  write_json(args.out, patterns, counts, additions, args.seed)
  return 0


if __name__ == '__main__':
  sys.exit(main())
