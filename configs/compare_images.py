r"""Methods in the same line of training, on images: table, ranks, plot.

On the synthetic faces, small: 6 to 10 minutes on 2 cores for each of two rates.

  python -m aubal_jax.main --config=configs/compare_images.py \
      --workdir=runs/compare_images

Your own images, all methods and what is augmented crossed with them: a night,
which may be interrupted; the same command goes on.

  python -m aubal_jax.main --config=configs/compare_images.py \
      --config.data.name=manifest --config.data.path=manifest.csv \
      --config.data.image_size=112 --config.data.num_folds=3 \
      --config.compare.models=resnet18_112 \
      --config.compare.methods=none,random,ml_ros,aubal:l1,aubal:relative \
      --config.compare.augment_rows=none,added,all \
      --config.compare.uppers=2,3,5,10 --config.compare.diversities=none,group \
      --config.train.num_steps=400 --workdir=runs/night

Folds and bounds by group go by the table's column `subject`, where it has one.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'compare'
  c.data.image_size = 48
  c.compare.models = ('resnet8_16',)
  methods = ('none', 'random', 'ml_ros', 'aubal:l1', 'aubal:relative')
  c.compare.methods = methods
  c.balance.optimizer = 'ipm'
  c.balance.features = 'pixels'  # Where neighbours and content are looked for.
  c.train.num_steps = 400
  c.train.learning_rate = 1e-3  # Which suits the small network.
  c.train.eval_every_steps = 200
  c.train.checkpoint_every_steps = 200
  return c
