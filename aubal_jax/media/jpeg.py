"""Finds damage in a JPEG file that decoders pass over with a warning.

`problem` looks at the markers alone and is as fast as a search in bytes.
`verify` decodes every Huffman code and counts the blocks; it takes about
0.3 ms for each KB, so it is for files that there is a reason to suspect.
Only the standard library is used.

Source: ITU-T T.81 (JPEG), sections B and F.2.2.
"""

import dataclasses
import math
import re

START = b'\xff\xd8'
_MISSING = 128  # What decoders fill in where they run out of data.
ZERO_RUN = 32  # Bytes: more than a block of numbers of the code 00...0.

_SOF = (0xC0, 0xC1, 0xC2)  # Baseline, extended and progressive Huffman.
_SEQUENTIAL = (0xC0, 0xC1)
_DHT, _EOI, _SOS, _DRI = 0xC4, 0xD9, 0xDA, 0xDD
_RST = range(0xD0, 0xD8)
_SEGMENTS = frozenset(
  [_DHT, 0xCC, *range(0xDA, 0xDF), *range(0xE0, 0xF0), 0xFE]
)
_MARKER = re.compile(rb'\xff+[^\x00\xff]')
_END = 128  # Steps of an end-of-block code: more than a block has.


@dataclasses.dataclass(frozen=True)
class _Scan:
  """One scan: where its coded data are and what decodes them."""

  start: int  # The coded data are contents[start:stop].
  stop: int
  restarts: tuple[tuple[int, int, int], ...]  # Start, stop and code of each.
  interval: int  # MCUs between restarts, 0: none.
  num_mcus: int
  blocks: tuple[tuple[int, int], ...]  # DC and AC table of each block.
  tables: dict[int, bytes]  # Class and number -> lengths and symbols.
  sequential: bool


class _Damaged(Exception):
  """What is wrong with the file."""


def problem(contents: bytes) -> str | None:
  """Returns what is wrong with the markers of a JPEG file, or None.

  Found: no end of image; a byte sequence that cannot stand in coded data;
  restart markers out of order, missing or too many; a run of zeros where the
  codes are such that zeros stand for no picture (not so in a sequential JPEG
  whose shortest code ends a block, nor in a progressive one).
  """
  try:
    for scan in _scans(contents):
      _check_restarts(scan)
      data = contents[scan.start : scan.stop]
      if bytes(ZERO_RUN) in data.rstrip(b'\0') and _zeros_are_rare(scan):
        raise _Damaged('damaged: zeros in place of coded data')
  except _Damaged as damage:
    return str(damage)
  return None


def verify(contents: bytes) -> str | None:
  """Returns what is wrong with the coded data of a JPEG file, or None.

  Exact for what `problem` accepts: as many blocks as the image has, no code
  that is in no table. Progressive and arithmetic coding are not looked into.
  """
  try:
    for scan in _scans(contents):
      _verify_scan(contents, scan)
  except _Damaged as damage:
    return str(damage)
  return None


def looks_cut(image) -> bool:
  """Returns whether a corner of a decoded file stands for missing data."""
  ends = (slice(2), slice(-2, None))
  corners = (half[:, x] for half in (image[:2], image[-2:]) for x in ends)
  return any((corner == _MISSING).all() for corner in corners)


def size(contents: bytes) -> tuple[int, int]:
  """Returns (width, height) of a file without a `problem`; 0, 0: not told."""
  position = 2
  while True:
    marker, position = _marker(contents, position)
    if marker in _RST or marker == 1:
      continue
    if marker in (_SOS, _EOI):
      return 0, 0
    if marker in range(0xC0, 0xD0) and marker not in (_DHT, 0xC8, 0xCC):
      height = int.from_bytes(contents[position + 3 : position + 5], 'big')
      width = int.from_bytes(contents[position + 5 : position + 7], 'big')
      return width, height
    position += int.from_bytes(contents[position : position + 2], 'big')


def _scans(contents):
  """Yields the scans; raises _Damaged where the file is no row of segments."""
  position, interval, frame, tables = 2, 0, None, {}
  while True:
    marker, position = _marker(contents, position)
    if marker == _EOI:
      return
    if marker in _RST or marker == 1:  # A stray marker without a segment.
      continue
    size = int.from_bytes(contents[position : position + 2], 'big')
    body = contents[position + 2 : position + size]
    if size < 2 or len(body) < size - 2:
      raise _Damaged('the file is cut short')
    position += size
    if marker == _DHT:
      tables = tables | _tables(body)
    elif marker == _DRI:
      interval = int.from_bytes(body[:2], 'big')
    elif marker in range(0xC0, 0xD0):
      frame = (marker, body)
    elif marker == _SOS:
      stop, restarts = _coded_data(contents, position)
      if frame and frame[0] in _SOF:
        yield _scan(frame, body, (position, stop, restarts), interval, tables)
      position = stop


def _marker(contents, position):
  """Returns the marker at `position` and the position after it."""
  if position >= len(contents):
    raise _Damaged('the file is cut short')
  found = _MARKER.match(contents, position)
  if not found:
    # Decoders skip what is between segments; so does this.
    found = _MARKER.search(contents, position)
  if not found:
    raise _Damaged('the file is cut short')
  return contents[found.end() - 1], found.end()


def _coded_data(contents, position):
  """Returns where coded data end, and the restart markers in them."""
  restarts = []
  for found in _MARKER.finditer(contents, position):
    code = contents[found.end() - 1]
    if code in _RST:
      restarts.append((*found.span(), code))
    elif code == _EOI or code in _SEGMENTS:
      return found.start(), tuple(restarts)
    else:
      raise _Damaged(f'damaged: marker ff {code:02x} in the coded data')
  raise _Damaged('the file is cut short')


def _tables(body):
  """Returns the Huffman tables of a DHT segment."""
  tables = {}
  while len(body) >= 17:
    end = 17 + sum(body[1:17])
    tables[body[0]] = body[1:end]
    body = body[end:]
  return tables


def _scan(frame, body, data, interval, tables):
  """Returns the scan that an SOS segment announces."""
  marker, header = frame
  try:
    height, width, number = (
      int.from_bytes(header[1:3], 'big'),
      int.from_bytes(header[3:5], 'big'),
      header[5],
    )
    factors = {
      header[k]: (header[k + 1] >> 4, header[k + 1] & 15)
      for k in range(6, 6 + 3 * number, 3)
    }
    most = [max(factor) for factor in zip(*factors.values(), strict=True)]
    chosen = [
      (factors[body[k]], body[k + 1]) for k in range(1, 1 + 2 * body[0], 2)
    ]
    if len(chosen) == 1:  # Not interleaved: an MCU is one block.
      (across, down), _ = chosen[0]
      num_mcus = math.ceil(math.ceil(width * across / most[0]) / 8)
      num_mcus *= math.ceil(math.ceil(height * down / most[1]) / 8)
      chosen = [((1, 1), chosen[0][1])]
    else:
      num_mcus = math.ceil(width / (8 * most[0]))
      num_mcus *= math.ceil(height / (8 * most[1]))
  except (IndexError, KeyError, ValueError, ZeroDivisionError):
    raise _Damaged('damaged: the header contradicts itself') from None
  blocks = tuple(
    (table >> 4, 16 | table & 15)
    for (across, down), table in chosen
    for _ in range(across * down)
  )
  return _Scan(*data, interval, num_mcus, blocks, tables, marker in _SEQUENTIAL)


def _check_restarts(scan):
  """Raises _Damaged unless the restart markers are as many as they must be."""
  if not scan.num_mcus:  # The height is told after the scan.
    return
  codes = [code for _, _, code in scan.restarts]
  if codes != [_RST[k % 8] for k in range(len(codes))]:
    raise _Damaged('damaged: restart markers out of order')
  most = math.ceil(scan.num_mcus / scan.interval) if scan.interval else 0
  if not most - 1 <= len(codes) <= most:  # Some writers end with one.
    raise _Damaged(f'damaged: {len(codes)} of {most - 1} restart markers')


def _zeros_are_rare(scan):
  """Returns whether a run of zero bits would mean blocks no image has."""
  if not scan.sequential:
    return False
  tables = [scan.tables.get(ac, bytes(17)) for _, ac in scan.blocks]
  return any(table[16:17] != b'\0' for table in tables)  # 0: end of block.


def _verify_scan(contents, scan):
  """Decodes the codes of a sequential scan; raises _Damaged."""
  wanted = {number for block in scan.blocks for number in block}
  if not scan.sequential or not wanted <= scan.tables.keys():
    return
  lookups = {n: _lookup(scan.tables[n], is_ac=n > 15) for n in wanted}
  blocks = [(lookups[dc], lookups[ac]) for dc, ac in scan.blocks]
  left, start = scan.num_mcus, scan.start
  for stop, after, _ in (*scan.restarts, (scan.stop, scan.stop, 0)):
    data = contents[start:stop].replace(b'\xff\0', b'\xff')
    count = min(scan.interval or left, left)
    _verify_part(data, count, blocks)
    left, start = left - count, after


def _verify_part(data, num_mcus, blocks):
  """Decodes the codes of `num_mcus` MCUs; raises _Damaged."""
  num_bits = 8 * len(data)
  padded = data + bytes(8 + -len(data) % 8)
  bits = held = position = 0  # `held` bits of `bits` are still to decode.
  for mcu in range(num_mcus):
    for dc, ac in blocks:
      table, step = dc, 0
      while step < 64:
        if held < 32:
          word = int.from_bytes(padded[position : position + 8], 'big')
          bits = (bits & 0xFFFFFFFF) << 64 | word
          held += 64
          position += 8
        entry = table[bits >> held - 16 & 0xFFFF]
        if not entry:
          raise _Damaged('damaged: a code that is in no table')
        held -= entry >> 8
        step += entry & 255
        table = ac
      if 64 < step < _END:
        raise _Damaged('damaged: a block with too many numbers')
    if 8 * position - held > num_bits:
      raise _Damaged(f'damaged: data for {mcu} of {num_mcus} blocks')
  rest = data[(8 * position - held + 7) // 8 :]
  if rest.strip(b'\0\xff'):  # Padding is no damage.
    raise _Damaged(f'damaged: {len(rest)} bytes left over')


def _lookup(table, is_ac):
  """Returns, for the next 16 bits, bits of code and number << 8 | steps."""
  entries, position = [], 16
  for length, count in enumerate(table[:16], 1):
    for symbol in table[position : position + count]:
      size = symbol & 15
      steps = (symbol >> 4) + 1 if is_ac else 1
      if is_ac and not size:
        steps = 16 if symbol == 0xF0 else _END
      entries += [(length + size) << 8 | steps] * (1 << 16 - length)
    position += count
  return (entries + [0] * (1 << 16))[: 1 << 16]
