r"""Methods on tables of features, with folds and seeds: table, ranks, plot.

On a table that is drawn, a minute or two on 2 cores; then on your own.

  python -m aubal_jax.main --config=configs/compare.py --workdir=runs/compare

  python -m aubal_jax.main --config=configs/compare.py \
      --config.compare.data=sets/emotions.arff,sets/yeast.arff \
      --config.compare.methods=none,random,ml_ros,lp_ros,aubal:l1 \
      --config.compare.fractions=0.1,0.25 --workdir=runs/tables
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'compare'
  c.compare.data = ('synthetic',)
  c.compare.methods = (
    *('none', 'random', 'lp_ros', 'lp_rus', 'ml_ros', 'ml_rus', 'mlsmote'),
    *('remedial', 'inverse_frequency', 'calibration'),
    *('aubal:l1', 'aubal:relative'),
  )
  c.balance.optimizer = 'ipm'
  return c
