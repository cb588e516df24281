r"""Your own images: a folder and a table of 0/1 columns. Minutes to hours.

  python -m aubal_jax.main --config=configs/manifest.py \
      --config.data.path=table.csv --workdir=runs/mine

The table has a column of image paths, relative to the table, and one column of
0, 1 or blank for each label; columns `split` and `subject` may be there too.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.data.name = 'manifest'
  c.train.num_epochs = 10.0  # Passes over the training split, for any plan.
  return c
