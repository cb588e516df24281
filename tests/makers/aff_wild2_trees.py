"""Drawn trees of Aff-Wild2 with several tasks, and what they hold."""

import dataclasses

from tests.makers import fake_data

BASIC = 'Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise'
EXPRESSIONS = {'2020': BASIC, '2022': f'{BASIC},Other'}
FOLDERS = {
  '2020': {
    'labels': 'annotations/AU_Set',
    'expression': 'annotations/EXPR_Set',
    'valence_arousal': 'annotations/VA_Set',
  },
  '2022': {
    'labels': '3rd_ABAW_Annotations/AU_Detection_Challenge',
    'expression': '3rd_ABAW_Annotations/EXPR_Classification_Challenge',
    'valence_arousal': '3rd_ABAW_Annotations/VA_Estimation_Challenge',
  },
}
VIDEOS = ('a', 'b-1080x720', 'c_left', 'c_right', 'd', 'd_left', 'é f')


@dataclasses.dataclass
class Tree:
  """What a tree must be read as.

  Attributes:
    cells: (task, id) -> what is annotated: a tuple of AUs, an expression, or
      valence and arousal.
    listed: (task, id) -> the splits whose files have a row of it.
    images: ids that have an image.
  """

  cells: dict = dataclasses.field(default_factory=dict)
  listed: dict = dataclasses.field(default_factory=dict)
  images: set = dataclasses.field(default_factory=set)


def header(task, release):
  """The first line of a file of a task."""
  if task == 'labels':
    return ','.join(f'AU{n}' for n in fake_data.AFF_WILD2_AUS[release])
  return EXPRESSIONS[release] if task == 'expression' else 'valence,arousal'


def draw(task, release, rng):
  """What is annotated in a row, or None; and how a file writes it."""
  is_none = rng.random() < 0.25
  if task == 'labels':
    width = len(fake_data.AFF_WILD2_AUS[release])
    values = rng.integers(0, 2, width)
    if is_none:
      values[rng.random(width) < 0.5] = -1
      values[rng.integers(width)] = -1
    return None if is_none else tuple(values.tolist()), _joined(values)
  if task == 'expression':
    value = -1 if is_none else int(rng.integers(0, 8 - (release == '2020')))
    return None if is_none else value, str(value)
  values = rng.uniform(-1, 1, 2).round(3)
  values[rng.random(2) < 0.2] = rng.choice([-1, 0, 1])
  if is_none:
    values[rng.permutation(2)[: rng.integers(1, 3)]] = -5
  return None if is_none else tuple(values.tolist()), _joined(values)


def _joined(values):
  return ','.join(map(str, values.tolist()))


def write(folder, release, rng, *, once=False):
  """Writes files of all tasks, some videos in other splits in another task.

  Args:
    folder: where.
    release: '2020' or '2022'.
    rng: of what is drawn.
    once: no video is in both sets of one task.
  """
  tree = Tree()
  sizes = {video: int(rng.integers(2, 7)) for video in VIDEOS}
  for task, root in FOLDERS[release].items():
    train = 'Training_Set' if release == '2020' else 'Train_Set'
    sets = {'train': folder / root / train}
    sets['validation'] = folder / root / 'Validation_Set'
    for path in sets.values():
      path.mkdir(parents=True)
    chosen = rng.permutation(VIDEOS)[: rng.integers(3, len(VIDEOS) + 1)]
    for number, video in enumerate(map(str, chosen)):
      splits = ['train', 'validation'] if number < 2 else ['train']
      if number >= 2 and rng.random() < 0.4:
        splits = ['validation']
      if number < 2 and (once or number):
        splits = [splits[number]]
      drawn = [draw(task, release, rng) for _ in range(sizes[video])]
      drawn = drawn[: sizes[video] + rng.integers(-1, 1)] + [
        draw(task, release, rng) for _ in range(rng.integers(0, 2))
      ]
      for split in splits:
        lines = [header(task, release), *(line for _, line in drawn)]
        end = str(rng.choice(['\n', '\r\n']))
        text = end.join(lines) + end * int(rng.integers(0, 3))
        (sets[split] / f'{video}.txt').write_bytes(text.encode())
        for frame, (value, _) in enumerate(drawn, 1):
          key = task, f'{video}/{frame:05d}.jpg'
          tree.listed.setdefault(key, set()).add(split)
          if value is not None:
            tree.cells[key] = value
  write_images(folder, sizes, tree, rng)
  return tree


def write_images(folder, sizes, tree, rng):
  """Writes images of the videos, without some."""
  for video, size in sizes.items():
    for frame in range(1, size + 1):
      if frame == 1 or rng.random() < 0.8:
        name = f'{video}/{frame:05d}.jpg'
        path = folder / 'cropped_aligned' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'never opened')
        tree.images.add(name)
