"""Aff-Wild2, the videos of the ABAW competitions: a row for each frame.

  annotations/AU_Set/Training_Set/<video>[_left|_right].txt         2020
  annotations/{EXPR_Set,VA_Set}/...
  .../AU_Detection_Challenge/Train_Set/<video>[_left|_right].txt    from 2021
  .../{EXPR_Classification_Challenge,VA_Estimation_Challenge}/...
  .../MTL_Challenge/train_set.txt                                   multi-task
  cropped_aligned/<video>[_left|_right]/00001.jpg

and `Validation_Set`, `validation_set.txt` beside. The first line of a file
names the AUs, in any order; line k + 2 is frame k, whose image is k + 1. A row
with any -1 (or -5) is not annotated. A file of expressions names them in its
first line, and has a number from 0 in each other, -1 for none; one of valence
and arousal has two numbers in [-1, 1], and -5 in either for none. A multi-task
file has a row for each image: `video/00001.jpg`, valence, arousal, expression,
then twelve AUs, which the header names one by one or together as `aus`. Sets
of tasks that are not asked for are passed over. Rows are joined by video and
number, and each task has its own split: a video may train one and validate
another. Folders may lie deeper (`folders.DEPTH`), and the images in
`cropped_aligned...` or `batch1`, `batch2`.
"""

import os
import re
import types
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import aff_wild2_tasks as tasks
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import frames as frames_lib
from aubal_jax.datasets import readers
from aubal_jax.datasets import splits
from aubal_jax.datasets import task_splits
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.runs import text

# Release -> task -> its folder, by the names it has had.
_FOLDERS = types.MappingProxyType(
  {
    '2020': {
      'labels': ('AU_Set',),
      'expression': ('EXPR_Set',),
      'valence_arousal': ('VA_Set',),
    },
    '2022': {
      'labels': ('AU_Detection_Challenge', 'AU_Set'),
      'expression': (
        *('EXPR_Classification_Challenge', 'EXPR_Recognition_Challenge'),
        'EXPR_Set',
      ),
      'valence_arousal': ('VA_Estimation_Challenge', 'VA_Set'),
    },
  }
)
_IMAGES = r'cropped_aligned.*|batch[ _-]?\d+'


def read(
  folder: str,
  release: str = '2020',
  targets: Sequence[str] = ('labels',),
  thinning: str = 'none',
) -> annotations.Annotations:
  """Reads the annotations and looks which frames have an image.

  Args:
    folder: what holds the annotations and the images, see above.
    release: '2020' has eight AUs and seven expressions, '2022' (2021 and
      later) twelve and eight.
    targets: tasks to read: 'labels' (AUs), 'expression', 'valence_arousal'.
    thinning: 'published': fewer frames train, see `aff_wild2_tasks.thin`.

  Returns:
    A row for each row of the files of one task, for each image of several;
    splits are the official ones, groups the videos. A frame that no task
    annotates, or without image, has a reason.

  Raises:
    FileNotFoundError: annotations or images are not there; says what is.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  if not targets:
    raise errors.UserError(
      f'aff_wild2.targets is empty; name some of {[*_FOLDERS[release]]}.'
    )
  joined = tasks.join(
    {name: _read_task(folder, release, name) for name in targets}
  )
  videos, frames = joined.videos, joined.frames
  files, notes = _find_images(folder, videos, frames)
  reasons = annotations.reasons(files, tasks.known_rows(joined))
  if thinning == 'published':
    joined = tasks.thin(joined, files != '', release)
    left = tasks.known_rows(joined)
    reasons = np.where((reasons == '') & ~left, 'thinned', reasons)
  own, both = tasks.splits_of(joined)
  label_names = aff_wild2_rows.LABELS[release] if 'labels' in targets else ()
  labels, known = tasks.labels_of(joined, len(label_names))
  return annotations.Annotations(
    files=files,
    labels=labels,
    known=known,
    label_names=label_names,
    ids=np.array(
      [f'{v}/{k:05d}.jpg' for v, k in zip(videos, frames, strict=True)]
    ),
    groups=_groups(videos),
    frames=frames_lib.on_one_line(videos, frames),
    split=task_splits.first_of(own),
    reasons=reasons,
    notes=(*notes, *both, *tasks.odd_notes(joined)),
    place=joined.place(),
    targets=tasks.targets_of(joined, release),
    splits=own if len(own) > 1 else {},
  )


def _read_task(folder, release, name):
  """Returns (split, rows) of each file of a task."""
  task = aff_wild2_rows.task(name, release)
  return [
    (split, aff_wild2_rows.read(path, task))
    for split, path in _annotation_files(folder, release, name)
  ]


def _groups(videos):
  """Returns str[N]: the persons of a video are one group with it.

  Where the name of a video itself ends so, it at most joins another one, which
  never parts what belongs together.
  """
  of_video = {v: re.sub('_(left|right)$', '', v) for v in {*videos}}
  return np.array([of_video[video] for video in videos])


def _annotation_files(folder, release, task):
  """Returns the (split, path) of each file to read, in a fixed order."""
  hint = f'aff_wild2.release is {release!r}: '
  hint += (
    "set it to '2022' for the annotations of 2021 and later."
    if release == '2020'
    else "set it to '2020' for the annotations of that year."
  )
  try:
    root = folders.find_folder(
      folder, _FOLDERS[release][task], skip=_IMAGES, hint=hint
    )
  except FileNotFoundError:
    found = _multi_task_files(folder) if release == '2022' else []
    if not any(split == 'train' for split, _ in found):
      raise
    return sorted(_of_split(folder, found).items())
  of_split = _of_split(
    root,
    [
      (_split(entry.name), entry.path)
      for entry in folders.entries(root)
      if entry.is_dir() and _split(entry.name)
    ],
  )
  found = [
    (split, entry.path)
    for split, path in sorted(of_split.items())
    for entry in folders.entries(path)
    if entry.is_file() and entry.name.lower().endswith('.txt')
  ]
  if not any(split == 'train' for split, _ in found):
    raise folders.missing(root, 'folder Training_Set or Train_Set with .txt')
  return found


def _multi_task_files(folder):
  """Returns (split, path) of the highest multi-task files, [] for none."""
  for level in folders.levels(folder, skip=_IMAGES):
    found = [
      (_split(stem), entry.path)
      for entries in map(folders.entries, level)
      for entry in entries
      for stem, suffix in [os.path.splitext(entry.name)]
      if suffix.lower() == '.txt' and _split(stem) and entry.is_file()
    ]
    if found:
      return found
  return []


def _of_split(root, found):
  """Returns split -> path; ValueError where two paths are of one split."""
  of_split = {}
  for split, path in found:
    if split in of_split:
      raise folders.ambiguous(root, of_split[split], path)
    of_split[split] = path
  return of_split


def _split(name):
  """Returns the split that 'Training_Set' or 'train_set' is of, or None."""
  found = re.fullmatch('([a-z]+)[ _-]set(_annotations)?', name.casefold())
  return found and splits.SPLIT_NAMES.get(found[1])


def _find_images(folder, videos, frames):
  """Returns the file of each row, '' where there is none, and notes."""
  found = _video_folders(folder)
  wanted = [video for video in dict.fromkeys(videos) if video in found]
  report = progress.Progress(len(wanted), 'Looking for images of videos')
  numbered = {}
  for video in wanted:
    numbered[video] = _numbered(found[video])
    report.update()
  if not any(numbered.values()):
    raise FileNotFoundError(
      f'{folder}: none of the annotated videos '
      f'({text.listing(dict.fromkeys(videos), text.SHOWN)}) has a folder of '
      f'images; the image folders are {text.listing(found, text.SHOWN)}. '
      'Unpack the cropped images into cropped_aligned.'
    )
  files = np.array(
    [
      numbered[video].get(frame, '') if video in numbered else ''
      for video, frame in zip(videos, frames, strict=True)
    ]
  )
  return files, _image_notes(found, numbered, videos, files)


def _image_notes(found, numbered, videos, files):
  """Returns notes on videos without images, and on images without a row."""
  annotated = dict.fromkeys(videos)
  bare = [video for video in annotated if not numbered.get(video)]
  other = [video for video in found if video not in annotated]
  held = sum(map(len, numbered.values()))
  spare = held - len(np.unique(files[files != '']))
  notes = []
  if bare:
    notes.append(
      f'{len(bare)} of {len(annotated)} annotated videos have no image '
      f'({text.listing(bare, text.SHOWN)}).'
    )
  if other:
    notes.append(
      f'{len(other)} of {len(found)} image folders have no annotation '
      f'({text.listing(other, text.SHOWN)}).'
    )
  if spare:
    notes.append(
      f'{spare:,} of {held:,} images of annotated videos have no row.'
    )
  return tuple(notes)


def _video_folders(folder):
  """Returns video -> the folder of its images."""
  roots = [
    path
    for level in folders.levels(folder, skip=_IMAGES)
    for path in level
    if folders.matches(_IMAGES, path)
  ]
  if not roots:
    raise folders.missing(folder, 'folder cropped_aligned with the images')
  inside = [e for root in roots for e in folders.entries(root) if e.is_dir()]
  parts = [e for e in inside if folders.matches(_IMAGES, e.path)]
  inside += [e for p in parts for e in folders.entries(p.path) if e.is_dir()]
  found = {}
  for entry in inside:
    if not folders.matches(_IMAGES, entry.path):
      if entry.name in found:
        raise folders.ambiguous(folder, found[entry.name], entry.path)
      found[entry.name] = entry.path
  return dict(sorted(found.items()))


def _numbered(folder):
  """Returns frame number -> image file."""
  numbered = {}
  for name, path in folders.list_images(folder).items():
    if name.isascii() and name.isdigit():
      other = numbered.setdefault(int(name), path)
      if other != path:
        raise errors.UserError(
          f'{other} and {path} are two images of one frame. Remove one.'
        )
  return numbered


CARD = readers.Card(
  title='Aff-Wild2: frames of videos in the wild, with action units.',
  description=(
    'Frames of videos in the wild, with facial action units; the official '
    'training and validation videos.'
  ),
  homepage='https://ibug.doc.ic.ac.uk/resources/aff-wild2/',
  layout="""
Sign the agreement on the homepage. In manual_dir there must be

  annotations/AU_Set/{Training_Set,Validation_Set}/<video>.txt   (2020)
  annotations/3rd_ABAW_Annotations/AU_Detection_Challenge/
    {Train_Set,Validation_Set}/<video>.txt                       (2022)
  cropped_aligned/<video>/00001.jpg
""",
  citation="""
@inproceedings{kollias2019aff,
  author = {Kollias, Dimitrios and Zafeiriou, Stefanos},
  title = {Expression, Affect, Action Unit Recognition: {Aff-Wild2},
           Multi-Task Learning and {ArcFace}},
  booktitle = {British Machine Vision Conference (BMVC)},
  year = {2019},
}
""",
  variants=tuple(
    readers.Variant(
      release,
      description,
      aff_wild2_rows.LABELS[release],
      {'release': release, 'targets': ('labels',), 'thinning': 'none'},
    )
    for release, description in (
      ('2020', 'Eight AUs.'),
      ('2022', 'Twelve AUs, of the challenges from 2021 on.'),
    )
  ),
)
