r"""Every optimiser variant and rival solvers on the same problem: table, plot.

A minute and a half on 2 cores.

  python -m aubal_jax.main --config=configs/optimizers.py \
      --workdir=runs/optimizers

  python -m aubal_jax.main --config=configs/optimizers.py \
      --config.data.name=labels --config.data.path=labels.csv \
      --config.optimizers.variants=adam,newton,ipm --workdir=runs/three
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'optimizers'
  return c
