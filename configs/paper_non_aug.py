r"""The paper's baseline: the same four data sets, as they are (non-aug).

  python -m aubal_jax.main --config=configs/paper_non_aug.py \
      --config.data.path=FOLDER --workdir=runs/paper_non_aug

FOLDER and the rest are those of configs/paper.py. Both train for equally many
steps: an epoch is a pass over the images there are.
"""

import pathlib
import runpy

_PAPER = pathlib.Path(__file__).with_name('paper.py')


def get_config():
  c = runpy.run_path(str(_PAPER))['get_config']()
  c.balance.method = 'none'
  return c
