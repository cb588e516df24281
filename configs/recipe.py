r"""Learning rates and first weights at 200 and at 2,000 steps, on drawn faces.

Eight cells of 2,000 steps, on small faces, all to the end: an hour and a half
on 2 cores; a tenth of that with --config.model.name=resnet8_16. The script runs
this, goes on where it was stopped, and prints rates x first weights as a table.

  python scripts/recipe_table.py --workdir=runs/recipe

  python -m aubal_jax.main --config=configs/recipe.py --workdir=runs/recipe
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'search'
  c.data.image_size = 32
  c.balance.method = 'none'  # No plan is compared yet.
  c.search.losses = ('bce',)
  c.search.halving = 0  # At a rate constant in time, step 200 is on the way.
  c.train.num_steps = 2000
  c.train.eval_every_steps = 200
  c.train.checkpoint_every_steps = 200
  c.train.keep_checkpoints = 1
  return c
