"""Small image sets in the layout their authors hand out, quirks included."""

import pathlib

import cv2
import numpy as np


def write_image(path: pathlib.Path, value: int, size: int = 16) -> pathlib.Path:
  """Writes a grey square, of the format its suffix names in any case."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.full((size, size), value, np.uint8)
  path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())
  return path
