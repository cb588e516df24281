"""Small image sets in the layout their authors hand out, quirks included."""

import pathlib

import cv2
import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import manifest
from aubal_jax.datasets import splits
from aubal_jax.media import images


def write_image(path: pathlib.Path, value: int, size: int = 16) -> pathlib.Path:
  """Writes a grey square, of the format its suffix names in any case."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.full((size, size), value, np.uint8)
  path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())
  return path


def load_manifest(path, *, draw=None, pixels=None, **options):
  """Returns the data set of a manifest, its splits drawn where it has none."""
  return annotations.to_dataset(
    manifest.read(path, **options),
    where=str(path),
    draw=draw or splits.Draw(),
    pixels=pixels or images.Pixels(),
    by_column=True,
  )


def picture(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
  """A smooth RGB image, so that JPEG and resizing change little."""
  rng = np.random.default_rng(seed)
  small = rng.integers(0, 256, (4, 6, 3), np.uint8)
  return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


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
  (root / train / '._one.txt').write_bytes(b'\0\xff')  # As macOS leaves.
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


DISFA_AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def disfa(folder: pathlib.Path) -> pathlib.Path:
  """Writes DISFA with 3 subjects of 5 frames; AU number k + f of frame f is f.

  All other intensities are 0. SN002 (k = 1) has no file of AU05, and that of
  AU01 ends at frame 3; SN003 (k = 2) has images of both cameras. Images: SN001
  by ffmpeg, from 1, without frame 4; SN002 from 0; SN003 in long names.
  """
  for k in range(3):
    subject = f'SN{k + 1:03d}'
    for position, au in enumerate(DISFA_AUS):
      if (k, au) == (1, 5):
        continue
      lines = [f'{f},{f * (position == k + f)}' for f in range(1, 6)]
      lines = lines[: 3 if (k, au) == (1, 1) else 5]
      path = folder / f'ActionUnit_Labels/{subject}/{subject}_au{au}.txt'
      path.parent.mkdir(parents=True, exist_ok=True)
      text = '\r\n'.join(lines) + '\r\n' * 2
      path.write_bytes((b'', b'\xef\xbb\xbf')[k == 1] + text.encode())
  frames = [f'SN001/{f}.jpg' for f in (1, 2, 3, 5)]
  frames += [f'SN002/frame_{f:05d}.PNG' for f in range(5)]
  frames += [
    f'{side}VideoSN003_comp/{side}VideoSN003_comp_{f:04d}.jpg'
    for side in ('Left', 'Right')
    for f in range(1, 6)
  ]
  for value, name in enumerate(frames, 1):
    write_image(folder / 'Images' / name, 10 * value)
  return folder


BP4D_AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)


def bp4d(folder: pathlib.Path) -> pathlib.Path:
  """Writes BP4D: 2 subjects, 3 clips, frames 2440 to 2443 of each coded.

  Columns are AU 1 to 26 and more. AU n is 1 in frame 2440 where n is even, 9
  in frame 2441, 0 in frame 2442; frame 2443 is all 9 but for AU 5.
  """
  aus = [*range(1, 27), 43]
  for number, clip in enumerate(('F001_T1', 'F001_T2', 'M002_T1')):
    rows = [
      ','.join(map(str, (frame, *codes)))
      for frame, codes in (
        (2440, [int(au % 2 == 0) for au in aus]),
        (2441, [9 if au % 2 == 0 else 0 for au in aus]),
        (2442, [0] * len(aus)),
        (2443, [1 if au == 5 else 9 for au in aus]),
      )
    ]
    path = folder / f'AUCoding/AU_OCC/{clip}.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    end = ('\n', '\r\n', '\r')[number]
    path.write_bytes(
      end.join([','.join(map(str, [0, *aus])), *rows, '']).encode()
    )
  for frame in (1, 2440, 2441, 2442, 2443):
    write_image(folder / f'2D+3D/F001/T1/{frame}.jpg', 50)
    write_image(folder / f'2D+3D/F001/T2/{frame:05d}.JPG', 100)
    if frame != 2442:
      write_image(folder / f'2D+3D/M002/T1/{frame}.jpg', 150)
  return folder


def ck_plus(folder: pathlib.Path) -> pathlib.Path:
  """Writes CK+ with three sequences of two subjects.

  S005/001: 3 frames, AU12 and AU25 (not graded) at the peak; S005/002: 2
  frames, AU04 and AU63, suffixes in capitals; S010/001: 2 frames, no FACS.
  """
  images = folder / 'cohn-kanade-images'
  for number, name in enumerate(
    (
      *(f'S005/001/S005_001_{n:08d}.png' for n in (1, 2, 11)),
      *(f'S005/002/S005_002_{n:08d}.PNG' for n in (1, 2)),
      *(f'S010/001/S010_001_{n:08d}.png' for n in (1, 2)),
    ),
    1,
  ):
    write_image(images / name, 10 * number)
  (images / 'S005/.DS_Store').write_bytes(b'\0')
  for name, text in (
    (
      'FACS/S005/001/S005_001_00000011_facs.txt',
      '   1.2000000e+01   3.0000000e+00\n   2.5000000e+01   0.0000000e+00\n',
    ),
    (
      'FACS/S005/002/S005_002_00000002_facs.txt',
      '\ufeff4.0\t2.0\r\n63 1\r\n\r\n',
    ),
    ('Emotion/S005/001/S005_001_00000011_emotion.txt', '3.0000000e+00\n'),
    ('Landmarks/S005/001/S005_001_00000011_landmarks.txt', '1.0 2.0\n'),
  ):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
  return folder


def emotionet(folder: pathlib.Path) -> pathlib.Path:
  """Writes EmotioNet: the table of 5 rows, two lists of 2 rows, images.

  In the table AU 1 is 1 0 1 0 1; AU 2 is 0 999 1 0 0; AU 3 is 999 throughout;
  AU 12 is 0 1 0 0 999; the fourth row is the image of the first again, the
  fifth has no image. In the lists AU n is 1 in row n, else 0; AU 60 is 999.
  """
  base = 'http://cbcsnas01.example.edu/dbs/N_0000000001'
  urls = [f'{base}/N_0000000001_{n:05d}.jpg' for n in (1, 2, 3, 1, 5)]
  rows = [
    ('URL', 'URL orig', "'AU 1'", "'AU 2'", "'AU 3'", "'AU 12'"),
    (f"'{urls[0]}'", "'http://a.example/x.jpg'", 1, 0, 999, 0),
    (f"'{urls[1]}'", "'http://a.example/y,y.jpg'", 0, 999, 999, 1),
    (f"'{urls[2]}'", "'http://a.example/z.jpg'", 1, 1, 999, 0),
    (f"'{urls[3]}'", "'http://a.example/x.jpg'", 0, 0, 999, 0),
    (f"'{urls[4]}'", "'http://a.example/v.jpg'", 1, 0, 999, 999),
  ]
  folder.mkdir(parents=True, exist_ok=True)
  lines = [', '.join(f'"{cell}"' for cell in row) for row in rows]
  path = folder / 'EmotioNet_FACS_aws_2020_24600.csv'
  path.write_text('\r\n'.join(lines) + '\r\n\r\n', encoding='utf-8-sig')
  for number in range(2):
    lines = []
    for row in (2 * number + 1, 2 * number + 2):
      aus = [int(au == row) for au in range(1, 60)] + [999]
      url = f'{base}/N_0000000001_{row:05d}.jpg'
      lines.append('\t'.join(map(str, (url, 'http://a.example/x', *aus))))
    path = folder / f'dataFile_{number + 1:04d}.txt'
    path.write_text('\n'.join(lines) + '\n' * number)
  for n in (1, 2, 3, 9):
    name = f'N_0000000001_{n:05d}{".JPG" if n == 2 else ".jpg"}'
    write_image(folder / 'imgs/N_0000000001' / name, 10 * n)
  return folder


def raf_au(folder: pathlib.Path) -> pathlib.Path:
  """Writes RAF-AU: 6 lines, images of all but the last, aligned ones too."""
  folder.mkdir(parents=True, exist_ok=True)
  lines = ['0001.jpg 1+L4+25', '0003.jpg null', '0004.jpg 25 ']
  lines += ['0005.jpg R12+L12+T24+AD19', '0006.jpg 26+26+B22', '0007.jpg 4']
  (folder / 'RAFAU_label.txt').write_text('\r\n'.join(lines) + '\r\n\r\n')
  for n in (1, 3, 4, 5, 6):
    write_image(folder / f'aligned/{n:04d}_aligned.jpg', 10 * n)
    write_image(folder / f'original/{n:04d}.jpg', 20 * n)
  return folder


FER_VOTES = (
  # Usage, name, neutral, happiness, ..., contempt, unknown, not a face.
  ('Training', 'fer0000000.png', 4, 0, 0, 1, 3, 2, 0, 0, 0, 0),
  ('Training', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 10),
  ('Training', 'fer0000001.png', 0, 8, 0, 0, 0, 0, 0, 0, 0, 2),
  ('PublicTest', 'fer0000002.png', 1, 1, 0, 0, 0, 0, 0, 0, 3, 5),
  ('PublicTest', 'fer0000003.png', 0, 0, 0, 0, 4, 0, 0, 0, 2, 4),
  ('PrivateTest', 'fer0000004.png', 1, 1, 1, 1, 1, 1, 1, 1, 2, 0),
  ('PrivateTest', 'fer0000005.png', 0, 0, 0, 0, 0, 0, 0, 9, 0, 0),
)


def fer_plus(folder: pathlib.Path) -> pathlib.Path:
  """Writes FER+ and fer2013.csv: 7 rows; row n is n + 10 pixel by pixel."""
  folder.mkdir(parents=True, exist_ok=True)
  names = 'Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,'
  names += 'fear,contempt,unknown,NF'
  lines = [names, *(','.join(map(str, row)) for row in FER_VOTES)]
  (folder / 'fer2013new.csv').write_text('\r\n'.join(lines) + '\r\n')
  lines = ['emotion,pixels,Usage']
  for number, row in enumerate(FER_VOTES, 10):
    pixels = ' '.join([str(number)] * 48**2)
    lines.append(f'0,{pixels},{row[0]}')
  (folder / 'fer2013.csv').write_text('\n'.join(lines) + '\n')
  return folder
