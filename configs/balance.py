r"""Labels only: labelsets, certified balance and the plan. Seconds.

  python -m aubal_jax.main --config=configs/balance.py \
      --config.data.path=labels.csv --workdir=runs/plan

The table may be .csv, .npz (an array `labels`) or .npy. The plan is plan.npz:
train on the rows `source`, augment those marked `augment`.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'balance'
  c.data.name = 'labels'
  return c
