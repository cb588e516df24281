"""Images that are no files of their own, but inside of a data set's files."""

import dataclasses
import itertools
import os
from collections.abc import Callable
from collections.abc import Iterable
from concurrent import futures

import numpy as np

from aubal_jax.media import decode
from aubal_jax.media import images as images_lib
from aubal_jax.runs import errors
from aubal_jax.runs import progress

_BATCH = 256  # Images that are held before they are decoded.


@dataclasses.dataclass(frozen=True)
class Images:
  """Maps int[R] rows, in any order and with doubles, to their images.

  Attributes:
    contents: int64[K], ascending rows, all different -> their image files,
      undecoded, in that order.
    pixels: what an image becomes.
    place: row -> where it stands, for messages.
    mend: what to do about one that cannot be read, as a sentence.
  """

  contents: Callable[[np.ndarray], Iterable[bytes]]
  pixels: images_lib.Pixels
  place: Callable[[int], str]
  mend: str

  def __call__(self, rows: np.ndarray) -> np.ndarray:
    """Returns uint8[R, H, W, C].

    Raises:
      UserError: an image cannot be decoded, or the files are damaged; says
        which row.
    """
    rows = np.asarray(rows, np.int64)
    order = np.argsort(rows, kind='stable')
    wanted, first = np.unique(rows[order], return_index=True)
    spans = np.split(order, first)[1:]  # Where each wanted row is asked for.
    made = np.empty((len(rows), *self.pixels.shape), np.uint8)
    report = progress.Progress(len(wanted), 'Reading images')
    stream = zip(wanted, spans, self.contents(wanted), strict=True)
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      # A few at a time, as the files may not fit into memory together.
      for batch in iter(lambda: list(itertools.islice(stream, _BATCH)), []):
        numbers, places, contents = zip(*batch, strict=True)
        images = pool.map(self._decode, numbers, contents)
        for place, image in zip(places, images, strict=True):
          made[place] = image
        report.update(len(batch))
    return made

  def _decode(self, row, contents):
    try:
      image = decode.image(contents, self.pixels.channels)
    except ValueError as error:
      raise errors.UserError(
        f'{self.place(row)}: the image cannot be read: {error}. {self.mend}'
      ) from None
    image = images_lib.fit(image, self.pixels.image_size, self.pixels.resize)
    return image.reshape(self.pixels.shape)
