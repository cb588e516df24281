"""Log-mel spectrograms against scipy's transform and golden values."""

import numpy as np
import pytest
from scipy import signal

from aubal_jax.media import spectrogram


def transformed(samples):
  """The mel power in float64, by `scipy.signal.stft`."""
  hann = np.pad(signal.windows.hann(882, sym=False), 71)
  *_, spectrum = signal.stft(
    samples.astype(np.float64),
    window=hann,
    nperseg=1024,
    noverlap=1024 - 441,
    boundary='even',
    padded=False,
  )
  return (abs(spectrum * hann.sum()) ** 2).T @ spectrogram.filters()


def test_power_is_that_of_scipy():
  rng = np.random.default_rng(0)
  for length in (1024, 1323, 44100, 300_001):
    samples = rng.normal(size=length).astype(np.float32)
    made = spectrogram.power(samples)
    assert made.shape == (1 + length // 441, 64)
    np.testing.assert_allclose(made, transformed(samples), rtol=1e-3)


def test_digital_silence_is_the_constant_of_the_paper():
  for length in (0, 1, 512, 513, 441_000):
    power = spectrogram.power(np.zeros(length, np.float32))
    for time in (0.0, 0.4, 5.0, 9.0):
      window = spectrogram.window(power, time)
      assert window.shape == (64, 1001)
      np.testing.assert_allclose(window, -4.282483, atol=1e-6)


def test_blocks_of_any_size_give_the_same(monkeypatch):
  rng = np.random.default_rng(1)
  monkeypatch.setattr(spectrogram, '_PIECE', 3000)
  for length in (513, 1024, 2999, 20_000):
    samples = rng.normal(size=length).astype(np.float32)
    cuts = np.sort(rng.integers(0, length + 1, 30))
    made = spectrogram.power(iter(np.split(samples, cuts)))
    monkeypatch.setattr(spectrogram, '_PIECE', 1 << 18)
    np.testing.assert_allclose(made, spectrogram.power(samples), rtol=1e-5)
    monkeypatch.setattr(spectrogram, '_PIECE', 3000)


def test_the_filters_are_triangles_on_the_mel_scale():
  # Corners by hand: mel = 2595 log10(1 + f / 700), 66 of them up to 22,050 Hz.
  mel = 2595 * np.log10(1 + 22050 / 700) * np.arange(66) / 65
  assert mel[-1] == pytest.approx(3923.337321740179)
  corners = 700 * (10 ** (mel / 2595) - 1)
  bins = np.arange(513) * 44100 / 1024
  wanted = [np.interp(bins, corners[k : k + 3], [0, 1, 0]) for k in range(64)]
  found = spectrogram.filters()
  np.testing.assert_allclose(found, np.transpose(wanted), atol=1e-6)
  in_each = np.count_nonzero(found, axis=0)
  assert in_each[0] == 1
  assert in_each.min() == 1


def test_a_tone_is_in_its_filter_as_loud_as_it_is():
  # Of a sine of amplitude a, the bin in the middle has (a sum(window) / 2)^2.
  frequency = 44100 / 1024 * 100
  samples = 0.5 * np.sin(2 * np.pi * frequency / 44100 * np.arange(44100))
  power = spectrogram.power(samples)[50]
  weights = spectrogram.filters()[100]
  assert power.argmax() == weights.argmax()
  alone = (0.25 * 441) ** 2 * weights
  assert (power > 0.999 * alone).all()
  assert power.sum() < 2 * alone.sum()  # The neighbours have less.
  far = abs(np.arange(64) - power.argmax()) > 3
  assert power[far].max() < 1e-4 * power.max()


def by_samples(samples, time, seconds=10.0, shift=5.0):
  """The window as the specification has it: cut from the samples first."""
  start = max(time - shift, 0.0)
  length = min(seconds, max(time, 0.02))
  first, count = int(start * 44100), int(length * 44100)
  cut = samples[first : first + count]
  width = 1 + int(seconds * 44100) // 441
  seen = np.zeros((width, 64))
  if len(cut) > 512:
    padded = np.pad(cut.astype(np.float64), 512, mode='reflect')
    columns = 1 + len(cut) // 441
    hann = np.pad(signal.windows.hann(882, sym=False), 71)
    frames = np.stack([padded[441 * t :][:1024] for t in range(columns)])
    power = abs(np.fft.rfft(frames * hann)) ** 2 @ spectrogram.filters()
    at = width - (1 + count // 441)
    seen[at : at + columns] = power
  decibels = 10 * np.log10(np.maximum(seen, 1e-10))
  decibels = np.maximum(decibels, decibels.max() - 80)
  return ((decibels + 14.8) / 19.895).T


def draw_sound(rng, seconds):
  """Noise that gets louder and softer, as speech does."""
  count = int(seconds * 44100)
  loud = np.repeat(rng.uniform(0.001, 0.3, count // 4410 + 1), 4410)[:count]
  return (loud * rng.normal(size=count)).astype(np.float32)


def test_a_window_on_the_grid_is_that_of_the_samples():
  # But for the first and last columns: the paper's have a reflection there.
  rng = np.random.default_rng(2)
  samples = draw_sound(rng, 16)
  power = spectrogram.power(samples)
  for time in (3.0, 7.0, 10.0, 11.0, 13.0, 15.0):
    found = spectrogram.window(power, time)
    wanted = by_samples(samples, time)
    apart = abs(found - wanted).max(axis=0) * 19.895
    assert found.dtype == np.float32
    edges = np.flatnonzero(apart > 0.01)
    seen = np.flatnonzero((wanted != wanted.min()).any(axis=0))
    assert {*edges} <= {*seen[:2], *seen[-2:]}


def test_windows_off_the_grid_differ_by_at_most_5_ms():
  rng = np.random.default_rng(3)
  samples = draw_sound(rng, 14)
  power = spectrogram.power(samples)
  for number in rng.integers(30, 400, 6):
    time = number / 30
    first = max(time - 5, 0.0)
    moved = round(first * 100) / 100
    assert abs(moved - first) <= 0.005
    found = spectrogram.window(power, time)
    wanted = by_samples(samples, time)
    # Noise 5 ms on is other noise; its level is the same.
    assert abs(found.mean() - wanted.mean()) * 19.895 < 0.1
    assert np.sqrt(np.mean((found - wanted) ** 2)) * 19.895 < 4


def test_windows_of_every_mode_have_the_sound_in_its_place():
  # Power of column t is t + 1: a window says which columns it has.
  columns = 1600
  power = np.repeat(
    np.arange(1.0, columns + 1, dtype=np.float32)[:, None], 64, 1
  )
  rng = np.random.default_rng(4)
  for mode in spectrogram.SPANS:
    for time in [0.0, 0.02, 3.0, 7.0, 10.0, 15.99, *rng.uniform(0, 16, 20)]:
      time = round(time, 2)
      window = spectrogram.window(power, time, mode)[0] * 19.895 - 14.8
      shown = np.round(10 ** (window / 10)).astype(int) - 1
      assert window.shape == (1001,)
      start, length = {
        'published': (max(time - 5, 0), min(10, max(time, 0.02))),
        'symmetric': (time - 5, 10),
        'causal': (time - 10, 10),
      }[mode]
      seen = np.flatnonzero(shown >= 0)
      first, last = max(round(start * 100), 0), round((start + length) * 100)
      assert shown[seen[0]] == first
      assert abs(shown[seen[-1]] - min(last, columns - 1)) <= 1
      assert (np.diff(shown[seen]) == 1).all()
      assert abs(1000 - seen[-1] - max(last - columns + 1, 0)) <= 1


def test_a_short_window_has_its_own_width_and_shift():
  power = np.ones((500, 64), np.float32)
  for seconds, shift in ((1.0, 0.5), (2.5, 1.0)):
    window = spectrogram.window(power, 3.0, seconds=seconds, shift=shift)
    assert window.shape == (64, 1 + round(100 * seconds))
    np.testing.assert_allclose(window, 14.8 / 19.895, rtol=1e-6)


def test_a_chirp_has_the_values_of_librosa():
  # librosa 0.11: melspectrogram(sr=44100, n_fft=1024, win_length=882,
  # hop_length=441, n_mels=64, htk=True, norm=None, pad_mode='reflect') and
  # power_to_db(amin=1e-10, top_db=80).
  t = np.arange(2 * 44100)
  samples = 0.3 * np.sin(
    2 * np.pi * (100 * t / 44100 + 2000 * (t / 44100) ** 2)
  ) + 0.05 * np.cos(t * t * 1e-6)
  power = spectrogram.power(samples)
  window = spectrogram.window(power, 2.0, 'causal', seconds=2.0)
  assert power.shape == (201, 64)
  for column, row, energy, value in (
    (0, 0, 4051.918742053, 2.557256),
    (5, 0, 67.185218166, 1.662364),
    (20, 10, 0.003238647, -0.507483),
    (50, 31, 9.696e-06, -1.337861),
    (100, 63, 0.0, -1.337861),
    (200, 5, 0.009212297, -0.279282),
    (200, 63, 0.162796288, 0.347647),
  ):
    assert power[column, row] == pytest.approx(energy, rel=2e-4, abs=1e-6)
    assert window[row, column] == pytest.approx(value, abs=1e-5)
  assert power.sum(dtype=np.float64) == pytest.approx(1574047.380862)
  assert window.mean(dtype=np.float64) == pytest.approx(-0.8828017, abs=1e-5)


def test_sound_that_is_too_short_to_be_reflected_is_silence():
  rng = np.random.default_rng(5)
  for length in (1, 300, 512):
    power = spectrogram.power(rng.normal(size=length))
    np.testing.assert_array_equal(power, np.zeros((1 + length // 441, 64)))
  assert spectrogram.power(rng.normal(size=513)).min() > 0
