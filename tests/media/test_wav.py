"""WAV files of every kind, as scipy reads and resamples them."""

import math
import struct

import numpy as np
import pytest
from scipy import signal
from scipy.io import wavfile

from aubal_jax.media import sound
from aubal_jax.media import video
from aubal_jax.media import wav

# Of the identifiers of PCM and floats, behind their number.
_REST = bytes.fromhex('000000001000800000aa00389b71')
KINDS = ('u1', '<i2', '<i3', '<i4', '<f4', '<f8')


def draw(rng, kind, count, channels):
  """Values [count, channels] in -1..1, and the bytes of a WAV file's data."""
  values = np.round(rng.uniform(-0.9, 0.9, (count, channels)) * 128) / 128
  if kind.startswith('<f'):
    return values, values.astype(kind).tobytes()
  if kind == 'u1':
    return values, (values * 128 + 128).astype('u1').tobytes()
  bits = 8 * int(kind[2])
  whole = np.round(values * 2.0 ** (bits - 1)).astype('<i4')
  raw = whole.reshape(-1, 1).view('u1')[:, : bits // 8]
  return values, raw.tobytes()


def file_of(kind, rate, channels, data, *, extensible=False, before=b''):
  """The contents of a WAV file."""
  bits, number = 8 * int(kind[-1]), 3 if 'f' in kind else 1
  width = channels * bits // 8
  form = struct.pack('<HIIHH', channels, rate, rate * width, width, bits)
  if extensible:
    rest = struct.pack('<HHIH', 22, bits, 0, number) + _REST
    form = struct.pack('<H', 0xFFFE) + form + rest
  else:
    form = struct.pack('<H', number) + form
  body = b'WAVE' + before + b'fmt ' + struct.pack('<I', len(form)) + form
  body += b'data' + struct.pack('<I', len(data)) + data + bytes(len(data) % 2)
  return b'RIFF' + struct.pack('<I', len(body)) + body


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_is_read_as_scipy_reads_it(tmp_path, kind):
  rng = np.random.default_rng(len(kind))
  path = tmp_path / 'a.wav'
  for channels in (1, 2, 3, 8):
    extensible = channels > 2
    values, data = draw(rng, kind, 501, channels)
    junk = b'LIST\x03\0\0\0abc\0' if channels == 2 else b''
    path.write_bytes(
      file_of(kind, 44100, channels, data, extensible=extensible, before=junk)
    )
    heard = sound.read(path)
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, values.mean(axis=1), atol=1e-6)
    _, theirs = wavfile.read(path)  # Says that the drawn file is one.
    assert len(theirs) == 501


@pytest.mark.parametrize('rate', [8000, 11025, 16000, 44099, 48000, 96000])
def test_another_rate_is_converted_as_scipy_converts_the_whole(
  tmp_path, monkeypatch, rate
):
  rng = np.random.default_rng(rate)
  path = tmp_path / 'a.wav'
  for count, block in ((rate // 3 + 1, 512), (7, 512)):
    monkeypatch.setattr(wav, '_BLOCK', block)
    values, data = draw(rng, '<i2', count, 1)
    path.write_bytes(file_of('<i2', rate, 1, data))
    common = math.gcd(rate, 44100)
    wanted = signal.resample_poly(values[:, 0], 44100 // common, rate // common)
    heard = sound.read(path)
    assert heard.shape == wanted.shape
    np.testing.assert_allclose(heard, wanted, atol=1e-6)


def test_a_truncated_file_gives_what_is_left(tmp_path):
  rng = np.random.default_rng(0)
  values, data = draw(rng, '<i2', 1000, 2)
  whole = file_of('<i2', 44100, 2, data)
  for left in (1999, 2000, 2003, 3999):
    path = tmp_path / 'a.wav'
    path.write_bytes(whole[: len(whole) - len(data) + left])
    remarks = []
    heard = sound.read(path, on_remark=remarks.append)
    assert remarks == [sound.CUT]
    np.testing.assert_allclose(
      heard, values[: left // 4].mean(axis=1), atol=1e-6
    )


@pytest.mark.parametrize('length', [0, 0xFFFFFFFF])
def test_a_recording_that_was_never_closed_is_read(tmp_path, length):
  values, data = draw(np.random.default_rng(1), '<i2', 300, 1)
  content = file_of('<i2', 44100, 1, data)
  at = content.index(b'data') + 4
  content = content[:at] + struct.pack('<I', length) + content[at + 4 :]
  (tmp_path / 'a.wav').write_bytes(content)
  remarks = []
  heard = sound.read(tmp_path / 'a.wav', on_remark=remarks.append)
  assert not remarks
  np.testing.assert_allclose(heard, values[:, 0], atol=1e-6)


def test_numbers_that_are_none_are_silence(tmp_path):
  data = np.array([0.5, np.nan, np.inf, -np.inf, 0.25], '<f4').tobytes()
  (tmp_path / 'a.wav').write_bytes(file_of('<f4', 44100, 1, data))
  np.testing.assert_array_equal(
    sound.read(tmp_path / 'a.wav'), np.array([0.5, 0, 0, 0, 0.25], 'f')
  )


BAD = {
  'empty file': b'',
  'not a WAV file': b'RIFX' + bytes(60),
  'sound of kind 85 with 0 bits': file_of('<i2', 44100, 1, b'').replace(
    b'\x01\0\x01\0', b'\x55\0\x01\0'
  )[:34]
  + b'\0\0data\0\0\0\0',
  'a WAV file without samples': file_of('<i2', 44100, 1, b'')[:36],
}


@pytest.mark.parametrize('reason', BAD)
def test_what_is_no_wav_has_a_reason(tmp_path, reason):
  (tmp_path / 'a.wav').write_bytes(BAD[reason])
  with pytest.raises(video.Unreadable) as found:
    sound.read(tmp_path / 'a.wav')
  assert found.value.reason == reason


def test_any_bytes_are_read_or_told(tmp_path):
  rng = np.random.default_rng(2)
  _, data = draw(rng, '<i2', 100, 2)
  whole = file_of('<i2', 44100, 2, data)
  for _ in range(300):
    content = bytearray(whole)
    for place in rng.integers(0, 60, 3):
      content[place] = rng.integers(256)
    (tmp_path / 'a.wav').write_bytes(content[: rng.integers(len(whole))])
    try:
      heard = sound.read(tmp_path / 'a.wav')
    except video.Unreadable:
      continue
    assert np.isfinite(heard).all()
