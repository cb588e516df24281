"""Whatever a parser raises is one message; what the system raises is not."""

import random
import struct

import pytest

from aubal_jax.runs import errors
from aubal_jax.runs import foreign

MEND = 'Copy it again.'


def raised(error, path='f.bin', tell=None):
  """What comes out of the door where this is raised behind it."""
  with (
    pytest.raises(BaseException) as told,
    foreign.parsing(path, 'a Thing', MEND, tell),
  ):
    raise error
  return told.value


@pytest.mark.parametrize(
  'kind',
  [
    struct.error,
    KeyError,
    RecursionError,
    ValueError,
    OSError,
    EOFError,
    IndexError,
    AssertionError,
    UnicodeError,
  ],
)
def test_a_parsers_error_names_file_kind_reason_and_mend(kind):
  rng = random.Random(0)
  for _ in range(20):
    said = ''.join(rng.choice('ab \t.') for _ in range(rng.randint(1, 9)))
    error = kind(f'x{said}x\nmore\n')
    found = raised(error)
    assert type(found) is errors.UserError and found.__cause__ is error
    message = str(found)
    assert message.startswith('f.bin: not readable as a Thing (')
    assert message.endswith(f'). {MEND}')
    assert '\n' not in message and '\t' not in message
    assert 'more' not in message or kind is KeyError  # Which quotes its text.


@pytest.mark.parametrize(
  'kind',
  [
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    errors.UserError,
    KeyboardInterrupt,
  ],
)
def test_what_is_no_fault_of_the_file_comes_out_as_it_was(kind):
  error = kind('why')
  assert raised(error) is error


def test_the_file_is_named_once_and_long_reasons_are_cut():
  for size in (*range(190, 212), 5000):
    path = '/some/where/f.bin'
    message = str(raised(ValueError('q' * size), path))
    assert message.count('q') == min(size, 200)
    assert ('q...)' in message) == (size > 200)
    message = str(raised(ValueError(f'{path} is bad'), path))
    assert message.count(path) == 1 and '(the file is bad)' in message


def test_an_error_that_says_nothing_has_its_type():
  assert '(EOFError)' in str(raised(EOFError()))
  assert 'no room' in str(raised(MemoryError()))


def test_words_of_ones_own_are_taken():
  for kind in (ValueError, MemoryError, OSError):
    message = str(raised(kind('z'), tell=lambda e: f'own {type(e).__name__}'))
    assert f'(own {kind.__name__})' in message


def test_nothing_raised_is_nothing_told():
  with foreign.parsing('f.bin', 'a Thing', MEND):
    pass
