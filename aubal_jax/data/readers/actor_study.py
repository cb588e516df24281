"""Actor Study (Seuss et al. 2019): 21 actors before an array of cameras.

Its per-frame intensities are handed out in no public layout, so it is read as
a generic manifest: image paths, a column `subject`, a 0/1 column for each AU.
"""

from aubal_jax.data import annotations
from aubal_jax.data import manifest


def read(path: str) -> annotations.Annotations:
  """Reads the manifest `path`; an image that is not there drops its row.

  Raises:
    FileNotFoundError, ValueError: see `manifest.read`.
  """
  return manifest.read(path, unreadable='drop')
