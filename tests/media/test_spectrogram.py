"""Log-mel spectrograms against scipy's transform and golden values."""

import numpy as np
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
