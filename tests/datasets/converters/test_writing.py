"""Whatever is written is read back, or refused with the name that is wrong."""

import importlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from aubal_jax.datasets import manifest
from aubal_jax.datasets.converters import image_files
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from tests.makers import forms

ODD_NAMES = st.text(' =aAbÄß,"\'\n\r\t|\x00\u200c\u2028\ud800-', max_size=4)

LIKE_IMAGES = st.from_regex(r'[ab]\.(JPE?G|png|gif|b)', fullmatch=True)


@pytest.fixture(scope='module')
def image(tmp_path_factory):
  path = tmp_path_factory.mktemp('images') / 'a.png'
  forms.write_image(path)
  return path


@settings(max_examples=150)
@given(
  st.lists(
    st.text(max_size=3) | ODD_NAMES | LIKE_IMAGES, min_size=1, max_size=4
  )
)
def test_any_labels_are_columns_or_refused(image, names):
  names = [*dict.fromkeys(map(writing.clean_name, names))]
  places = {name: f'list:{n}' for n, name in enumerate(names)}
  labels = np.arange(len(names))[None] % 2 == 0
  rows = writing.Rows([str(image)], names, labels)
  out = image.parent / 'm.csv'
  try:
    writing.check_labels(places)
  except errors.UserError as error:
    assert str(error).startswith('list:')
    return
  writing.write_rows(out, rows, {}, 'list', image.parent)
  found = manifest.read(out)
  assert found.label_names == tuple(map(csv_files.harmless, names))
  assert found.labels.tolist() == labels.astype(int).tolist()


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (['a', ''], r"^1: the label '' is blank"),
    (['a', 'Split'], r"^1: .*'Split' is the name of another column"),
    (['a.b', 'x.JPG'], r"^1: the label 'x\.JPG' is called like an image"),
    (['Dog', 'dog'], r"^1: .*'dog' and 'Dog' \(0\) differ in case only"),
    (['Straße', 'STRASSE'], r'differ in case only'),
    (['\u00e9', 'e\u0301'], r'differ in case only'),
    (['a\x00'], r'holds control characters'),
    (['\ud800'], r'holds control characters'),
  ],
)
def test_labels_that_are_no_columns(names, message):
  with pytest.raises(errors.UserError, match=message):
    writing.check_labels({name: str(n) for n, name in enumerate(names)})


def test_any_file_name_is_read_back_or_refused(tmp_path):
  rng = np.random.default_rng(0)
  alphabet = [*'ab= .,"\'\n\rÄ\\:|\t', '\udcff', 'x..', '/']
  refused = 0
  for n in range(150):
    folder = tmp_path / str(n)
    name = ''.join(rng.choice(alphabet, rng.integers(1, 5)))
    forms.write_image(folder / f'{name.strip("/")}c.png'.lstrip('.'))
    found = [str(folder / below) for below in image_files.walk(str(folder))]
    if not found:  # It is hidden.
      continue
    rows = writing.Rows(found, ['a'], np.ones((1, 1), bool))
    out = folder / 'm.csv'
    try:
      writing.write_rows(out, rows, {}, 'list', folder)
    except errors.UserError as error:
      assert 'Rename the file' in str(error)
      assert not out.exists()
      refused += 1
    else:
      assert os.path.samefile(*manifest.read(out).files, *found)
  assert 20 < refused < 100


def test_an_image_has_one_row(tmp_path):
  forms.write_image(tmp_path / 'a.png')
  file = str(tmp_path / 'a.png')
  rows = writing.Rows([file, file], ['a'], np.ones((2, 1), bool))
  with pytest.raises(errors.UserError, match=r'a\.png has two rows'):
    writing.write_rows(tmp_path / 'm.csv', rows, {}, 'list', tmp_path)


def test_what_is_no_manifest_is_not_overwritten(tmp_path):
  rng = np.random.default_rng(0)
  names = sorted({*forms.FORMS} - {'class_folders'})
  for n in range(20):
    folder = tmp_path / str(n)
    folder.mkdir()
    name = names[n % len(names)]
    made = forms.FORMS[name](folder, rng)
    module = importlib.import_module(f'aubal_jax.datasets.converters.{name}')
    for file in made.files:
      out = (folder / file).rename((folder / file).with_suffix('.csv'))
      contents = out.read_bytes()
      if contents:
        with pytest.raises(errors.UserError, match='is no manifest'):
          module.convert(folder, out)
      assert out.read_bytes() == contents


def test_a_split_without_training_is_drawn(tmp_path):
  rng = np.random.default_rng(1)
  for n in range(10):
    folder = tmp_path / str(n)
    files = [folder / f'{k}.png' for k in range(4)]
    for file in files:
      forms.write_image(file)
    split = rng.choice(forms.SPLITS, 4).tolist()
    labels = rng.random((4, 2)) < 0.5
    rows = writing.Rows([*map(str, files)], ['a', 'b'], labels, split=split)
    notes = writing.write_rows(folder / 'm.csv', rows, {}, 'list', folder)
    has_train = 'train' in split
    found = manifest.read(folder / 'm.csv').split
    assert (found is not None) == has_train
    assert any('none for training' in note for note in notes) != has_train
    is_never = not labels.any(0).all()
    assert any('No image has' in note for note in notes) == is_never
