"""What holds of every reader of a data set."""

import pytest

from aubal_jax import settings
from aubal_jax.datasets import readers


def test_a_section_of_settings_has_the_options_of_its_reader():
  config = settings.default()
  for name in readers.names():
    assert {*config[name]} == {'path', 'split', *readers.options(name)}


@pytest.mark.parametrize('name', readers.names())
def test_a_folder_that_is_not_there_is_named(name, tmp_path):
  with pytest.raises(FileNotFoundError, match='nowhere'):
    readers.read(name, str(tmp_path / 'nowhere'))


def test_the_usual_variant_of_a_card_is_the_default_of_the_reader():
  for name in readers.names():
    card = getattr(readers.module(name), 'CARD', None)
    if card:
      assert {*card.variants[0].options} == {*readers.options(name)}
      for variant in card.variants:
        assert len({*variant.label_names}) == len(variant.label_names)
        assert variant.label_names or variant.targets
