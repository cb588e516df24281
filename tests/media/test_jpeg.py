import cv2
import numpy as np
import pytest

from aubal_jax.media import jpeg


def encode(height=70, width=90, channels=3, *options):
  rng = np.random.default_rng(0)
  small = rng.integers(0, 256, (9, 11, channels), np.uint8)
  picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
  return cv2.imencode('.jpg', picture, list(options))[1].tobytes()


RESTART = (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
KINDS = {
  'plain': (),
  'optimised': (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
  'finest': (cv2.IMWRITE_JPEG_QUALITY, 100),
  'coarse': (cv2.IMWRITE_JPEG_QUALITY, 5),
  'progressive': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
  'restarts': RESTART,
  'progressive_restarts': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, *RESTART),
  'full_colour': (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
  ),
  'tall_colour': (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
  ),
}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('size', [(1, 1), (16, 16), (17, 33), (70, 90)])
def test_what_opencv_writes_is_whole(kind, channels, size):
  contents = encode(*size, channels, *KINDS[kind])
  assert jpeg.problem(contents) is None
  assert jpeg.verify(contents) is None


@pytest.mark.parametrize(
  'kind', ['plain', 'optimised', 'finest', 'tall_colour']
)
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_verify_counts_the_blocks(kind, share):
  contents = encode(70, 90, 3, *KINDS[kind])
  start = contents.index(b'\xff\xda') + 14
  cut = start + int(share * (len(contents) - start))
  closed = contents[:cut].rstrip(b'\xff') + b'\xff\xd9'
  assert 'damaged: data for ' in jpeg.verify(closed)


def test_verify_finds_bytes_left_over():
  contents = encode()
  longer = contents[:-2] + b'left over' + contents[-2:]
  assert jpeg.verify(longer) == 'damaged: 9 bytes left over'
  padded = contents[:-2] + bytes(9) + contents[-2:]
  assert jpeg.verify(padded) is None


def test_markers_that_cannot_be_in_coded_data():
  contents = encode()
  middle = (contents.index(b'\xff\xda') + len(contents)) // 2
  wrong = contents[:middle] + b'\xff\x42' + contents[middle + 2 :]
  assert jpeg.problem(wrong) == 'damaged: marker ff 42 in the coded data'


def test_restart_markers_are_counted():
  contents = encode(70, 90, 3, *RESTART)
  first = contents.index(b'\xff\xd0')
  second = contents.index(b'\xff\xd1', first)
  third = contents.index(b'\xff\xd2', second)
  lost = contents[:second] + contents[third:]
  assert jpeg.problem(lost) == 'damaged: restart markers out of order'
  # 5 x 6 blocks of 16 pixels, two to a restart: 14 markers between them.
  cut = contents[:third] + b'\xff\xd9'
  assert jpeg.problem(cut) == 'damaged: 2 of 14 restart markers'


def test_zeros_at_the_end_are_padding():
  contents = encode()
  assert jpeg.problem(contents[:-2] + bytes(99) + contents[-2:]) is None
  assert 'zeros' in jpeg.problem(
    contents[:-40] + bytes(jpeg.ZERO_RUN) + contents[-8:]
  )


def test_a_header_without_end():
  contents = encode()
  for cut in (2, 3, 5, 30, contents.index(b'\xff\xda') + 3):
    assert jpeg.problem(contents[:cut]) == 'the file is cut short'


def test_zeros_that_are_a_flat_picture():
  flat = np.zeros((512, 512), np.uint8)
  option = [cv2.IMWRITE_JPEG_OPTIMIZE, 1]
  # Something after the zeros, or they would pass for padding.
  flat[-8:, -8:] = np.arange(8)[:, None] * 30
  contents = cv2.imencode('.jpg', flat, option)[1].tobytes()
  assert bytes(jpeg.ZERO_RUN) in contents[:-2].rstrip(b'\0')
  assert jpeg.problem(contents) is None
