"""What the chunks of a PNG file say before it is decoded.

Source: the PNG specification (ISO/IEC 15948), sections 5 and 11.2.2.
"""

import zlib

START = b'\x89PNG\r\n\x1a\n'


def problem(contents: bytes) -> str | None:
  """Returns what is wrong with the chunks that matter, or None."""
  position = len(START)
  while position < len(contents):
    size = int.from_bytes(contents[position : position + 4], 'big')
    body = contents[position + 4 : position + 8 + size]  # Type and data.
    sum_ = contents[position + 8 + size : position + 12 + size]
    if len(sum_) < 4:
      return 'the file is cut short'
    needed = body[:1].isupper()
    if needed and zlib.crc32(body) != int.from_bytes(sum_, 'big'):
      return 'damaged: a PNG chunk has a wrong checksum'
    if body[:4] == b'IEND':
      return None
    position += 12 + size
  return 'the file is cut short'


def size(contents: bytes) -> tuple[int, int]:
  """Returns (width, height) of a file that has no `problem`."""
  width, height = contents[16:20], contents[20:24]  # IHDR is the first chunk.
  return int.from_bytes(width, 'big'), int.from_bytes(height, 'big')
