"""Where the sound of a video is: the files that are called like it."""

import os

from aubal_jax.media import containers

SUFFIX = '.wav'


def stems(name: str) -> tuple[str, ...]:
  """Returns what the sound of a video may be called, the rather the earlier.

  The videos 'x_left' and 'x_right' are two persons of one recording, and share
  the sound of 'x' where they have none of their own.

  Examples:
    >>> stems('a_left'), stems('a')
    (('a_left', 'a'), ('a',))
  """
  for side in ('_left', '_right'):
    if name.endswith(side):
      return name, name.removesuffix(side)
  return (name,)


def file_of(name: str, folder: os.PathLike | str) -> str | None:
  """Returns the file with the sound of a video, or None.

  A clip or WAV file (rather this) in the folder that is called like the video,
  see `stems`.
  """
  for stem in stems(name):
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
