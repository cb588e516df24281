"""TensorFlow is told to be quiet, but where the user has said otherwise."""

import os

import pytest

from aubal_jax.runs import quiet

NAMES = ('TF_CPP_MIN_LOG_LEVEL', 'TF_ENABLE_ONEDNN_OPTS')


@pytest.mark.parametrize('given', [(), NAMES[:1], NAMES[1:], NAMES])
def test_what_the_user_has_set_stays(monkeypatch, given):
  for name in NAMES:
    monkeypatch.delenv(name, raising=False)
  for name in given:
    monkeypatch.setenv(name, '1')
  quiet.tensorflow()
  found = tuple(os.environ[name] for name in NAMES)
  assert found == tuple(
    '1' if name in given else usual
    for name, usual in zip(NAMES, ('2', '0'), strict=True)
  )
