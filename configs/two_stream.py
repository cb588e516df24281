r"""What is seen and heard: Kuhnke's two streams, on videos with sound.

  python -m aubal_jax.main --config=configs/two_stream.py \
      --config.data.path=AFF_WILD2 --config.two_stream.sound_dir=VIDEOS \
      --workdir=runs/two_stream

Kuhnke, Rumberg, Ostermann 2020 (arXiv 2002.03399): an R(2+1)D-18 sees 8 frames,
every sixth up to the one that is labelled, a ResNet18 hears 10 seconds of the
sound about it, and a dense layer of both tells action units, expression,
valence and arousal. AFF_WILD2 is the data set as it is handed out, VIDEOS the
folder of its clips, or of WAV files that are called like them.
--config.two_stream.modalities=video, or audio, leaves out a stream. Landmarks
of OpenFace (--config.two_stream.landmark_dir=FOLDER of its CSVs) add the fourth
channel, the lines of a face. Hours on a GPU; weights of Kinetics that you have
are --config.model.init_from.

Without --config.data.path it trains a small form on drawn videos with sound:
5 minutes on two cores.
"""

from aubal_jax import settings

TARGETS = ('labels', 'expression', 'valence_arousal')


def get_config():
  c = settings.default()
  c.multitask.targets = TARGETS
  c.multitask.bins = 'raw'  # Valence and arousal are outputs themselves.
  c.balance.method = 'none'
  c.augment.rows = 'all'
  c.loss.name = 'bce'
  c.model.init = 'he_normal'
  c.train.learning_rate = 5e-4
  if settings.is_given('data.path'):
    return _published(c)
  return _small(c)


def _published(c):
  """As published, as far as it is known, on Aff-Wild2."""
  c.data.name = 'aff_wild2'
  c.data.channels = 3
  c.data.cache_dir = 'runs/cache'
  c.data.unreadable = 'drop'
  c.aff_wild2.targets = TARGETS
  c.model.name = 'two_stream'
  c.two_stream.filter = True
  c.two_stream.clip_stride = 100
  c.train.optimizer = 'adamw'
  c.train.weight_decay = 5e-5
  c.train.batch_size = 28
  c.train.num_epochs = 100.0
  c.train.eval_every_steps = 2000
  c.evaluate.batch_size = 32
  return c


def _small(c):
  """The same in minutes, on drawn videos that can be heard."""
  c.note = (
    'small form: drawn videos of 48 pixels with sound and small networks, '
    'since --config.data.path does not say where Aff-Wild2 is.'
  )
  c.data.drawn_targets = TARGETS
  c.data.drawn_sound = True
  c.data.image_size = 48
  c.data.num_train = 40 * 240  # Frames: videos of 8 seconds.
  c.data.num_validation = c.data.num_test = 8 * 240
  c.model.name = 'two_stream_small'
  c.two_stream.frames = 4
  c.two_stream.seconds = 1.0
  c.two_stream.shift = 0.5
  c.two_stream.clip_stride = 4
  c.train.batch_size = 32
  c.train.learning_rate = 2e-3
  c.train.schedule = 'cosine'
  c.train.num_steps = 600
  c.train.eval_every_steps = 200
  c.train.keep_checkpoints = 1
  return c
