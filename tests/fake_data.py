"""Small image sets in the layout their authors hand out, quirks included."""

import pathlib

import cv2
import numpy as np


def write_image(path: pathlib.Path, value: int, size: int = 16) -> pathlib.Path:
  """Writes a grey square, of the format its suffix names in any case."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.full((size, size), value, np.uint8)
  path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())
  return path


AFF_WILD2_AUS = {
  '2020': (1, 2, 4, 6, 12, 15, 20, 25),
  '2022': (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26),
}


def aff_wild2(folder: pathlib.Path, release: str = '2020') -> pathlib.Path:
  """Writes Aff-Wild2 with 4 videos, two of them of one recording.

  Of the 12 rows, `one` has frames with only AU1, not annotated, only AU2
  (image missing) and only AU4; `two_left` all AUs, and none; `two_right` a
  frame lacking one label, and only AU1; `drei ä` only the last AU, none, all
  -5, and none (image missing).
  """
  codes = AFF_WILD2_AUS[release]
  names = [f'AU{code}' for code in codes]
  width = len(codes)

  def row(*positions, value=1):
    cells = ['0'] * width
    for position in positions:
      cells[position] = str(value)
    return ','.join(cells)

  none, last = row(), row(width - 1)
  unknown = ','.join(['-1'] * width)
  every = row(*range(width))
  root = folder / 'annotations'
  if release == '2020':
    root, train = root / 'AU_Set', 'Training_Set'
  else:
    root = root / '3rd_ABAW_Annotations' / 'AU_Detection_Challenge'
    train = 'Train_Set'
  quoted = ', '.join(f'"{name}"' for name in names)
  backwards = ','.join(reversed(names))
  for path, lines, end, start, blank in (
    (
      f'{train}/one.txt',
      [','.join(names), row(0), unknown, row(1), row(2)],
      '\n',
      '',
      0,
    ),
    (f'{train}/two_left.txt', [quoted, every, none], '\r\n', '\ufeff', 3),
    (
      f'{train}/two_right.TXT',
      [backwards, row(3, value=-1), last],
      '\n',
      '',
      1,
    ),
    (
      'Validation_Set/drei ä.txt',
      [','.join(names), last, none, unknown.replace('1', '5'), none],
      '\n',
      '',
      1,
    ),
  ):
    path = root / path
    path.parent.mkdir(parents=True, exist_ok=True)
    text = start + end.join(lines) + end * blank
    path.write_bytes(text.encode())
  for beside, header, cell in (
    ('EXPR_Set', 'Neutral,Anger', '-1'),
    ('VA_Set', 'valence,arousal', '-5,-5'),
  ):
    path = root.parent / beside / train / 'one.txt'
    path.parent.mkdir(parents=True)
    path.write_text(f'{header}\n{cell}\n')
  (root / train / '.DS_Store').write_bytes(b'\0\xff')
  for number, name in enumerate(
    (
      *('one/00001.jpg', 'one/00002.jpg', 'one/00004.jpg', 'one/00009.jpg'),
      *('two_left/00001.JPG', 'two_left/00002.JPG'),
      *('two_right/00001.jpg', 'two_right/00002.jpg'),
      *('drei ä/00001.jpg', 'drei ä/00002.jpg', 'drei ä/00003.jpg'),
      'of_another_set/00001.jpg',
    ),
    1,
  ):
    write_image(folder / 'cropped_aligned' / name, 10 * number)
  return folder
