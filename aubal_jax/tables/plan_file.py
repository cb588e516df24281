"""The file of a plan: .npz, of which only what is vouched for is believed.

The checksums of a ZIP archive are of its members, not of their names, and a
damaged list of members may lack some; a header of NumPy may ask for any amount
of memory. So the file has a sum of its own over names, shapes and numbers, and
no more room is made than there are bytes.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import files

_FORMAT = 1  # Of the file; those of the last release bear no number.
_NEEDED = {'source', 'augment', 'partner', 'label_names'}
_MORE = {'labels', 'share', 'format'}


def write(
  path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]
) -> None:
  """Writes the arrays of a plan, whole or not at all."""
  arrays = {name: np.asarray(value) for name, value in arrays.items()}
  # The first: damage to the list of members can hide those that follow.
  arrays = {'format': np.array([_FORMAT, checksum(arrays)], np.int64), **arrays}
  with files.write_atomically(path, 'wb') as file:
    np.savez_compressed(file, **arrays)


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the arrays that `write` wrote, by their names.

  Raises:
    FileNotFoundError: there is no such file.
    UserError: it is not whole, or of a later version.
  """
  with open(path, 'rb') as file:
    content = file.read()
  try:
    arrays = _read_arrays(content)
    number, kept = arrays.pop('format', (0, 0))
    if 0 < number <= _FORMAT and int(kept) != checksum(arrays):
      raise ValueError('its checksum is wrong')
  except Exception as error:  # Parsers raise what comes.
    raise not_whole(path, error) from error
  if number > _FORMAT:
    raise too_new(path, number, _FORMAT)
  return arrays


def too_new(path, number: int, known: int) -> errors.UserError:
  """Returns the error of a file that a later version wrote."""
  return errors.UserError(
    f'{path} is a plan of format {number}, and formats up to {known} are read '
    'here: a newer version of aubal_jax wrote it. Go on with that version, or '
    'delete the file and run the balance task again.'
  )


def not_whole(path, error: Exception) -> errors.UserError:
  """Returns the error of a file that is damaged, or no plan at all."""
  return errors.UserError(
    f'{path} is not a whole plan ({error}); delete it and run the balance '
    'task again.'
  )


def _read_arrays(content: bytes) -> dict[str, np.ndarray]:
  """Returns name -> array of an .npz file, of the names a plan has.

  Of a header no more is believed than the bytes behind it bear out: `np.load`
  makes room for a shape before it reads.
  """
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    names = sorted(archive.namelist())
    found = {name.removesuffix('.npy') for name in names}
    if len(names) > len(found) or not _NEEDED <= found <= _NEEDED | _MORE:
      raise ValueError(f'it holds {names}')
    return {
      name.removesuffix('.npy'): _parse_npy(archive.read(name))
      for name in names
    }


def _parse_npy(content: bytes) -> np.ndarray:
  """Returns the array of an .npy file, whose header tells all of its bytes."""
  stream = io.BytesIO(content)
  read_header = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }[np.lib.format.read_magic(stream)]
  shape, fortran, dtype = read_header(stream)
  start, count = stream.tell(), math.prod(shape)
  if dtype.hasobject or count * dtype.itemsize != len(content) - start:
    raise ValueError(f'{len(content)} bytes are not {dtype}{[*shape]}')
  flat = np.frombuffer(content, dtype, count, start).copy()
  return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def checksum(arrays: Mapping[str, np.ndarray]) -> int:
  """Returns the CRC-32 of names, dtypes, shapes and numbers."""
  total = 0
  for name, array in sorted(arrays.items()):
    told = f'{name} {array.dtype.str} {array.shape}'.encode()
    total = zlib.crc32(np.ascontiguousarray(array), zlib.crc32(told, total))
  return total
