import functools
import pathlib
import shutil
import tempfile
import typing

import numpy as np
import pytest
import tensorflow_datasets as tfds

from aubal_jax.datasets import annotations
from aubal_jax.datasets import readers
from aubal_jax.datasets import splits
from aubal_jax.datasets.tfds import builders
from aubal_jax.datasets.tfds import sets
from aubal_jax.media import images
from tests.makers import face_sets
from tests.makers import fake_data


class _Case:
  """What TFDS asks of every builder, on the small set that WRITE makes."""

  @classmethod
  def setUpClass(cls):
    cls.EXAMPLE_DIR = tempfile.mkdtemp(prefix=f'aubal_jax_{cls.__name__}_')
    cls.addClassCleanup(shutil.rmtree, cls.EXAMPLE_DIR)
    cls.WRITE(pathlib.Path(cls.EXAMPLE_DIR))
    super().setUpClass()


class AffWild2Of2020Test(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['aff_wild2']
  WRITE = staticmethod(fake_data.aff_wild2)
  BUILDER_CONFIG_NAMES_TO_TEST = ('2020',)
  SPLITS: typing.ClassVar = {'train': 5, 'validation': 2}


class AffWild2Of2022Test(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['aff_wild2']
  WRITE = staticmethod(functools.partial(fake_data.aff_wild2, release='2022'))
  BUILDER_CONFIG_NAMES_TO_TEST = ('2022',)
  SPLITS: typing.ClassVar = {'train': 5, 'validation': 2}


class Bp4dTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['bp4d']
  WRITE = staticmethod(fake_data.bp4d)
  SPLITS: typing.ClassVar = {'train': 8}


class CkPlusSequenceTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['ck_plus']
  WRITE = staticmethod(fake_data.ck_plus)
  BUILDER_CONFIG_NAMES_TO_TEST = ('sequence',)
  SPLITS: typing.ClassVar = {'train': 5}


class CkPlusPeakTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['ck_plus']
  WRITE = staticmethod(fake_data.ck_plus)
  BUILDER_CONFIG_NAMES_TO_TEST = ('peak',)
  SPLITS: typing.ClassVar = {'train': 2}


class DisfaTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['disfa']
  WRITE = staticmethod(fake_data.disfa)
  BUILDER_CONFIG_NAMES_TO_TEST = ('at_least_2', 'at_least_5')
  SPLITS: typing.ClassVar = {'train': 14}


class EmotionetTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['emotionet']
  WRITE = staticmethod(fake_data.emotionet)
  SPLITS: typing.ClassVar = {'train': 3}


class ExpwTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['expw']
  WRITE = staticmethod(face_sets.expw)
  SPLITS: typing.ClassVar = {'train': 7}


class AfewVaTest(_Case, tfds.testing.DatasetBuilderTestCase):
  DATASET_CLASS = builders.BUILDERS['afew_va']
  WRITE = staticmethod(face_sets.afew_va)
  SPLITS: typing.ClassVar = {'train': 14}


PREPARED = (  # Name of the set, what writes it, options of its reader.
  ('aff_wild2/2020', fake_data.aff_wild2, {'release': '2020'}),
  ('bp4d', fake_data.bp4d, {}),
  ('ck_plus/peak', fake_data.ck_plus, {'frames': 'peak'}),
  ('disfa/at_least_3', fake_data.disfa, {'least_intensity': 3}),
  ('emotionet/manual', fake_data.emotionet, {'kind': 'manual'}),
  ('emotionet/automatic', fake_data.emotionet, {'kind': 'automatic'}),
)


def prepare(name, folder, data_dir):
  """Prepares a set as the docstring of `builders` says."""
  return tfds.load(
    name,
    data_dir=str(data_dir),
    download_and_prepare_kwargs={
      'download_config': tfds.download.DownloadConfig(manual_dir=str(folder))
    },
  )


def table_of(data, full_name=''):
  """Returns (id, label) -> (split, value or None, grey of the image)."""
  rows = np.flatnonzero(data.split != 'dropped')
  grey = data.load_images(rows)[:, 0, 0, 0]
  return {
    (data.ids[row].removeprefix(full_name), name): (
      data.split[row],
      data.labels[row, k] if data.known[row, k] else None,
      value,
    )
    for row, value in zip(rows, grey, strict=True)
    for k, name in enumerate(data.label_names)
  }


@pytest.mark.parametrize(
  ('name', 'write', 'options'), PREPARED, ids=[p[0] for p in PREPARED]
)
def test_a_prepared_set_is_what_the_reader_reads(
  tmp_path, name, write, options
):
  folder = write(tmp_path / 'set')
  prepare(name, folder, tmp_path / 'prepared')
  everything = {
    'draw': splits.Draw(0.0, 0.0, stratify=False),
    'pixels': images.Pixels(image_size=16),
  }
  data = sets.load(name, data_dir=str(tmp_path / 'prepared'), **everything)
  found = readers.read(name.split('/')[0], str(folder), **options)
  expected = annotations.to_dataset(found, where='here', **everything)
  left_out = {*expected.label_names} - {*data.label_names}
  assert left_out == ({'AU63'} if name == 'ck_plus/peak' else set())
  assert table_of(data, f'{name}/1.0.0/') == {
    key: value
    for key, value in table_of(expected).items()
    if key[1] not in left_out
  }
  assert (data.groups is None) == (expected.groups is None)
  if data.groups is not None:
    assert set(data.groups) == set(expected.groups[expected.split != 'dropped'])


@pytest.mark.parametrize('name', ['expw', 'afew_va'])
def test_a_prepared_set_has_the_targets_of_its_reader(tmp_path, name):
  folder, _ = getattr(face_sets, name)(tmp_path / 'set')
  prepare(name, folder, tmp_path / 'prepared')
  everything = {
    'draw': splits.Draw(0.0, 0.0, stratify=False),
    'pixels': images.Pixels(image_size=16),
  }
  data = sets.load(name, data_dir=str(tmp_path / 'prepared'), **everything)
  found = readers.read(name, str(folder))
  expected = annotations.to_dataset(found, where='here', **everything)
  assert data.label_names == () and {*data.groups} <= {*expected.groups}
  both = (one.load_images(one.rows('train')) for one in (data, expected))
  by_id = [
    {
      (one.ids[row].removeprefix(f'{name}/1.0.0/'), key): (
        target.values[row].tolist(), target.names, pixels.mean(),
      )
      for key, target in one.targets.items() if key != 'labels'
      for row, pixels in zip(one.rows('train'), made, strict=True)
    }
    for one, made in zip((data, expected), both, strict=True)
  ]  # fmt: skip
  assert by_id[0] == by_id[1] != {}


def test_an_image_that_does_not_decode_is_skipped_and_told(tmp_path, caplog):
  folder = fake_data.bp4d(tmp_path / 'set')
  broken = folder / '2D+3D/F001/T1/2442.jpg'
  broken.write_bytes(broken.read_bytes()[:-30])
  sets = prepare('bp4d', folder, tmp_path / 'prepared')
  assert len(sets['train']) == 7
  assert 'Skipped 1 of 8 images that do not decode: ' in caplog.text
  assert str(broken) in caplog.text
  assert 'no image' in caplog.text  # The rows that the reader dropped.


def test_labels_that_are_no_features_are_told(tmp_path, caplog):
  folder = fake_data.ck_plus(tmp_path / 'set')
  prepare('ck_plus/peak', folder, tmp_path / 'prepared')
  assert 'left out the labels AU63.' in caplog.text


def test_a_set_without_a_row_to_use_is_refused(tmp_path):
  folder = fake_data.bp4d(tmp_path / 'set')
  for path in folder.glob('2D+3D/*/*/*'):
    if int(path.stem) != 1:
      path.unlink()
  with pytest.raises(ValueError, match=r'none of the 12 rows of bp4d'):
    prepare('bp4d', folder, tmp_path / 'prepared')


def test_files_that_tensorflow_does_not_decode_are_stored_as_png(tmp_path):
  folder = fake_data.bp4d(tmp_path / 'set')
  for path in folder.glob('2D+3D/*/*/*'):
    fake_data.write_image(path.with_suffix('.tiff'), 60)
    path.unlink()
  sets = prepare('bp4d', folder, tmp_path / 'prepared')
  for row in tfds.as_numpy(sets['train']):
    assert (row['image'] == 60).all()


@pytest.mark.parametrize('name', sorted({p[0].split('/')[0] for p in PREPARED}))
def test_the_licence_is_told(name, tmp_path):
  info = tfds.builder(name, data_dir=str(tmp_path)).info
  assert 'may be passed on' in info.redistribution_info.license
  assert info.citation.startswith('@') and info.homepage.startswith('http')
  assert info.supervised_keys is None
  assert len(info.metadata['label_names']) == info.features['labels'].shape[0]
