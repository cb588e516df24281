"""Folders of images: what can be decoded has a row."""

import io

import numpy as np
import pytest
from PIL import Image

from aubal_jax.media import decode
from aubal_jax.serving import sources

# Suffix -> what Pillow calls the format.
KINDS = {
  '.bmp': 'BMP',
  '.gif': 'GIF',
  '.tif': 'TIFF',
  '.tiff': 'TIFF',
  '.webp': 'WEBP',
  '.jp2': 'JPEG2000',
  '.avif': 'AVIF',
  '.ppm': 'PPM',
  '.pgm': 'PPM',
  '.jpg': 'JPEG',
  '.JPEG': 'JPEG',
  '.png': 'PNG',
}


@pytest.mark.parametrize('suffix', KINDS)
def test_every_format_that_is_decoded_has_a_row(tmp_path, suffix):
  file = io.BytesIO()
  pixels = np.full((24, 24), 120, np.uint8)
  Image.fromarray(pixels).save(file, KINDS[suffix])
  (tmp_path / f'a{suffix}').write_bytes(file.getvalue())
  (tmp_path / 'notes.txt').write_text('x')
  names, _, others = sources.list_folder(str(tmp_path))
  assert [*names] == [f'a{suffix}']
  assert others == {'.txt': 1}
  found = decode.image(file.getvalue(), 1)
  np.testing.assert_allclose(found, pixels, atol=2)
