"""Drawn ExpW and AFEW-VA in the layout of their authors, quirks included."""

import json

import numpy as np

from tests.makers import fake_data

# Class of label.lst -> its expression.
EXPW = (
  *('Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness', 'Surprise'),
  'Neutral',
)


def expw(folder, seed=0):
  """Writes ExpW; returns the folder, and id -> what a row must be.

  Of six images, each a ramp of greys, five are there; they have up to three
  faces, of which one has a box without area. The last image has no line.
  """
  rng = np.random.default_rng(seed)
  lines, rows = [], {}
  for k in range(6):
    name = f'mood_{"x" * (k % 2)}.{k}.jpg'
    if k != 3:
      fake_data.write_image(folder / 'image/origin' / name, 40 * k, 64)
    for face in range(0 if k == 5 else int(rng.integers(1, 4))):
      top, left = rng.integers(0, 20, 2)
      bottom, right = rng.integers(30, 64, 2)
      if (k, face) == (0, 0):
        right = left
      code = int(rng.integers(7))
      box = int(left), int(top), int(right), int(bottom)
      lines.append(
        f'{name} {face} {top} {left} {right} {bottom} '
        f'{rng.uniform(0, 99):.3f} {code}'
      )
      reason = {3: 'no image'}.get(k, 'invalid box' if right == left else '')
      rows[f'{name}/{face}'] = (EXPW[code], box, reason)
  lines.insert(2, '')
  path = folder / 'label/label.lst'
  path.parent.mkdir(parents=True)
  end = str(rng.choice(['\n', '\r\n']))
  path.write_bytes(end.join(map(str, rng.permutation(lines))).encode())
  return folder, rows


def points(rng, side=64):
  """68 landmarks of a face that is turned, and its eyes and mouth."""
  found = rng.uniform(0, side, (68, 2))
  angle, distance = rng.uniform(-1, 1), rng.uniform(8, 20)
  across = distance * np.array([np.cos(angle), np.sin(angle)])
  middle = rng.uniform(25, 40, 2)
  down = rng.uniform(5, 25) * np.array([-across[1], across[0]]) / distance
  parts = (middle - across / 2, middle + across / 2, middle + down)
  for part, (start, stop) in zip(
    parts, ((36, 42), (42, 48), (48, 68)), strict=True
  ):
    spread = rng.normal(0, 1, (stop - start, 2))
    found[start:stop] = part + spread - spread.mean(axis=0)
  return found, np.array(parts)


def afew_va(folder, seed=0):
  """Writes AFEW-VA; returns the folder, and id -> what a row must be.

  Of four clips in two folders one has a frame without an image, one a face
  without landmarks, and one a frame whose landmarks are at one place.
  """
  rng = np.random.default_rng(seed)
  rows = {}
  for k in range(4):
    clip = f'{k:03d}'
    path = folder / f'{1 + k // 2:02d}' / clip
    path.mkdir(parents=True)
    frames = {}
    for number in rng.permutation(int(rng.integers(2, 6))).tolist():
      landmarks, parts = points(rng)
      values = rng.integers(-10, 11, 2).tolist()
      reason = ''
      if number == 1:
        reason = ('no image', 'no landmarks', 'no landmarks', '')[k]
      if reason != 'no image':
        width = 5 if k else 1  # 00001.png, or 1.png: joined by number.
        fake_data.write_image(path / f'{number:0{width}}.png', 90, 64)
      if reason == 'no landmarks':
        landmarks = landmarks[:60] if k == 1 else np.ones((68, 2))
        parts = None
      name = f'{number:05d}'
      frames[name] = {
        'landmarks': landmarks.tolist(),
        'valence': float(values[0]),
        'arousal': values[1],
      }
      rows[f'{clip}/{name}'] = (values, parts, reason)
    about = {'video_id': clip, 'actor': 'a', 'frames': frames}
    (path / f'{clip}.json').write_text(json.dumps(about))
  (folder / 'notes.json').write_text('{}')
  return folder, rows
