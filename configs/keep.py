r"""Which rows to keep: a share of them, with even labels, certified. Seconds.

  python -m aubal_jax.main --config=configs/keep.py \
      --config.data.path=labels.csv --config.keep.share=0.25 \
      --workdir=runs/kept

Of videos, name the columns of the video and of the frame: the rows of a label
are spread over videos, and far apart in each.

  python -m aubal_jax.main --config=configs/keep.py \
      --config.data.path=frames.csv --config.data.group_column=video \
      --config.data.frame_column=frame --workdir=runs/frames
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.task = 'keep'
  c.data.name = 'labels'
  c.balance.method = 'keep'
  return c
