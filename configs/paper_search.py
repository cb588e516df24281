r"""The paper's grid search: loss, optimiser, learning rate, batch; table, plot.

On the synthetic faces, eight cells of 375 steps: 75 minutes on 2 cores.

  python -m aubal_jax.main --config=configs/paper_search.py \
      --workdir=runs/paper_search

  python -m aubal_jax.main --config=configs/paper_search.py \
      --config.data.name=manifest --config.data.path=manifest.csv \
      --config.search.losses=bce,focal \
      --config.search.learning_rates=1e-3,3e-4,1e-4 \
      --config.search.batch_sizes=32,64 --workdir=runs/mine

Every cell takes all steps, and the best is best in F1 macro. The search for a
recipe, which takes a fraction of the steps, is configs/search.py.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'search'
  c.search.losses = ('soft_f1', 'bce')
  c.search.optimizers = ('adam', 'nesterov')
  c.search.learning_rates = (1e-3, 1e-4)
  c.search.inits = ('he_normal',)
  c.search.halving = 0
  c.search.metric = 'f1_macro'
  return c
