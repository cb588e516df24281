"""An ensemble: trained networks whose predictions are averaged.

Its members are folders of runs. They are put in order by their weights, so in
which order they are named changes no bit. What evaluation finds of them, the
thresholds of their mean above all, is kept in ensemble.json, and a folder with
that file predicts as the folder of a run does. Lakshminarayanan, Pritzel,
Blundell: Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles, 2017.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.network import bundle
from aubal_jax.network import checkpoint_sums
from aubal_jax.network import heads as heads_lib
from aubal_jax.network import inference
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.scoring import thresholds as thresholds_lib

FILE = 'ensemble.json'
_FORMAT = 1
_ENTRIES = {'format', 'mean', 'label_names', 'members', 'sum'}


class MeanThresholds(typing.NamedTuple):
  """Means, on logits, of the thresholds of members.

  Attributes:
    labels: float64[L], of `Thresholds.labels`.
    shrunk: float64[L], of `Thresholds.shrunk`; None: a member lacks them.
    break_even: float64[L], likewise.
  """

  labels: np.ndarray
  shrunk: np.ndarray | None
  break_even: np.ndarray | None = None

  def of_kind(self, kind: str) -> np.ndarray | None:
    """Returns float64[L] of a kind but 'half'; None where not known."""
    return self.labels if kind == 'tuned' else getattr(self, kind)


@dataclasses.dataclass(frozen=True)
class Ensemble:
  """Trained networks, as plain host arrays.

  Attributes:
    folders: of the members.
    members: in the order of their digests.
    mean: of what: 'logits' or 'probabilities'.
    thresholds: name of head -> those of the mean; {} where there are none.
  """

  folders: tuple[pathlib.Path, ...]
  members: tuple[bundle.Bundle, ...]
  mean: str
  thresholds: dict[str, thresholds_lib.Thresholds | MeanThresholds]

  @property
  def description(self) -> bundle.Description:
    """What one is, as far as all are alike: heads, pixels and streams."""
    return self.members[0].description

  def make_predict(self, devices=None):
    """Returns streams -> mean predictions, see `inference.make_predict`."""
    logits, runs = self.mean == 'logits', []
    for member in self.members:
      model, _ = bundle.make_network(member.description)
      heads = member.description.heads
      predict = inference.make_predict(model, heads, devices, outputs=logits)
      runs.append(predict(member.params, member.batch_stats))
    heads = self.description.heads

    def run(batch):
      found = [one(batch) for one in runs]
      means = {
        head.name: sum(one[head.name] for one in found) / len(found)
        for head in heads
      }
      return heads_lib.predictions(heads, means) if logits else means

    return run

  def describe(self) -> list[dict]:
    """Returns what each member is, in plain JSON types."""
    return [
      {
        'step': member.step,
        'checkpoint': member.which,
        'weights': member.digest(),
      }
      for member in self.members
    ]


def check(
  folders: Sequence[os.PathLike | str], *, least: int = 2
) -> bundle.Description:
  """Returns what an ensemble's members are, see `Ensemble.description`.

  Args:
    folders: of the members.
    least: how many there are at least; of students one will do.

  Raises:
    FileNotFoundError, UserError: they are fewer or the same, one was
      not trained, or they cannot be averaged.
  """
  folders = [*map(pathlib.Path, folders)]
  if len({folder.resolve() for folder in folders}) < len(folders):
    raise _twice(sorted(map(str, folders)))
  if len(folders) < least:
    raise errors.UserError(
      'ensemble.runs must name two or more runs, each once, to average them; '
      f'it names {", ".join(map(str, folders)) or "none"}.'
    )
  found = {f: bundle.read(f / 'checkpoints') for f in folders}
  for folder in folders[1:]:
    _check_alike(folders[0], found[folders[0]], folder, found[folder])
  return found[folders[0]]


def _twice(names):
  return errors.UserError(
    'ensemble.runs must name each network once, but of '
    f'{", ".join(names)} two are the same: a mean would count it twice. Leave '
    'one out.'
  )


def _check_alike(first, one, second, other):
  """Raises UserError with the first thing in which two members differ."""
  for what, mend, of in (
    (
      'heads',
      'train them with the same targets',
      lambda d: [(head.name, head.kind) for head in d.heads],
    ),
    (
      'windows (multitask.heads, multitask.window)',
      'train them with the same',
      lambda d: [head.window for head in d.heads],
    ),
    (
      'labels, in one order',
      'name them so in data.label_columns',
      lambda d: [list(head.names) for head in d.heads],
    ),
    (
      'images (data.image_size, channels, resize, crop)',
      'train them with the same',
      lambda d: d.pixels and list(dataclasses.astuple(d.pixels)),
    ),
    (
      'streams beside the image',
      'train networks that see the same',
      lambda d: {k: _of_stream(seen) for k, seen in d.streams.items()},
    ),
  ):
    mine, theirs = of(one), of(other)
    if mine != theirs:
      raise errors.UserError(
        f'Members of ensemble.runs must have the same {what}, but {first} has '
        f'{mine} and {second} has {theirs}. Leave one out, or {mend}.'
      )


def _of_stream(seen) -> dict:
  """Returns what must be alike: members may standardise each by its rows."""
  return {k: v for k, v in seen.items() if k not in ('mean', 'std')}


def load(
  folders: Sequence[os.PathLike | str],
  *,
  mean: str = 'logits',
  least: int = 2,
) -> Ensemble:
  """Returns the mean of the best checkpoints of runs.

  Its thresholds are the means, on logits, of those of the members, as nothing
  is known of the mean's own: see `tuned` and `write`.

  Args:
    folders: of the runs, in any order.
    mean: of what, 'logits' or 'probabilities'.
    least: as in `check`.

  Raises:
    FileNotFoundError, UserError: as `check`, or as `bundle.load`.
  """
  check(folders, least=least)
  found = {}
  for folder in map(pathlib.Path, folders):
    member = bundle.load(folder / 'checkpoints')
    found[member.digest()] = folder, member
  if len(found) < len(folders):
    raise _twice(sorted(map(str, folders)))
  folders, members = zip(*(found[key] for key in sorted(found)), strict=True)
  kept = [member.thresholds.get(bundle.LABELS) for member in members]
  thresholds = {} if None in kept else {bundle.LABELS: _mean(kept)}
  return Ensemble(folders, members, mean, thresholds)


def _mean(kept) -> MeanThresholds:
  """Returns the means of thresholds, on logits."""

  def average(kind):
    each = [one.of_kind(kind) for one in kept]
    if any(t is None for t in each):
      return None
    return thresholds_lib.sigmoid(thresholds_lib.logit(each).mean(axis=0))

  return MeanThresholds(*map(average, ('tuned', 'shrunk', 'break_even')))


def tuned(
  ensemble: Ensemble, thresholds: thresholds_lib.Thresholds | None
) -> Ensemble:
  """Returns an ensemble with thresholds of its mean; None: there are none."""
  found = {} if thresholds is None else {bundle.LABELS: thresholds}
  return dataclasses.replace(ensemble, thresholds=found)


def write(path: pathlib.Path, ensemble: Ensemble) -> None:
  """Writes ensemble.json into the folder `path`.

  It names the members by where they are from there: folders that are moved
  together stay together.
  """
  kept = ensemble.thresholds.get(bundle.LABELS)
  home = path.resolve()
  content = {
    'format': _FORMAT,
    'mean': ensemble.mean,
    'label_names': list(ensemble.description.label_names),
    'members': [
      {'folder': os.path.relpath(folder.resolve(), home), **described}
      for folder, described in zip(
        ensemble.folders, ensemble.describe(), strict=True
      )
    ],
    **({} if kept is None else kept.to_json()),
  }
  content['sum'] = checkpoint_sums.of_json(content)
  files.write_json(path / FILE, content)


def read(path: pathlib.Path) -> dict | None:
  """Returns ensemble.json of the folder `path`; None where there is none.

  Raises:
    UserError: it is damaged, or of a later format.
  """
  number, whole = 0, False
  try:
    content = files.read_json(path / FILE)
    number, held = content['format'], dict(content)
    kept = held.pop('sum')
    whole = {*content} >= _ENTRIES and kept == checkpoint_sums.of_json(held)
  except FileNotFoundError:
    return None
  except (KeyError, TypeError, ValueError):
    whole = False
  if isinstance(number, int) and number > _FORMAT:
    raise errors.UserError(
      f'{path / FILE} is of format {number}, and formats up to {_FORMAT} are '
      'read here: a newer version of aubal_jax wrote it. Install that version.'
    )
  if not whole:
    raise errors.UserError(
      f'{path / FILE} is damaged. Run the evaluate task in that folder once '
      'more (--ensemble.runs=RUN1,RUN2): it writes the file.'
    )
  return content


def folders_of(path: pathlib.Path, content: Mapping) -> list[pathlib.Path]:
  """Returns the folders of the members that ensemble.json in `path` names."""
  home = path.resolve()
  return [
    pathlib.Path(os.path.normpath(home / member['folder']))
    for member in content['members']
  ]


def restore(
  ensemble: Ensemble, path: pathlib.Path, content: Mapping
) -> Ensemble:
  """Returns an ensemble with the thresholds that ensemble.json has of it.

  Args:
    ensemble: from `load`.
    path: the folder.
    content: from `read`.

  Raises:
    UserError: the file is of other networks, or of another mean.
  """
  was = [member['weights'] for member in content['members']]
  now = [member.digest() for member in ensemble.members]
  if (content['mean'], sorted(was)) != (ensemble.mean, now):
    raise errors.UserError(
      f'{path / FILE} is of the mean {content["mean"]} of other networks than '
      f'the mean {ensemble.mean} of {", ".join(map(str, ensemble.folders))}: '
      'members were trained on or replaced, or others are named. Run the '
      'evaluate task there once more (--overwrite), or name another --workdir.'
    )
  return tuned(ensemble, thresholds_lib.from_json(content))
