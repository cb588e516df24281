"""Opens clips and decodes their packets, whatever is wrong with some of them.

A clip is a container (MP4, AVI, Matroska, ...) of packets of a picture and of a
sound track. FFmpeg reads it by way of PyAV, which comes with the extra `video`.
It opens much that is no clip: playlists that name other files, text as
pictures. Here it is let read the kinds of `SUFFIXES` alone, from files.
"""

import contextlib
import os
import stat
from collections.abc import Iterator

from aubal_jax.runs import errors
from aubal_jax.runs import extras

SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm')

_FORMATS = 'mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm'
_THREADS = 4  # Each holds frames: of 8K 50 MB and more.


class Unreadable(errors.UserError):
  """A clip cannot be read, or not to its end.

  Attributes:
    path: the file.
    reason: a few words, such as 'no frames'; a status in tables.
  """

  def __init__(self, path: os.PathLike | str, reason: str, mend: str):
    super().__init__(f'{os.fspath(path)}: {reason}. {mend}')
    self.path, self.reason = os.fspath(path), reason

  def __reduce__(self):  # An error of a worker process is sent by pickle.
    mend = str(self).removeprefix(f'{self.path}: {self.reason}. ')
    return Unreadable, (self.path, self.reason, mend)


@contextlib.contextmanager
def opened(path: os.PathLike | str) -> Iterator:
  """Opens a clip: a context that gives an `av.container.InputContainer`.

  Raises:
    Unreadable: there is no such file, or it is no clip.
    UserError: PyAV is not installed.
  """
  extras.need('av', 'Reading a clip')
  import av

  _check_file(path)
  try:
    container = av.open(
      f'file:{os.fspath(path)}',
      options={'format_whitelist': _FORMATS, 'protocol_whitelist': 'file'},
      metadata_errors='replace',
    )
  except av.error.FFmpegError as error:
    raise _not_opened(path, error) from None
  with container:
    yield container


def _check_file(path):
  """Raises Unreadable of what is no file with something in it."""
  try:
    found = os.stat(path)
  except OSError as error:
    raise Unreadable(
      path, error.strerror or 'not found', 'Correct the path.'
    ) from None
  if not stat.S_ISREG(found.st_mode):  # To open a pipe would wait for ever.
    raise Unreadable(path, 'not a file', 'Name a file with a clip.')
  if not found.st_size:
    raise Unreadable(path, 'empty file', 'Copy it again.')


def _not_opened(path, error):
  """Returns the error of a file that FFmpeg does not open."""
  if isinstance(error, PermissionError):
    return Unreadable(path, 'not permitted', 'Let it be read.')
  if missing_bytes(path):
    return Unreadable(path, 'truncated: no frame is left', 'Copy it again.')
  return Unreadable(
    path, 'not a video', f'What is read: {" ".join(SUFFIXES)}, and folders.'
  )


def decoded(container, stream, problems: list[int]) -> Iterator:
  """Yields the frames of a stream in the order they are shown in.

  Args:
    container: opened.
    stream: of pictures or of sound.
    problems: gets, for each packet that cannot be decoded and each frame that
      is damaged, the number of frames before it.
  """
  import av

  if stream.codec_context is None:  # FFmpeg knows no such codec.
    problems.append(0)
    return
  stream.thread_type = 'AUTO'
  stream.codec_context.thread_count = min(_THREADS, os.cpu_count() or 1)
  packets, number, is_over = container.demux(stream), 0, False
  while not is_over:
    try:
      packet = next(packets, None)
      is_over = packet is None
      if not is_over and not packet.size:  # What PyAV sets at the end.
        continue
      frames = stream.decode(packet)  # None: what is held back.
    except av.error.FFmpegError:
      problems.append(number)
      continue
    for frame in frames:
      if frame.is_corrupt:
        problems.append(number)
      number += 1
      yield frame


def missing_bytes(path: os.PathLike | str) -> int:
  """Returns how many bytes a file ends before the parts that it announces.

  MP4 and MOV are boxes, AVI is chunks of RIFF, Matroska a segment: each says
  how long it is. 0 where nothing is missing, or nothing is said.
  """
  size = os.path.getsize(path)
  with open(path, 'rb') as file:
    head = file.read(12)
    if head[:4] == b'RIFF':
      return _behind(file, size, _riff_end)
    if head[4:8] in (b'ftyp', b'moov', b'mdat', b'wide', b'free', b'skip'):
      return _behind(file, size, _box_end)
    if head[:4] == b'\x1a\x45\xdf\xa3':
      return _behind(file, size, _element_end)
  return 0


def _behind(file, size, end):
  """Returns how far the last of the parts ends behind the file."""
  position = 0
  while 0 <= position < size:
    file.seek(position)
    position = end(position, file.read(16), size)
  return max(position - size, 0)


def _riff_end(position, head, size):
  """Returns where a RIFF begins its next one, ..."""
  if head[:4] != b'RIFF':  # Bytes that nobody announced.
    return size
  length = int.from_bytes(head[4:8], 'little')
  return position + 8 + length


def _box_end(position, head, size):
  """... a box of MP4, ..."""
  length = int.from_bytes(head[:4], 'big')
  if length == 1:
    length = int.from_bytes(head[8:16], 'big')
  return position + length if length >= 8 else size


def _element_end(position, head, size):
  """... and an element of Matroska (RFC 8794): an identifier, a length."""
  width = 9 - head[0].bit_length() if head[0] else 0
  if not 1 <= width <= 4 or len(head) <= width or not head[width]:
    return size
  bytes_of_length = 9 - head[width].bit_length()
  told = head[width : width + bytes_of_length]
  length = int.from_bytes(told, 'big') & ((1 << 7 * bytes_of_length) - 1)
  if length == (1 << 7 * bytes_of_length) - 1:  # Not known: a live recording.
    return size
  return position + width + bytes_of_length + length
