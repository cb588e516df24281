r"""Neighbours in time, on what a trained multi-task network sees of a frame.

  python -m aubal_jax.main --config=configs/multitask_rnn.py \
      --config.data.path=FOLDER --config.multitask.features_of=runs/multitask \
      --workdir=runs/multitask_rnn

Of Deng, Chen, Shi 2020 (arXiv 2002.03557): the network of configs/multitask.py
stays as it is, and a bidirectional GRU of 64 units each way for each target
sees its 128 numbers of 32 rows of a video. It trains on Aff-Wild2 alone, six
passes. The run of --config.multitask.features_of says what images become: give
the same image size and channels as there.

Without --config.data.path the faces of a drawn film are seen, 48 pixels, by a
network that --config.multitask.features_of has trained on such; without that,
too, windows of the images themselves train a small network, in minutes.
"""

from aubal_jax import settings

TARGETS = ('labels', 'expression', 'valence_arousal')


def get_config():
  c = settings.default()
  c.multitask.targets = TARGETS
  c.multitask.heads = 'gru'
  c.balance.method = 'none'
  c.augment.rows = 'none'
  c.loss.name = 'bce'
  if settings.is_given('multitask.features_of'):
    c.model.name = 'features'
  if settings.is_given('data.path'):
    return _published(c)
  return _small(c)


def _published(c):
  """As published, on Aff-Wild2."""
  c.data.name = 'aff_wild2'
  c.data.channels = 3
  c.data.cache_dir = 'runs/cache'
  c.data.unreadable = 'drop'
  c.aff_wild2.targets = TARGETS
  c.train.optimizer = 'adam_half'
  c.train.learning_rate = 1e-4
  c.train.batch_size = 640
  c.train.num_epochs = 6.0
  c.train.eval_every_steps = 500
  return c


def _small(c):
  """The same in minutes, on a film of faces that are drawn."""
  c.note = (
    'small form: a drawn film of 48 pixels and a small network, since '
    '--config.data.path does not say where Aff-Wild2 is.'
  )
  c.data.drawn_targets = TARGETS
  c.data.drawn_film = True
  c.data.image_size = 48
  c.data.num_validation = c.data.num_test = 600
  c.multitask.window = 8
  c.train.batch_size = 64
  c.train.learning_rate = 1e-3
  c.train.num_steps = 400
  c.train.eval_every_steps = 100
  if c.model.name != 'features':
    c.model.name = 'resnet8_16'
    c.model.stem = '3x3'
  return c
