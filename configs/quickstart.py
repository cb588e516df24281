r"""The embedded default: drawn faces, all stages. Minutes on 2 cores.

  python -m aubal_jax.main --config=configs/quickstart.py \
      --workdir=runs/quickstart
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.train.num_steps = 130
  c.train.learning_rate = 1e-3  # The paper's 1e-4 wants a longer run.
  c.train.eval_every_steps = 65
  return c
