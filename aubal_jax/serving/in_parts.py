"""Networks that predict in two parts: numbers of a row, and what they say.

Heads that see windows of a video (multitask.heads=gru) say something of a row
when its neighbours were seen, too. What was seen of each is kept as numbers:
those of the network's trunk, or of the frozen network of another run
(multitask.features_of).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import typing
from collections.abc import Callable

import numpy as np

from aubal_jax.datasets import windows as windows_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.runs import workdir
from aubal_jax.serving import networks
from aubal_jax.serving import predictions
from aubal_jax.serving import target_columns


@dataclasses.dataclass(frozen=True)
class InParts:
  """A network in two parts.

  Attributes:
    size: F numbers are kept of a row.
    width: K numbers are said of it, see `target_columns.join`.
    window: T rows that are seen together; 0: each alone.
    see: name of stream -> [B, ...], to float32[B, F].
    say: float32[B, F] of whole windows on each device, to float32[B, K].
    eye: digest of the frozen network that `see` is of; '': the own trunk.
  """

  size: int
  width: int
  window: int
  see: Callable
  say: Callable
  eye: str = ''

  def predict(self, numbers, groups, frames, *, batch_size: int) -> np.ndarray:
    """Returns float32[R, K] of rows, as evaluation scores them.

    Args:
      numbers: float32[R, F], of `see`.
      groups: the video of each; '' or None: of none.
      frames: float[R], when in its video a row is; None: as they stand.
      batch_size: rows a step, which are made whole windows.
    """
    import jax

    length = max(self.window, 1)
    windows = windows_lib.make(
      *(groups if self.window else None, frames, np.arange(len(numbers))),
      length=length,
      step=length,
    )
    least = length * jax.local_device_count()
    size = -(-batch_size // least) * least
    rows, scored = windows.rows.reshape(-1), windows.scored.reshape(-1)
    said = np.zeros((len(numbers), self.width), np.float32)
    for start in range(0, len(rows), size):
      part = slice(start, start + size)
      found = predictions.run_whole(self.say, numbers[rows[part]], size)
      said[rows[part][scored[part]]] = found[scored[part]]
    _check(said)
    return said

  def describe(self, groups=None, frames=None) -> dict:
    """Returns what predictions depend on beside weights, in JSON types.

    Args:
      groups: as `predict` takes them.
      frames: likewise.
    """
    digest = hashlib.sha256()
    for column in (groups, frames):
      cells = map(str, () if column is None else column)
      digest.update(os.fsencode('\0'.join([*cells, '\1'])))
    return {
      'features of': self.eye,
      'window': self.window,
      'videos': digest.hexdigest()[:16],
    }


def _check(said) -> None:
  """Raises UserError where a network says what is no number."""
  if not np.isfinite(said).all():
    raise errors.UserError(
      'The network says what is no number: its numbers '
      'overflow. Train anew, with a smaller learning rate or '
      'train.dtype=float32.'
    )


class Eye(typing.NamedTuple):
  """The frozen network whose numbers another network sees.

  Attributes:
    folder: of its run.
    weights: digest of those that were trained on; '': not known.
    description: of it.
  """

  folder: str
  weights: str
  description: typing.Any


def find_eye(config, path, members, description) -> Eye | None:
  """Returns the frozen network whose numbers a network sees; None: it has none.

  Args:
    config: any configuration; `multitask.features_of` names the folder where
      the run's own configuration does not, or another one.
    path: the folder of the run, or of an ensemble.
    members: of `networks.members`.
    description: of the network.

  Raises:
    UserError: the folder is not known, or has no network.
  """
  from aubal_jax.network import bundle

  named = config.multitask.features_of
  seen = description.streams.get(networks.FEATURES, {})
  # Features of a table are standardised, those of a network are not.
  if not networks.sees_features(description) or 'mean' in seen:
    if named:
      raise errors.UserError(
        f'multitask.features_of={named} is for a network that sees what that '
        'run says of a row; this one sees rows itself: leave it out.'
      )
    return None
  folder, weights = _trained_on([path, *members], description)
  folder = named or folder
  mend = 'name its folder, --multitask.features_of=RUN (features_of of load).'
  if not folder:
    if weights:
      raise errors.UserError(
        f'{path} sees what the network of another run says of a row, and no '
        f'config.json beside its checkpoints tells of which; {mend}'
      )
    return None
  try:
    found = bundle.read(pathlib.Path(folder) / 'checkpoints')
  except FileNotFoundError as error:
    raise errors.UserError(
      f'{path} sees what the network of multitask.features_of={folder} says of '
      f'a row, and no network is there: {mend}'
    ) from error
  return Eye(folder, weights, found)


def _trained_on(homes, description) -> tuple[str, str]:
  """Returns the folder of the frozen network, and the digest of its weights.

  Each is '' where nobody tells it.

  Args:
    homes: folders of runs; a copy of checkpoints/ tells no folder.
    description: of their network.

  Raises:
    UserError: it is not the same network for all.
  """
  seen = description.streams[networks.FEATURES]
  weights = {seen.get('made', {}).get('weights', '')}
  folders = []
  for home in homes:
    weights.add(workdir.settings_of(home, 'train').get('the features', ''))
    held = workdir.read_settings(home).get('multitask', {})
    folders.append(held.get('features_of', ''))
  known = sorted(weights - {''})
  if len(known) > 1:
    raise errors.UserError(
      f'{text.listing(map(str, homes))} were trained on what different '
      f'networks say of a row, of weights {", ".join(known)}; a mean is of '
      'networks that see the same. Leave some out.'
    )
  return next(filter(None, folders), ''), (known or [''])[0]


def seen_by(description, eye: Eye | None):
  """Returns the `bundle.Description` of what sees rows, with the own heads."""
  if eye is None:
    return description
  return dataclasses.replace(eye.description, heads=description.heads)


def make(trained, eye: Eye | None) -> InParts | None:
  """Returns a network in two parts; None: it sees and says at once.

  Args:
    trained: a `Bundle` or an `Ensemble`.
    eye: of `find_eye`.

  Raises:
    FileNotFoundError, UserError: as `bundle.load`; or the network of the eye is
      not the one that was trained on.
  """
  description = trained.description
  window = networks.window_of(description)
  if eye is None and not window:
    return None
  if eye is None:
    see, size, trained = _apart(trained)
    digest = ''
  else:
    see, size, digest = _open(eye, description)
  run, others = trained.make_predict(), target_columns.others(description.heads)
  return InParts(
    size=size,
    width=len(description.label_names) + sum(len(h.names) for h in others),
    window=window,
    see=see,
    say=lambda numbers: target_columns.join(
      run({networks.FEATURES: numbers}), others
    ),
    eye=digest,
  )


def _apart(trained):
  """Returns what the trunks see, how many numbers, and the heads alone."""
  from aubal_jax.network import ensemble
  from aubal_jax.network import features

  is_mean = isinstance(trained, ensemble.Ensemble)
  members = trained.members if is_mean else (trained,)
  sizes = [features.size(one)[0] for one in members]
  starts = np.cumsum([0, *sizes]).tolist()
  heads = tuple(
    features.heads_alone(one, start, starts[-1])
    for one, start in zip(members, starts[:-1], strict=True)
  )
  runs = [features.make(one) for one in members]

  def see(batch):
    found = [np.asarray(run(batch)[features.NAME]) for run in runs]
    return np.concatenate(found, axis=1)

  said = dataclasses.replace(trained, members=heads) if is_mean else heads[0]
  return see, starts[-1], said


def _open(eye, description):
  """Returns what a frozen network sees, how many numbers, and its digest."""
  from aubal_jax.network import bundle
  from aubal_jax.network import features

  frozen = bundle.load(pathlib.Path(eye.folder) / 'checkpoints')
  size, digest = features.size(frozen)[0], frozen.digest()
  (wanted,) = description.streams[networks.FEATURES]['shape']
  if size != wanted or (eye.weights and eye.weights != digest):
    raise errors.UserError(
      f'multitask.features_of={eye.folder} has other weights than the network '
      f'that was trained on: it makes {size} numbers, of weights {digest}, and '
      f'wanted are {wanted}, of {eye.weights or "weights not known"}. Name the '
      'folder of that run: --multitask.features_of=RUN.'
    )
  if not eye.weights:
    print(
      'Note: nothing tells the weights of the frozen network that this one was '
      f'trained on: those of {eye.folder} are taken.',
      flush=True,
    )
  run = features.make(frozen)
  return lambda batch: run(batch)[features.NAME], size, digest
