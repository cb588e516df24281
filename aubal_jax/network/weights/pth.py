"""Files of `torch.save`, read without PyTorch, and nothing there is run.

Such a file is a zip archive: 'data.pkl' is a pickle that names tensors, and
'data/0', 'data/1', ... are their bytes. A pickle can name any function of any
module and call it. Here it can name what builds tensors, and nothing else: the
table below is all that is ever called.
"""

from __future__ import annotations

import collections
import io
import math
import pathlib
import pickle
import zipfile

import ml_dtypes
import numpy as np

from aubal_jax.runs import errors

_LARGEST_PICKLE = 64 * 2**20  # It holds names and shapes: ever so many.

# Storage of torch -> dtype of its numbers.
_DTYPES = {
  'DoubleStorage': np.dtype('f8'),
  'FloatStorage': np.dtype('f4'),
  'HalfStorage': np.dtype('f2'),
  'BFloat16Storage': np.dtype(ml_dtypes.bfloat16),
  'LongStorage': np.dtype('i8'),
  'IntStorage': np.dtype('i4'),
  'ShortStorage': np.dtype('i2'),
  'CharStorage': np.dtype('i1'),
  'ByteStorage': np.dtype('u1'),
  'BoolStorage': np.dtype('?'),
}


class _Refused(Exception):
  """What is in the file is nothing that states of tensors are made of."""


def _tensor(storage, offset, size, stride, *_):
  """Returns a view of a storage, for torch._utils._rebuild_tensor_v2."""
  numbers = (offset, *size, *stride)
  if not isinstance(storage, np.ndarray) or len(size) != len(stride):
    raise _Refused('a tensor without numbers of its own')
  if not all(isinstance(n, int) and 0 <= n < 2**48 for n in numbers):
    raise _Refused(f'a tensor of shape {size!r}, with strides {stride!r}')
  last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
  if not math.prod(size):
    return np.zeros(size, storage.dtype)
  if last >= storage.size or math.prod(size) > storage.size:
    raise _Refused(f'a tensor of shape {size!r}, of which bytes lack')
  width = storage.dtype.itemsize
  return np.lib.stride_tricks.as_strided(
    storage[offset:], size, [s * width for s in stride], writeable=False
  )


def _parameter(tensor, *_):
  return tensor


# What a pickle may name, and what is called for it. A storage is a dtype.
_KNOWN = {
  ('collections', 'OrderedDict'): collections.OrderedDict,
  ('torch._utils', '_rebuild_tensor_v2'): _tensor,
  ('torch._utils', '_rebuild_parameter'): _parameter,
  **{('torch', name): dtype for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
  """An unpickler that knows `_KNOWN`, and the storages of one archive."""

  def __init__(self, file, read_storage):
    super().__init__(file)
    self._read_storage = read_storage

  def find_class(self, module, name):
    if (module, name) not in _KNOWN:
      raise _Refused(f'{module}.{name}')
    return _KNOWN[module, name]

  def persistent_load(self, pid):
    kind, dtype, key, _, size = pid
    if kind != 'storage' or not isinstance(dtype, np.dtype):
      raise _Refused(f'{kind!r}, a storage of {dtype!r}')
    return self._read_storage(str(key), dtype, int(size))


def read(path: pathlib.Path) -> dict:
  """Returns what the file holds: dicts, lists and numbers, arrays for tensors.

  Tensors that share memory there do so here; none can be written to.

  Args:
    path: of the file.

  Raises:
    UserError: it is damaged, is no such archive, or holds anything but states
      of tensors. None of it is run.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      return _read_archive(archive)
  except _Refused as error:
    raise errors.UserError(
      f'model.init_from: {path} holds {error}, which is no state of tensors; '
      'nothing of it was run. Load it where you trust it, and save the state '
      'alone: torch.save(model.state_dict(), FILE).'
    ) from error
  except zipfile.BadZipFile as error:
    raise errors.UserError(
      f'model.init_from: {path} is damaged, or of a PyTorch before 1.6 '
      f'({error}); copy it anew, or load and save it once more in PyTorch.'
    ) from error
  except (
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError),
    *(NotImplementedError, RecursionError, RuntimeError, TypeError, ValueError),
    pickle.UnpicklingError,
  ) as error:
    raise errors.UserError(
      f'model.init_from: {path} is damaged '
      f'({type(error).__name__}: {error}); copy it anew.'
    ) from error


def _read_archive(archive):
  infos = {info.filename: info for info in archive.infolist()}
  (pickled,) = [n for n in infos if n.rpartition('/')[2] == 'data.pkl'] or ['']
  if not pickled:
    raise zipfile.BadZipFile('there is no data.pkl')
  folder = pickled.removesuffix('data.pkl')
  if infos[pickled].file_size > _LARGEST_PICKLE:
    raise _Refused(f'a pickle of {infos[pickled].file_size:,} bytes')
  order = '<'
  if f'{folder}byteorder' in infos:
    order = {b'little': '<', b'big': '>'}[archive.read(f'{folder}byteorder')]
  read = {}

  def read_storage(key, dtype, size):
    name = f'{folder}data/{key}'
    if infos[name].compress_type != zipfile.ZIP_STORED:
      raise _Refused(f'{name}, which is compressed')
    if name not in read:
      read[name] = archive.read(name)
    if len(read[name]) != size * dtype.itemsize:
      raise ValueError(f'{name} has {len(read[name]):,} bytes')
    values = np.frombuffer(read[name], dtype.newbyteorder(order))
    return values.astype(dtype, copy=False)

  with archive.open(pickled) as file:
    content = file.read()
  return _Unpickler(io.BytesIO(content), read_storage).load()
