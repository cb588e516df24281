"""Pascal VOC: lists, difficult objects, and XML that is refused."""

import itertools

import pytest

from aubal_jax.datasets import manifest
from aubal_jax.datasets.converters import voc
from aubal_jax.runs import errors
from tests.makers import forms

SPLIT_OF = {'train': 'train', 'val': 'validation', 'test': 'test'}


def make(folder, objects=('<name>cat</name>', '<name>dog</name>'), lists=None):
  """Writes images 0, 1, ... with one object each, and lists."""
  for part in ('Annotations', 'ImageSets/Main'):
    (folder / part).mkdir(parents=True)
  for n, inner in enumerate(objects):
    (folder / f'Annotations/{n}.xml').write_text(
      f'<annotation>\n<object>{inner}</object>\n</annotation>'
    )
    forms.write_image(folder / f'JPEGImages/{n}.jpg')
  for name, lines in (lists or {}).items():
    (folder / f'ImageSets/Main/{name}.txt').write_text('\n'.join(lines))


def convert(folder):
  notes = voc.convert(folder, folder / 'm.csv')
  return manifest.read(folder / 'm.csv'), notes


def test_difficult_alone_is_unknown(tmp_path):
  marks = [m for r in (1, 2, 3) for m in itertools.product((0, 1), repeat=r)]
  objects = [
    '</object><object>'.join(
      f'<name>cat</name><difficult>{mark}</difficult>' for mark in some
    )
    for some in marks
  ]
  make(tmp_path, ['<name>dog</name>', *objects])
  found, notes = convert(tmp_path)
  rows = dict(zip(found.ids, range(len(found)), strict=True))
  for n, some in enumerate(marks, 1):
    row = rows[f'JPEGImages/{n}.jpg']
    assert found.label_names == ('cat', 'dog')
    assert found.known[row].tolist() == [not all(some), True]
    assert found.labels[row].tolist() == [int(not all(some)), 0]
  assert f'Unknown, so blank: 3 of {2 * len(marks) + 2} labels.' in notes
  assert found.split is None
  assert 'there is no split' in notes[-1]


def test_trainval_counts_where_the_others_are_silent(tmp_path):
  names = ('train', 'val', 'test', 'trainval')
  cases = [s for r in range(1, 5) for s in itertools.combinations(names, r)]
  for n, lists in enumerate(cases):
    folder = tmp_path / str(n)
    given = {name: [str(k)] for k, name in enumerate(names) if name in lists}
    make(folder, ['<name>cat</name>'] * 4, given)
    found, notes = convert(folder)
    split = {name: part for name, part in SPLIT_OF.items() if name in lists}
    if 'trainval' in lists:
      silent = (
        'validation' if {'train', 'val'} & {*lists} == {'train'} else 'train'
      )
      split['trainval'] = silent
    told = any('in trainval.txt alone' in note for note in notes)
    assert told == ('trainval' in lists)
    expected = {
      f'JPEGImages/{names.index(name)}.jpg': part
      for name, part in split.items()
    }
    given = found.split if found.split is not None else ['drawn'] * len(found)
    if 'train' not in expected.values():
      expected = dict.fromkeys(expected, 'drawn')
    assert dict(zip(found.ids, given, strict=True)) == expected


@pytest.mark.parametrize(
  ('lists', 'message'),
  [
    ({'train': '0', 'test': '10'}, r"test\.txt:2: '0' is in the list for tr"),
    ({'test': '0', 'trainval': '10'}, r"trainval\.txt:2: '0' is in the list "),
    ({'train': '011'}, r"train\.txt:3: '1' a second time"),
  ],
)
def test_an_image_is_in_one_list(tmp_path, lists, message):
  make(tmp_path, lists=lists)
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)


BOMB = (
  '<!DOCTYPE annotation [<!ENTITY a "cat"><!ENTITY b "&a;&a;&a;&a;&a;&a;">'
  '<!ENTITY c "&b;&b;&b;&b;&b;&b;">]>\n<annotation><object><name>&c;</name>'
  '</object></annotation>'
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><annotation/>'


@pytest.mark.parametrize(
  ('contents', 'message'),
  [
    (BOMB, r'0\.xml:1: <!DOCTYPE \.\.\.> is not read'),
    (FILE, r'0\.xml:1: <!DOCTYPE'),
    (f'<?xml version="1.0"?>\n{BOMB}', r'0\.xml:2: <!DOCTYPE'),
    (BOMB.encode('utf-16'), r'0\.xml:1: <!DOCTYPE'),
    ('<annotation>\n<object>', r'0\.xml:2: this is not XML \(no element'),
    ('', r'0\.xml:1: this is not XML'),
    ('<annotation>&x;</annotation>', r'not XML \(undefined entity'),
    ('<?xml version="1.0" encoding="x"?><annotation/>', r'this is not XML'),
    ('<?xml version="1.0" encoding="utf-7"?><annotation/>', r'not XML'),
    (b'<annotation>\xff</annotation>', r'not XML \(not well-formed'),
    ('<html/>', r"0\.xml:1: the file holds 'html', not 'annotation'"),
    (
      '<annotation>\n\n<object/></annotation>',
      r"0\.xml:3: the object that begins here has the name ''",
    ),
    (
      '<annotation><object><name>x</name><difficult>yes</difficult></object>'
      '</annotation>',
      r"0\.xml:1: the object .*difficult='yes'",
    ),
    (
      '<annotation><object><name>DOG</name></object></annotation>',
      r"1\.xml:2: the label 'dog' and 'DOG' \(.*0\.xml:1\) differ in case",
    ),
  ],
)
def test_what_is_wrong_is_named(tmp_path, contents, message):
  make(tmp_path)
  contents = contents.encode() if isinstance(contents, str) else contents
  (tmp_path / 'Annotations/0.xml').write_bytes(contents)
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)
  assert not (tmp_path / 'm.csv').exists()


def test_images_without_any_object(tmp_path):
  make(tmp_path)
  for path in (tmp_path / 'Annotations').iterdir():
    path.write_text('<annotation/>')
  with pytest.raises(errors.UserError, match='there is no label'):
    convert(tmp_path)
