"""The network of a run as an object of Python: `aubal.load`."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import os
import pathlib
import tempfile
import typing
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax import settings
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.serving import in_parts
from aubal_jax.serving import networks
from aubal_jax.serving import target_columns

if typing.TYPE_CHECKING:
  from aubal_jax.media import images as images_lib
  from aubal_jax.network import heads as heads_lib


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Trained:
  """The network of a run, or the mean of several, ready to predict.

  Attributes:
    path: the folder it is of.
    names: of the L labels.
    thresholds: float64[L], from which on a probability means "present".
    network: its weights, what it is, and its own predictions.
    seen: the `bundle.Description` of what sees rows: the network's, or that of
      the frozen one whose numbers it sees.
    parts: an `InParts`, where it sees and says apart; else None.
  """

  path: pathlib.Path
  names: tuple[str, ...]
  thresholds: np.ndarray
  network: typing.Any
  seen: typing.Any
  parts: typing.Any = None

  @property
  def heads(self) -> tuple[heads_lib.Head, ...]:
    """What it says of each target: name, kind and names."""
    return self.network.description.heads

  @property
  def pixels(self) -> images_lib.Pixels | None:
    """What an image becomes before the network sees it; None: it sees none."""
    return self.seen.pixels

  @property
  def inputs(self) -> dict[str, dict]:
    """What it sees of a row, of streams: dtype, shape, and how it is made.

    Of `clip` also the `pixels` of a frame; {} of a network of images.
    """
    return dict(self.seen.streams)

  @property
  def window(self) -> int:
    """How many rows of a video it sees together; 0: each alone."""
    return networks.window_of(self.network.description)

  @property
  def _sees_videos(self) -> bool:
    return networks.sees_videos(self.seen)

  def __repr__(self):
    names = text.listing(map(text.quote, self.names), text.SHOWN)
    others = ''.join(f', {head.name}' for head in self._others)
    windows = f', in windows of {self.window}' * (self.window > 0)
    return (
      f'<{self.path}: {networks.in_words(self.network)}; {len(self.names)} '
      f'labels ({names}){others} of {self._input()}{windows}>'
    )

  def _input(self) -> str:
    """Returns what it sees, in words."""
    pixels = self.pixels
    if self._sees_videos:
      return ' and '.join(
        f'{one.name} {" x ".join(map(str, one.shape))}'
        for one in networks.inputs_of(self.seen)
      )
    if pixels is None:
      (size,) = self.seen.streams[networks.FEATURES]['shape']
      return f'{size} features'
    kind = 'grey' if pixels.channels == 1 else 'RGB'
    return f'{pixels.image_size} x {pixels.image_size} {kind} images'

  def predict(self, images, *, groups=None, batch_size: int = 64):
    """Returns probabilities, float32[N, L], of images of any size.

    A network that learnt several targets returns a dict: name of target ->
    float32[N, L]: probabilities of labels or classes, or numbers.

    They are prepared as in training, and what is said of a file is to the bit
    what the task predict says with the same batch size. A network of a table
    takes its features, one of videos clips and sounds as arrays. One that sees
    a row among its neighbours (multitask.heads=gru) takes the images, or rows,
    of a video in the order of time.

    Args:
      images: uint8[N, H, W] (grey) or uint8[N, H, W, C], C 1 or 3 (RGB); or a
        list, in which each may be the path of a file, an image of Pillow,
        uint8[h, w] or uint8[h, w, 3]; or one path or image of Pillow. Of a
        network of features: float[N, F], as the table has them, NaN for one
        that is missing. Of a network of videos: {'clip': uint8[N, T, H, W, C],
        'sound': float[N, 64, W]}, or what it sees of these: the frames up to
        each and the mel spectrogram about it, as `inputs` says.
      groups: of a network that sees neighbours, the video of each image, N
        names; '' is none: the image is alone. None: all are of one video.
      batch_size: images a step, over all devices.

    Raises:
      UserError: an image cannot be read or has no face, where faces are cut
        out; or the argument is none of this.
    """
    if batch_size < 1:
      raise errors.UserError(
        f'batch_size must be at least 1, but is {batch_size}; 64 is usual.'
      )
    given = self._checked(images)
    of_one = next(iter(given.values())) if self._sees_videos else given
    groups = self._checked_groups(groups, len(of_one))
    if self._sees_videos:
      found = self._predict_streams(given, batch_size)
    elif self.pixels is None:
      found = self._predict_rows(given, batch_size)
    else:
      found = self._predict_images(given, batch_size)
    if self.parts is not None:
      found = self.parts.predict(found, groups, None, batch_size=batch_size)
    return self._by_target(found)

  def _checked(self, given):
    """Returns what is to be predicted, in the form that it is taken in.

    Raises:
      UserError: it is nothing that the network sees.
    """
    from aubal_jax.serving import predict

    if self._sees_videos:
      return _checked_streams(given, networks.inputs_of(self.seen))
    if self.pixels is None:
      seen = self.seen.streams[networks.FEATURES]
      return predict.checked_features(np.asarray(given, float), seen)
    return _listed(given)

  def _checked_groups(self, groups, size) -> np.ndarray | None:
    """Returns the video of each of `size` rows, str[size]; None: of none.

    Raises:
      UserError: there are not as many, one is no name, or rows are seen alone.
    """
    if groups is None:
      return np.full(size, 'one') if self.window else None
    if not self.window:
      raise errors.UserError(
        'groups are of networks that see rows of a video together '
        '(multitask.heads=gru); this one sees each alone: leave them out.'
      )
    if np.shape(groups) != (size,):
      raise errors.UserError(
        f'groups must name the video of each of the {size} images; they are '
        f'{list(np.shape(groups))}.'
      )
    # Rows of which each has a NaN are not of one video that is called so.
    for row, name in enumerate(groups):
      if not isinstance(name, (str, numbers.Integral)):
        raise errors.UserError(
          "groups must be names or whole numbers, '' of an image that is of no "
          f'video; that of image {row} (counted from 0) is {name!r}.'
        )
    return np.array([str(name) for name in groups], np.str_)

  def _predict_images(self, given, batch_size) -> np.ndarray:
    """Returns what is said, or kept, of images: float32[N, K]."""
    parts = [np.zeros((0, self._width), np.float32)]
    with tempfile.TemporaryDirectory() as folder:
      read = self._reader(given, batch_size, folder)
      for start in range(0, len(given), batch_size):
        batch, failures = read(start, min(start + batch_size, len(given)))
        if failures:
          raise _unreadable(given, start, failures)
        parts.append(self._predict(batch, batch_size))
    return np.concatenate(parts)

  def decide(self, probability):
    """Returns bool[N, L]: which probabilities reach their thresholds.

    Of a dict of several targets it returns a dict: labels as above, and those
    of another target from .5 on; of classes the likeliest, str[N]; numbers as
    they are.
    """
    if not isinstance(probability, Mapping):
      return np.asarray(probability, np.float64) >= self.thresholds
    kinds = {head.name: head for head in self.heads}
    decided = {}
    for name, found in probability.items():
      head = kinds[name]
      if name == target_columns.LABELS:
        decided[name] = self.decide(found)
      elif head.kind == 'class':
        decided[name] = np.array(head.names)[np.argmax(found, axis=1)]
      else:
        decided[name] = found if head.kind == 'real' else found >= 0.5
    return decided

  @property
  def _others(self):
    return target_columns.others(self.heads)

  @property
  def _width(self) -> int:
    """How many numbers are predicted, or kept at first, of an image."""
    if self.parts is not None:
      return self.parts.size
    return len(self.names) + sum(len(head.names) for head in self._others)

  def _by_target(self, joined):
    """Returns float32[N, L], or name of target -> those that are joined."""
    if not self._others:
      return joined
    found, start = {}, 0
    for name, size in (
      (target_columns.LABELS, len(self.names)),
      *((head.name, len(head.names)) for head in self._others),
    ):
      found[name] = joined[:, start : start + size]
      start += size
    return found

  def _predict_rows(self, features, batch_size) -> np.ndarray:
    """Returns what is said, or kept, of features: float32[N, K]."""
    parts = [np.zeros((0, self._width), np.float32)]
    for start in range(0, len(features), batch_size):
      batch = features[start : start + batch_size]
      parts.append(self._predict(batch, batch_size))
    return np.concatenate(parts)

  def _predict_streams(self, streams, batch_size) -> np.ndarray:
    """Returns what is said, or kept, of clips and sounds: float32[N, K]."""
    parts = [np.zeros((0, self._width), np.float32)]
    for start in range(0, len(next(iter(streams.values()))), batch_size):
      batch = {k: x[start : start + batch_size] for k, x in streams.items()}
      parts.append(self._predict(batch, batch_size))
    return np.concatenate(parts)

  def _reader(self, given, batch_size, folder) -> Callable:
    """Returns (start, stop) -> images as the network sees them, failures."""
    from aubal_jax.media import images as images_lib
    from aubal_jax.serving import sources

    if self.pixels.crop == 'none':
      return lambda start, stop: images_lib.read(given[start:stop], self.pixels)
    # Faces are sought in files, by processes of their own.
    paths = [_as_file(one, folder, k) for k, one in enumerate(given)]
    source = sources.of_files(paths, paths, self.pixels, batch_size=batch_size)
    return source.read

  def _predict(self, batch, batch_size) -> np.ndarray:
    from aubal_jax.serving import predictions

    return predictions.run_whole(self._run, batch, batch_size)

  @functools.cached_property
  def _run(self) -> Callable:
    run = self._run_batch
    if self._sees_videos:
      return run
    name = networks.FEATURES if self.pixels is None else networks.IMAGE
    return lambda images: run({name: images})

  @functools.cached_property
  def _run_batch(self) -> Callable:
    if self.parts is not None:
      return self.parts.see
    run = self.network.make_predict()
    return lambda batch: target_columns.join(run(batch), self._others)


def load(
  path: os.PathLike | str, *, thresholds: str = 'shrunk', features_of: str = ''
) -> Trained:
  """Returns the network of a run; no configuration is needed.

  Args:
    path: the folder of a run, of which a copy of checkpoints/ is enough; or of
      an ensemble, which evaluate wrote.
    thresholds: 'shrunk', 'tuned', 'break_even' or 'half', see the setting
      `predict.thresholds`.
    features_of: the folder of the run whose frozen network it sees
      (multitask.features_of), where the folder of the run does not tell; ''.

  Raises:
    FileNotFoundError, UserError: there is no trained network, it is damaged,
      or it sees more than images, than features, or than clips and sound; or
      the frozen network is not there, or another one.

  Examples:
    >>> model = load('runs/mine')  # doctest: +SKIP
    >>> probability = model.predict(['a.jpg', 'b.png'])  # doctest: +SKIP
    >>> model.decide(probability)  # doctest: +SKIP
    array([[ True, False], ...])
  """
  path = pathlib.Path(path)
  config = settings.default()
  settings.find('predict.thresholds').check(thresholds)
  config.predict.thresholds = thresholds
  config.multitask.features_of = os.fspath(features_of)
  members = networks.members(config, path)
  description = networks.describe(path, members)
  eye = in_parts.find_eye(config, path, members, description)
  seen = in_parts.seen_by(description, eye)
  networks.inputs_of(seen)  # Or it is told what is none.
  trained = networks.load(config, path, members)
  return Trained(
    path,
    trained.description.label_names,
    networks.thresholds(config, trained),
    trained,
    in_parts.seen_by(trained.description, eye),
    in_parts.make(trained, eye),
  )


def _checked_streams(given, inputs) -> dict:
  """Returns name of input -> array, as many rows of each.

  Raises:
    UserError: they are none of the inputs, or of other shapes.
  """
  shapes = ', '.join(
    f'{one.name}: {np.dtype(one.dtype)}['
    f'{", ".join(map(str, ("N", *one.shape)))}]'
    for one in inputs
  )
  lead = f'This network takes a dict of arrays, {{{shapes}}}'
  names = {one.name for one in inputs}
  if not isinstance(given, Mapping) or {*given} != names:
    found = sorted(given) if isinstance(given, Mapping) else type(given)
    raise errors.UserError(f'{lead}; got {found}.')
  streams = {}
  for one in inputs:
    x = np.asarray(given[one.name])
    kind = np.uint8 if one.dtype == np.uint8 else np.floating
    if x.shape[1:] != one.shape or not np.issubdtype(x.dtype, kind):
      raise errors.UserError(f'{lead}; {one.name} is {x.dtype}{list(x.shape)}.')
    if not np.isfinite(x).all():
      raise errors.UserError(f'{one.name} must be finite; it has NaN or inf.')
    streams[one.name] = x.astype(one.dtype, copy=False)
  if len({len(x) for x in streams.values()}) > 1:
    counts = {name: len(x) for name, x in streams.items()}
    raise errors.UserError(f'{lead}, of as many rows each; got {counts}.')
  return streams


def _listed(images) -> Sequence:
  """Returns images as a list or as an array of them.

  Raises:
    UserError: it is neither.
  """
  from PIL import Image

  if isinstance(images, (str, os.PathLike)):
    if os.path.isdir(images):
      raise errors.UserError(
        f'images={images} is a folder; list its files (pathlib.Path.glob), or '
        'take the command: aubal_jax predict RUN IMAGES.'
      )
    return [images]
  if isinstance(images, Image.Image):
    return [images]
  if isinstance(images, (list, tuple)):
    return images
  array = np.asarray(images)
  colours = array.ndim == 4 and array.shape[3] in (1, 3)
  grey = array.ndim == 3 and array.shape[2] not in (1, 3, 4)
  if array.dtype != np.uint8 or not (colours or grey):
    raise errors.UserError(
      'images must be uint8[N, H, W] (grey) or uint8[N, H, W, C], C 1 or 3 '
      f'(RGB), in 0..255, not {array.dtype}{list(array.shape)}. A single image '
      'is images[None]; numbers in 0..1 are (255 * images).astype(np.uint8); '
      'images of several sizes are a list.'
    )
  return array


def _as_file(given, folder, position) -> str:
  """Returns a file of an image; of one that is decoded, a PNG in `folder`.

  Raises:
    UserError: it is no image.
  """
  from PIL import Image

  from aubal_jax.media import decode

  if isinstance(given, (str, os.PathLike)):
    return os.fspath(given)
  path = os.path.join(folder, f'{position}.png')
  grey = getattr(given, 'mode', '') in ('1', 'L', 'LA') or np.ndim(given) == 2
  try:
    pixels = decode.converted(given, 1 if grey else 3)
  except errors.UserError as error:
    raise _unreadable([given], position, {0: str(error)}) from None
  Image.fromarray(pixels).save(path)
  return path


def _unreadable(given, start, failures) -> errors.UserError:
  """Returns the error that names the first images that cannot be read."""
  told = []
  for k, reason in sorted(failures.items()):
    one = given[start + k] if start + k < len(given) else None
    path = f' ({one})' if isinstance(one, (str, os.PathLike)) else ''
    told.append(f'images[{start + k}]{path}: {reason}')
  return errors.UserError(
    f'Cannot predict {len(told)} images of this batch: '
    f'{text.listing(told, text.SHOWN)}. Leave them out; the task predict goes '
    'on without them, and says so in their rows.'
  )
