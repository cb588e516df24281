"""Random small sets in the forms people have, and the manifest they mean.

Each writer fills a folder and returns a `Set`; images are a few bytes that
differ, as nobody decodes them.
"""

import dataclasses
import json
import os
import pathlib
import zlib
from xml.sax import saxutils

import cv2
import numpy as np

NAMES = ('Ärger, leise', 'cat', 'traffic light', '5 o"clock', 'a&b', "it's")
SPLITS = ('train', 'validation', 'test')


@dataclasses.dataclass
class Set:
  """What a folder means.

  Attributes:
    rows: path of an image -> (label -> '0', '1' or '', split, subject); None
      where there is none.
    num_left_out: rows without one.
    files: what may be damaged, from the folder on.
  """

  rows: dict[str, tuple[dict[str, str], str | None, str | None]]
  num_left_out: int
  files: tuple[str, ...]


def write_image(path: pathlib.Path, decodable: bool = False) -> None:
  """Writes an image of its own bytes: those of its path, or a PNG."""
  path.parent.mkdir(parents=True, exist_ok=True)
  contents = os.fsencode(path)
  if decodable:
    rng = np.random.default_rng(zlib.crc32(contents))
    pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
    contents = cv2.imencode('.png', pixels)[1].tobytes()
  path.write_bytes(contents)


def draw_labels(rng, num_rows, num_labels):
  """bool[N, L], each label present somewhere."""
  labels = rng.random((num_rows, num_labels)) < 0.4
  labels[rng.integers(num_rows), :] = True
  return labels


def draw_splits(rng, num_rows, choices=SPLITS):
  """N splits, training among them."""
  return ['train', *rng.choice(choices, num_rows - 1).tolist()]


def cells_of(names, labels, known=None):
  """Label -> '0', '1' or ''."""
  known = np.ones(len(labels), bool) if known is None else known
  return {
    name: str(int(value)) if is_known else ''
    for name, value, is_known in zip(names, labels, known, strict=True)
  }


def coco(folder: pathlib.Path, rng, decodable=False) -> Set:
  """COCO with shuffled lists and odd ids; a file need not list all names."""
  num_rows = int(rng.integers(4, 12))
  names = rng.permutation(NAMES)[: rng.integers(2, 6)].tolist()
  labels = draw_labels(rng, num_rows, len(names))
  split = draw_splits(rng, num_rows)
  there = rng.random(num_rows) < 0.8
  there[0] = True
  rows, files = {}, []
  for part in sorted({*split}, key=SPLITS.index):
    short = {'validation': 'val'}.get(part, part)
    listed = np.ones(len(names), bool)
    if part != 'train':
      listed[rng.integers(len(names))] = False
    ids = rng.permutation(1000)[: len(names)].tolist()
    content = {'images': [], 'annotations': [], 'categories': []}
    for k in np.flatnonzero(listed).tolist():
      content['categories'].append({'id': ids[k], 'name': names[k]})
    for n in np.flatnonzero(np.array(split) == part).tolist():
      # The numbers begin anew in each split.
      name = f'{len(content["images"]):03d}.jpg'
      image_id = n if rng.random() < 0.5 else f'image {n}'
      content['images'].append({'id': image_id, 'file_name': name, 'height': 4})
      for k in np.flatnonzero(labels[n] & listed).tolist():
        for _ in range(rng.integers(1, 4)):
          content['annotations'].append(
            {
              'image_id': image_id,
              'category_id': ids[k],
              'iscrowd': int(rng.integers(2)),
              'segmentation': [[0.5, 1.5]],
            }
          )
      if there[n]:
        path = f'{short}2017/{name}'
        write_image(folder / path, decodable)
        cells = cells_of(names, labels[n], listed)
        rows[path] = cells, part, None
    for key in ('images', 'annotations'):
      order = rng.permutation(len(content[key]))
      content[key] = [content[key][i] for i in order]
    files.append(f'annotations/instances_{short}2017.json')
    path = folder / files[-1]
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content, indent=1), encoding='utf-8')
  return Set(rows, num_rows - len(rows), tuple(files))


def voc(folder: pathlib.Path, rng, decodable=False) -> Set:
  """Pascal VOC; some objects are difficult, some images in no list."""
  num_rows = int(rng.integers(4, 12))
  names = rng.permutation(NAMES)[: rng.integers(2, 6)].tolist()
  labels = draw_labels(rng, num_rows, len(names))
  known = rng.random(labels.shape) < 0.8
  known[labels.all(1)] = True
  split = draw_splits(rng, num_rows, (*SPLITS, 'none'))
  there = rng.random(num_rows) < 0.8
  there[0] = True
  there[labels.all(1)] = True  # Or a name would be in no annotation read.
  split[int(np.argmax(labels.all(1)))] = 'train'
  images = ('JPEGImages', 'images')[rng.integers(2)]
  for part in ('Annotations', images, 'ImageSets/Main'):
    (folder / part).mkdir(parents=True, exist_ok=True)
  rows, in_list = {}, {}
  for n in range(num_rows):
    objects = []
    for k in range(len(names)):
      marks = []
      if not known[n, k]:
        marks = [1] * rng.integers(1, 3)
      elif labels[n, k]:
        marks = [0, *rng.integers(0, 2, 2)][: rng.integers(1, 4)]
      objects += [(names[k], mark) for mark in marks]
    order = rng.permutation(len(objects))
    _write_voc(
      folder / f'Annotations/{n:03d}.xml', [objects[i] for i in order], rng
    )
    in_list.setdefault(split[n], []).append(f'{n:03d}')
    if there[n]:
      write_image(folder / f'{images}/{n:03d}.png', decodable)
    if there[n] and split[n] != 'none':
      rows[f'{images}/{n:03d}.png'] = (
        cells_of(names, labels[n], known[n]),
        split[n],
        None,
      )
  lists = {'train': 'train', 'val': 'validation', 'test': 'test'}
  for short, part in lists.items():
    content = '\n'.join([*in_list.get(part, ()), ''])
    (folder / f'ImageSets/Main/{short}.txt').write_text(content)
  trainval = in_list.get('train', []) + in_list.get('validation', [])
  (folder / 'ImageSets/Main/trainval.txt').write_text('\r\n'.join(trainval))
  files = [f'ImageSets/Main/{name}.txt' for name in (*lists, 'trainval')]
  files += [f'Annotations/{n:03d}.xml' for n in range(num_rows)]
  return Set(rows, num_rows - len(rows), tuple(files))


def _write_voc(path, objects, rng):
  lines = ['<annotation>', ' <folder>x</folder>']
  for name, mark in objects:
    name = saxutils.escape(name)
    # A part of an object is no object.
    part = '<part><object/><name>head</name></part>' * int(rng.integers(2))
    said = f'<difficult>{mark}</difficult>'
    if not mark and rng.random() < 0.5:
      said = ''
    lines.append(f' <object><name> {name}\n</name>{said}{part}</object>')
  path.write_text('\n'.join([*lines, '</annotation>', '']), encoding='utf-8')


def celeba(folder: pathlib.Path, rng, decodable=False) -> Set:
  """CelebA as lists or as CSV, with or without partitions and identities."""
  num_rows = int(rng.integers(4, 12))
  names = ['5_o_Clock', 'Bald', 'Ärger', 'Young'][: rng.integers(1, 5)]
  labels = draw_labels(rng, num_rows, len(names))
  split = draw_splits(rng, num_rows) if rng.random() < 0.7 else None
  subjects = None
  if rng.random() < 0.7:
    subjects = rng.integers(1, 4, num_rows).astype(str).tolist()
  there = rng.random(num_rows) < 0.8
  there[0] = True
  is_csv = bool(rng.integers(2))
  mark, suffix = (',', 'csv') if is_csv else ('  ', 'txt')
  images = [f'{n + 1:06d}.jpg' for n in range(num_rows)]
  lines = [mark.join(['image_id', *names])]
  if not is_csv:
    lines = [str(num_rows), ' '.join(names) + ' ']
  for image, row in zip(images, labels, strict=True):
    lines.append(mark.join([image, *('1' if cell else '-1' for cell in row)]))
  files = [f'list_attr_celeba.{suffix}']
  (folder / files[0]).write_text('\r\n'.join([*lines, '']), encoding='utf-8')
  parts = {'train': '0', 'validation': '1', 'test': '2'}
  for stem, values in (
    ('list_eval_partition', split and [parts[part] for part in split]),
    ('identity_CelebA', subjects),
  ):
    if values:
      lines = ['image_id,value'] * is_csv
      lines += [mark.join(p) for p in zip(images, values, strict=True)]
      files.append(f'{stem}.{suffix}')
      (folder / files[-1]).write_text('\n'.join(lines))
  rows = {}
  for n in np.flatnonzero(there).tolist():
    path = f'img_align_celeba/{images[n][:-4]}.png'
    write_image(folder / path, decodable)
    rows[path] = (
      cells_of(names, labels[n]),
      split and split[n],
      subjects and subjects[n],
    )
  return Set(rows, num_rows - len(rows), tuple(files))


def chest_xray14(folder: pathlib.Path, rng, decodable=False) -> Set:
  """ChestX-ray14, with the header whose commas are not all quoted."""
  num_rows = int(rng.integers(4, 12))
  names = ['Effusion', 'Hernia', 'Mass', 'Pleural_Thickening']
  names = names[: rng.integers(1, 5)]
  labels = draw_labels(rng, num_rows, len(names))
  split = None
  if rng.random() < 0.7:
    split = draw_splits(rng, num_rows, ('train', 'test'))
  there = rng.random(num_rows) < 0.8
  there[0] = True
  lines = ['Image Index,Finding Labels,Follow-up #,Patient ID,Image[x,y],']
  rows, in_list = {}, {'train': [], 'test': []}
  for n in range(num_rows):
    image, patient = f'{n // 2:08d}_{n % 2:03d}.png', str(n // 2)
    findings = [names[k] for k in rng.permutation(np.flatnonzero(labels[n]))]
    cell = '|'.join(findings) or 'No Finding'
    lines.append(f'{image},{cell},{n % 2},{patient},1,2,')
    if split:
      in_list[split[n]].append(image)
    if there[n]:
      path = f'images_{1 + n % 2:03d}/images/{image}'
      write_image(folder / path, decodable)
      rows[path] = cells_of(names, labels[n]), split and split[n], patient
  files = ['Data_Entry_2017_v2020.csv']
  (folder / files[0]).write_text('\n'.join(lines))
  if split:
    for name, part in (('train_val_list', 'train'), ('test_list', 'test')):
      files.append(f'{name}.txt')
      (folder / files[-1]).write_text('\n'.join(in_list[part]))
  return Set(rows, num_rows - len(rows), tuple(files))


def class_folders(folder: pathlib.Path, rng, decodable=False) -> Set:
  """Class folders, with splits above them or without."""
  names = rng.permutation(NAMES)[: rng.integers(2, 6)].tolist()
  has_splits = rng.random() < 0.5
  rows, num_left_out = {}, 0
  for n in range(len(names) + int(rng.integers(2, 12))):
    k = n % len(names)
    part = ('train', 'validation')[n % 2] if has_splits else None
    above = {'train': 'train/', 'validation': 'val/'}.get(part, '')
    inner = 'more/' * int(rng.integers(2))
    path = f'{above}{names[k]}/{inner}{n // 2}.png'
    write_image(folder / path, decodable)
    rows[path] = cells_of(names, np.arange(len(names)) == k), part, None
    if rng.random() < 0.2:
      (folder / f'{above}{names[k]}/notes {n}.txt').write_text('no image')
      num_left_out += 1
  return Set(rows, num_left_out, ())


FORMS = {
  'coco': coco,
  'voc': voc,
  'celeba': celeba,
  'chest_xray14': chest_xray14,
  'class_folders': class_folders,
}
