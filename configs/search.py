r"""A recipe before any plan: rate, first weights and loss by halving.

On the synthetic faces 16 cells, of which 6 and then 2 go on, up to 375 steps:
1,670 steps in all, 45 minutes on 2 cores. The best is written as best.py.

  python -m aubal_jax.main --config=configs/search.py --workdir=runs/search

Your own images, and what is augmented as well:

  python -m aubal_jax.main --config=configs/search.py \
      --config.data.name=manifest --config.data.path=manifest.csv \
      --config.search.augment_rows=added,all \
      --config.train.num_steps=2000 --workdir=runs/mine

The paper's own grid, of which every cell takes all steps, is
configs/paper_search.py.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'search'
  return c
