r"""The paper: four data sets in one table, balanced (aug-1). Hours on a GPU.

  python -m aubal_jax.main --config=configs/paper.py \
      --config.data.path=FOLDER --workdir=runs/paper

FOLDER holds the sets as their authors hand them out, or links to them, in
aff_wild2, emotionet, ck_plus and actor_study (images and a table of them; see
configs/manifest.py). Another place of one of them is told by a key such as
--config.ck_plus.path=DIR; who has three of the four says
"--config.data.sources=('aff_wild2','emotionet','ck_plus')".

Aff-Wild2's own split trains and validates; the other sets train whole. What a
set does not label is unknown there and masked; --config.data.unlabelled=absent
counts it as absent, as the paper did. Decoded crops are kept in
data.cache_dir: 12.5 kB an image.
"""

from aubal_jax import settings


def get_config():
  c = settings.default()
  c.data.name = 'merge'
  c.data.sources = ('aff_wild2', 'emotionet', 'ck_plus', 'actor_study')
  c.data.label_columns = (
    *('AU01', 'AU02', 'AU04', 'AU06'),
    *('AU12', 'AU15', 'AU20', 'AU25'),
  )
  c.data.cache_dir = 'runs/cache'
  c.data.unreadable = 'drop'
  for name in ('emotionet', 'ck_plus', 'actor_study'):
    c[name].split = 'train'
  c.loss.weights = 'support'
  c.train.learning_rate = 1e-4
  c.model.init = 'he_normal'  # The paper does not say.
  return c
