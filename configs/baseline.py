r"""A plain baseline: MobileNetV2, binary cross entropy, threshold .5.

  python -m aubal_jax.main --config=configs/baseline.py \
      --config.data.path=FOLDER --workdir=runs/baseline

What the first challenge on Aff-Wild2 was compared with (Kollias et al. 2020,
arXiv 2001.11409): each frame once, nothing balanced or augmented. FOLDER is
that of Aff-Wild2, as its authors hand it out. Without --config.data.path it
trains on drawn faces of 48 pixels: minutes.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.model.name = 'mobilenet_v2'
  c.model.init = 'he_normal'
  c.balance.method = 'none'
  c.augment.rows = 'none'
  c.loss.name = 'bce'
  c.predict.thresholds = 'half'
  c.train.learning_rate = 1e-4
  if settings.is_given('data.path'):
    c.data.name = 'aff_wild2'
    c.data.channels = 3
    c.data.cache_dir = 'runs/cache'
    c.data.unreadable = 'drop'
    return c
  c.note = (
    'small form: drawn faces of 48 pixels, since --config.data.path does not '
    'say where Aff-Wild2 is.'
  )
  c.data.image_size = 48
  c.data.num_validation = c.data.num_test = 600
  c.train.learning_rate = 1e-3
  c.train.num_steps = 200
  c.train.eval_every_steps = 50
  c.train.keep_checkpoints = 1
  return c
