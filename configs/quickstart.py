r"""The embedded default: drawn faces, all stages, beside two controls. Minutes.

  python -m aubal_jax.main --config=configs/quickstart.py \
      --workdir=runs/quickstart
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.data.image_size = 64  # A third of the arithmetic of the paper's 112.
  c.controls.methods = ('none', 'random')
  c.model.init = 'he_normal'  # In so few steps the larger weights go further.
  c.train.num_steps = 135
  c.train.eval_every_steps = 45
  c.train.keep_checkpoints = 1
  return c
