r"""TFDS builders of the sets that come by hand; importing this registers them.

The sets may not be passed on, so nothing is downloaded: ask their authors for a
licence, lay the files out as `MANUAL_DOWNLOAD_INSTRUCTIONS` of the builder
says, and prepare the set once:

  import tensorflow_datasets as tfds
  import aubal_jax.datasets.tfds.builders

  data = tfds.load(
    'aff_wild2/2020',
    data_dir='~/tensorflow_datasets',
    download_and_prepare_kwargs={
      'download_config': tfds.download.DownloadConfig(
        manual_dir='/where/aff_wild2/is',
        num_shards=64,
      )
    },
  )

A row is a dict: 'image', 'labels' uint8[L] (0 where unknown), 'known' bool[L],
'group' (subject or video, '' where there is none) and 'id'. The names of the
labels are `builder.info.metadata['label_names']`. Once prepared, a set is also
data.name=tfds, data.path=aff_wild2/2020 of this package.
"""

from aubal_jax.datasets.tfds.builders import aff_wild2
from aubal_jax.datasets.tfds.builders import bp4d
from aubal_jax.datasets.tfds.builders import ck_plus
from aubal_jax.datasets.tfds.builders import disfa
from aubal_jax.datasets.tfds.builders import emotionet

AffWild2 = aff_wild2.AffWild2
Bp4d = bp4d.Bp4d
CkPlus = ck_plus.CkPlus
Disfa = disfa.Disfa
Emotionet = emotionet.Emotionet
