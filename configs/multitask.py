r"""Action units, expression, valence and arousal in one network.

  python -m aubal_jax.main --config=configs/multitask.py \
      --config.data.path=FOLDER --workdir=runs/multitask

The teacher of Deng, Chen, Shi 2020 (arXiv 2002.03557) in its sizes: ResNet50,
a head of two layers for each target, a batch of 20 rows for each, of losses 8
AU + EXPR + VA. Each row is labelled for one task or for some. FOLDER holds
aff_wild2, disfa, expw and afew_va as their authors hand them out, or links to
them; who has fewer says "--config.data.sources=('aff_wild2','disfa')". No
weights of faces are published for it here; those you have are model.init_from.
Then five students, and the mean of their probabilities is what is scored;
--config.distill.students=0 leaves them out.

Without --config.data.path it trains a small network and two students on drawn
faces of 48 pixels, each labelled for one task: minutes on two cores.
"""

from aubal_jax import settings

TARGETS = ('labels', 'expression', 'valence_arousal')


def get_config():
  c = settings.default()
  c.multitask.targets = TARGETS
  c.multitask.heads = 'deng'
  c.multitask.weights = (8.0, 1.0, 1.0)
  c.multitask.batching = 'per_task'
  c.ensemble.mean = 'probabilities'  # Of students: --config.distill.students=5.
  c.balance.method = 'none'
  c.loss.name = 'bce'
  c.model.init = 'he_normal'
  c.train.batch_size = 60
  c.ensemble.mean = 'probabilities'
  if settings.is_given('data.path'):
    return _published(c)
  return _small(c)


def _published(c):
  """As published, on their data sets."""
  c.data.name = 'merge'
  c.data.sources = ('aff_wild2', 'disfa', 'expw', 'afew_va')
  c.data.label_columns = (
    *('AU01', 'AU02', 'AU04', 'AU06'),
    *('AU12', 'AU15', 'AU20', 'AU25'),
  )
  c.data.channels = 3
  c.data.cache_dir = 'runs/cache'
  c.data.unreadable = 'drop'
  c.aff_wild2.targets = TARGETS
  c.aff_wild2.thinning = 'published'
  for name in c.data.sources[1:]:
    c[name].split = 'train'
  c.model.name = 'resnet50_112'
  c.train.optimizer = 'adam_half'
  c.distill.students = 5
  c.train.learning_rate = 1e-4
  c.train.num_epochs = 8.0
  c.train.eval_every_steps = 1000
  return c


def _small(c):
  """The same in minutes, on faces that are drawn."""
  c.note = (
    'small form: drawn faces of 48 pixels and a small network, since '
    '--config.data.path does not say where the data sets are.'
  )
  c.data.drawn_targets = TARGETS
  c.data.drawn_apart = True
  c.data.image_size = 48
  c.data.num_validation = c.data.num_test = 600
  c.model.name = 'resnet8_16'
  c.model.stem = '3x3'
  c.augment.rows = 'all'  # 800 faces of a task are soon known by heart.
  c.distill.students = 2
  c.train.learning_rate = 1e-3
  c.train.num_steps = 1000
  c.train.eval_every_steps = 200
  c.train.keep_checkpoints = 1
  return c
