import numpy as np
import pytest

from aubal_jax.runs import text


def test_quote_and_listing():
  assert text.quote('x' * 99) == repr('x' * 57 + '...')
  assert text.quote(np.str_('x')) == "'x'"
  assert text.listing('abc') == 'a, b, c'
  assert text.listing('abc', 2) == 'a, b, ... (3 in all)'


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    ('AU1', 'AU01'),
    ('au_12', 'AU12'),
    ('ML-ROS', 'ml_ros'),
    ('ml_rose', 'ml_ros'),
    ('Path', 'path'),
    ('PATHS', 'path'),
    (12, 'AU12'),
    ('xyz', None),
    ('', None),
  ],
)
def test_the_choice_that_is_nearly_right(value, expected):
  choices = ('path', 'AU01', 'AU12', 'ml_ros', 'ml_rus', 'Path')
  assert text.closest(value, choices) == expected
  hint = f' Did you mean {expected!r}?' if expected else ''
  assert text.suggest(value, choices) == hint


def test_the_first_line_of_an_error():
  assert text.first_line(ValueError('one.\ntwo')) == 'one'
  assert text.first_line(KeyError()) == 'KeyError'
