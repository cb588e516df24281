"""Where the sound of a video is: the files that are called like it."""

import os

from aubal_jax.media import containers

SUFFIX = '.wav'


def file_of(name: str, folder: os.PathLike | str) -> str | None:
  """Returns the file with the sound of a video, or None.

  A clip or WAV file (rather this) in the folder that is called like the video;
  the videos 'x_left' and 'x_right', two persons of one recording, share that
  of 'x' where they have none of their own.
  """
  whole = name.removesuffix('_left').removesuffix('_right')
  for stem in dict.fromkeys((name, whole)):
    for suffix in (SUFFIX, *containers.SUFFIXES):
      for written in (suffix, suffix.upper()):
        file = os.path.join(folder, stem + written)
        if os.path.isfile(file):
          return file
  return None


def beside(path: os.PathLike | str) -> str | None:
  """Returns the file with the sound of a folder of frames, or None.

  The WAV file in it; else one that is called like it, beside it.

  Raises:
    Unreadable: there are several in it.
  """
  path = os.path.normpath(path)
  inside = sorted(n for n in os.listdir(path) if n.lower().endswith(SUFFIX))
  if len(inside) > 1:
    raise containers.Unreadable(
      path, 'several WAV files', f'One is read: remove {inside[1]} or others.'
    )
  if inside:
    return os.path.join(path, inside[0])
  return file_of(os.path.basename(path), os.path.dirname(path))
