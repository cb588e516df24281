"""CelebA: lists that do not agree, and what is wrong in them."""

import numpy as np
import pytest

from aubal_jax.datasets import manifest
from aubal_jax.datasets.converters import celeba
from aubal_jax.runs import errors
from tests.makers import forms

ATTRIBUTES = '2\nBald Young\n1.jpg -1  1\n2.jpg  1 -1\n'
CSV = 'image_id,Bald,Young\n1.jpg,-1,1\n2.jpg,1,-1\n'


def make(folder, attributes=ATTRIBUTES, suffix='txt', **lists):
  folder.mkdir(exist_ok=True)
  (folder / f'list_attr_celeba.{suffix}').write_text(attributes)
  for name, content in lists.items():
    (folder / f'{name}.txt').write_text(content)
  for n in (1, 2):
    forms.write_image(folder / f'img_align_celeba/{n}.jpg')


def convert(folder, **options):
  notes = celeba.convert(folder, folder / 'm.csv', **options)
  return manifest.read(folder / 'm.csv'), notes


def test_lines_of_no_image_are_told(tmp_path):
  rng = np.random.default_rng(0)
  for n in range(10):
    more = int(rng.integers(4))
    lines = ['1.jpg 0', '2.jpg 2', *(f'x{k}.jpg 1' for k in range(more))]
    order = rng.permutation(len(lines))
    folder = tmp_path / str(n)
    make(folder, list_eval_partition='\n'.join(lines[k] for k in order))
    found, notes = convert(folder)
    assert found.split.tolist() == ['train', 'test']
    told = f'{more} lines are of no image in {folder}/list_attr_celeba.txt'
    assert any(told in note for note in notes) == (more > 0)


def test_another_folder_of_images(tmp_path):
  make(tmp_path)
  forms.write_image(tmp_path / 'img_celeba/2.png')
  found, notes = convert(tmp_path, images='img_celeba')
  assert found.ids.tolist() == ['img_celeba/2.png']
  assert notes[1] == 'Rows left out: 1 (no image).'
  with pytest.raises(FileNotFoundError, match='no folder faces in it'):
    convert(tmp_path, images='faces')


@pytest.mark.parametrize(
  ('attributes', 'message'),
  [
    ('', r'txt:2: the names of the attributes are not there'),
    ('2\nBald Young\n', r'it has 0 images, and its first line is'),
    (ATTRIBUTES.replace('2', '3', 1), r"has 2 images, and its .* is '3'"),
    (ATTRIBUTES[2:], r"txt:2: the names of the attributes are '1\.jpg', '-1'"),
    (ATTRIBUTES.replace('Young', 'Bald'), r"attributes are 'Bald', 'Bald'"),
    (ATTRIBUTES.replace('Young', 'bald'), r"txt:2: .*'bald' and 'Bald' "),
    (ATTRIBUTES.replace('Young', 'Path'), r'txt:2: .*of another column'),
    (ATTRIBUTES.replace('-1  1', '-1  0'), r"txt:3: the line of '1\.jpg' is"),
    (ATTRIBUTES.replace('-1  1', '-1'), r"txt:3: the line of '1\.jpg' is"),
    (ATTRIBUTES.replace('2.jpg', '1.jpg'), r"txt:4: '1\.jpg' a second time"),
    (ATTRIBUTES.replace('2.jpg', '1.png'), r'img_align_celeba/1\.jpg has two'),
  ],
)
def test_bad_attributes_are_named(tmp_path, attributes, message):
  make(tmp_path, attributes)
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)


@pytest.mark.parametrize(
  ('attributes', 'message'),
  [
    ('', r'csv:1: the names of the attributes are not there'),
    ('image_id,Bald\n', r'csv: it has 0 images\. There must be some'),
    (CSV.replace('Young', ''), r"csv:1: the label '' is blank"),
    (CSV.replace(',1,-1', ',1,"-1'), r'csv:3: the row that starts here is no'),
    (CSV.replace('2.jpg', ''), r"csv:3: the line of '' is no name"),
    (CSV.replace(',1,-1', ',1,-1,1'), r"csv:3: the line of '2\.jpg' is"),
  ],
)
def test_bad_rows_of_a_csv_are_named(tmp_path, attributes, message):
  make(tmp_path, attributes, 'csv')
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)


@pytest.mark.parametrize(
  ('name', 'content', 'message'),
  [
    ('list_eval_partition', '1.jpg 0', r"'2\.jpg' \(.*txt:4\) has no line\."),
    ('list_eval_partition', '1.jpg 0\n2.jpg 3', r"txt:2: '2\.jpg' has '3'\."),
    ('list_eval_partition', '1.jpg 0 0', r"txt:1: '1\.jpg 0 0'\. A line is"),
    ('list_eval_partition', '\n1.jpg', r"txt:2: '1\.jpg'\. A line is"),
    ('identity_CelebA', '1.jpg 7', r"'2\.jpg' \(.*txt:4\) has no line\."),
    ('identity_CelebA', '1.jpg 7\n1.jpg 7', r"txt:2: '1\.jpg' a second time"),
  ],
)
def test_bad_lines_of_other_lists_are_named(tmp_path, name, content, message):
  make(tmp_path, **{name: content})
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)
  assert not (tmp_path / 'm.csv').exists()
