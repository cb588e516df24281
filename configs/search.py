r"""The paper's grid search: loss, optimiser, learning rate, batch; table, plot.

On the synthetic faces, eight cells of 375 steps: 75 minutes on 2 cores.

  python -m aubal_jax.main --config=configs/search.py --workdir=runs/search

  python -m aubal_jax.main --config=configs/search.py \
      --config.data.name=manifest --config.data.path=manifest.csv \
      --config.search.losses=bce,focal \
      --config.search.learning_rates=1e-3,3e-4,1e-4 \
      --config.search.batch_sizes=32,64 --workdir=runs/mine
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'search'
  return c
