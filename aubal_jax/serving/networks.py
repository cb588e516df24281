"""Which networks predict, one or the mean of several, and their thresholds."""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax import settings
from aubal_jax.runs import errors
from aubal_jax.runs import text

IMAGE = 'image'  # What the input is called, of networks and of exports.
FEATURES = 'features'  # That of networks of tables.
STREAMS = ('clip', 'sound')  # Those of networks of videos, or one of them.


def members(config, path: pathlib.Path) -> list[pathlib.Path]:
  """Returns the folders of the runs whose mean is predicted; [] of one alone.

  Args:
    config: any configuration; `ensemble.runs` names them.
    path: a folder, whose ensemble.json names them where the setting does not.

  Raises:
    UserError: it is the folder of a run, too; or ensemble.json is damaged.
  """
  from aubal_jax.network import ensemble

  named = [*map(pathlib.Path, settings.values(config, 'ensemble.runs'))]
  alone = (path / 'checkpoints').is_dir()
  if named and alone:
    raise errors.UserError(
      f'{path} is the folder of a run of its own, and ensemble.runs names '
      f'{text.listing(map(str, named))}: name another --workdir for their mean.'
    )
  if named:
    ensemble.check(named)
    return named
  kept = ensemble.read(path)  # In the folder of a run: of its students.
  return [] if kept is None else ensemble.folders_of(path, kept)


def describe(path: pathlib.Path, members):
  """Returns the `bundle.Description` of the run in `path`, or of `members`."""
  from aubal_jax.network import bundle
  from aubal_jax.network import ensemble

  if members:
    return ensemble.check(members, least=1)
  return bundle.read(path / 'checkpoints')


def window_of(description) -> int:
  """Returns the rows of a video that heads see together; 0: each alone."""
  return description.heads[0].window


def sees_features(description) -> bool:
  """Whether a network sees the features of a table, and nothing else."""
  return description.pixels is None and {*description.streams} == {FEATURES}


def sees_videos(description) -> bool:
  """Whether a network sees clips, sound or both, and nothing else."""
  streams = {*description.streams}
  return description.pixels is None and bool(streams) and streams <= {*STREAMS}


class Input(typing.NamedTuple):
  """What a network is given: a name, and dtype and shape of a row of it."""

  name: str
  dtype: type
  shape: tuple[int, ...]


def inputs_of(description) -> tuple[Input, ...]:
  """Returns what a network is given: images, features, or clips and sound.

  Raises:
    UserError: it sees anything else.
  """
  if sees_features(description) or sees_videos(description):
    return tuple(
      Input(name, np.dtype(seen['dtype']).type, tuple(seen['shape']))
      for name, seen in sorted(description.streams.items())
    )
  check_image_alone(description)
  return (Input(IMAGE, np.uint8, description.pixels.shape),)


def named(inputs: Sequence[Input], rows) -> dict:
  """Returns name of input -> rows of it.

  Args:
    inputs: from `inputs_of`.
    rows: such a mapping; or rows of the one input there is.
  """
  if isinstance(rows, Mapping):
    return {one.name: rows[one.name] for one in inputs}
  (one,) = inputs
  return {one.name: rows}


def check_image_alone(description) -> None:
  """Raises UserError where a network sees anything but the image."""
  if sees_videos(description):
    raise errors.UserError(
      f'This network sees {" and ".join(sorted(description.streams))} of '
      'videos: name clips to predict, or images with --form=faces '
      '(predict.form), which are clips of one frame. The evaluate task scores '
      'it on its data set (--config.task=evaluate).'
    )
  if description.pixels is None:
    raise errors.UserError(
      f'This network sees {", ".join(description.streams)} and no image. What '
      'is predicted, and exported, are images alone, the features of a table '
      'alone, or clips and sound.'
    )
  if description.streams:
    raise errors.UserError(
      f'This network sees {", ".join(description.streams)} beside the image, '
      'and what is predicted are images alone. The evaluate task scores it on '
      'its data set (--config.task=evaluate).'
    )


def load(config, path: pathlib.Path, members):
  """Returns the `Bundle` of the run in `path`, or the `Ensemble` of `members`.

  Raises:
    FileNotFoundError, UserError: as `bundle.load`, `ensemble.load` and
      `ensemble.restore`.
  """
  from aubal_jax.network import bundle
  from aubal_jax.network import ensemble

  if not members:
    return bundle.load(path / 'checkpoints')
  kept, mean = ensemble.read(path), config.ensemble.mean
  if kept is not None and not config.ensemble.runs:
    mean = kept['mean']
  loaded = ensemble.load(members, mean=mean, least=1)
  if kept is not None:
    return ensemble.restore(loaded, path, kept)
  if config.predict.thresholds != 'half':
    print(
      f'Note: {path} has no {ensemble.FILE}, so the thresholds are the means, '
      'on logits, of those of the runs. The evaluate task there tunes them for '
      'the mean of the runs.',
      flush=True,
    )
  return loaded


def in_words(trained) -> str:
  """Returns what a `Bundle` or an `Ensemble` is, behind 'the'."""
  if _is_mean(trained):
    return f'mean {trained.mean} of {len(trained.members)} networks'
  return f'{trained.which} checkpoint, of step {trained.step:,}'


def identity(trained) -> dict:
  """Returns what tells it from others, in plain JSON types."""
  if _is_mean(trained):
    return {'mean': trained.mean, 'members': trained.describe()}
  return {'step': trained.step, 'weights': trained.digest()}


def _is_mean(trained) -> bool:
  from aubal_jax.network import ensemble

  return isinstance(trained, ensemble.Ensemble)


def thresholds(config, trained) -> np.ndarray:
  """Returns float64[L], those that `predict.thresholds` asks for.

  Raises:
    UserError: it was validated by a version that kept no thresholds.
  """
  from aubal_jax.network import bundle

  half = np.full(len(trained.description.label_names), 0.5)
  kept = trained.thresholds.get(bundle.LABELS)
  kind = config.predict.thresholds
  if kind == 'half':
    return half
  if kept is None and not _is_mean(trained) and trained.which == 'best':
    raise errors.UserError(
      f'The checkpoint of step {trained.step:,} was saved without tuned '
      'thresholds, by an earlier version. Set predict.thresholds=half (.5 for '
      'every label), or train anew.'
    )
  if kept is None:
    print(
      'Note: no checkpoint was looked at on a validation split, so there are '
      'no tuned thresholds: .5 is taken for every label.',
      flush=True,
    )
    return half
  found = kept.of_kind(kind)
  if found is None:
    print(
      f'Note: the checkpoint is of an earlier version, without {kind} '
      'thresholds or what they are made of: the tuned ones are taken.',
      flush=True,
    )
    return kept.labels
  return found


def smoothing_width(config, trained) -> int:
  """Returns over how many frames what is said of a face is averaged.

  Args:
    config: `predict.smooth`; -1: what validation chose, if it did.
    trained: a `Bundle` or an `Ensemble`.

  Raises:
    UserError: the width is even.
  """
  from aubal_jax.network import bundle

  width = config.predict.smooth
  if width < 0:
    kept = trained.thresholds.get(bundle.LABELS)
    return getattr(kept, 'smooth', None) or 1
  if width > 1 and width % 2 == 0:
    raise errors.UserError(
      'predict.smooth must be odd, as there are as many frames before as '
      f'behind; it is {width}: take {width - 1} or {width + 1}.'
    )
  return max(width, 1)
