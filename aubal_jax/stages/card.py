"""What the folder of a run tells of its network -> checkpoints/card.md."""

from __future__ import annotations

import pathlib

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import readers
from aubal_jax.report import card
from aubal_jax.runs import files
from aubal_jax.runs import workdir
from aubal_jax.stages import distill

FILE = 'card.md'


def write(run, content) -> None:
  """Writes the card of a run that is trained and scored; else does nothing.

  Args:
    run: the `Run`.
    content: `page.Content` of it.
  """
  from aubal_jax.network import bundle

  folder, report = run.path / 'checkpoints', content.report
  if report is None or not folder.is_dir():
    return
  described = bundle.read(folder)
  students = len(distill.folders(run.config, run.path))
  if students:
    folder = run.path / 'students'
  model = {
    'network': described.model['name'],
    'labels': len(described.label_names),
    **{
      f'target {head.name}': f'{head.kind}: {", ".join(head.names)}'
      for head in described.heads
      if head.name != bundle.LABELS
    },
    **_input(described),
    'checkpoint': f'the mean of {students} students'
    if students
    else report['checkpoint'],
  }
  text = card.make(
    content,
    card.Data(
      _name(run.config),
      *_counts(run.dataset),
      licences=_licences(run.config),
      sees=_sees(described),
      others={
        head.name: {
          split: len(run.dataset.rows(split, head.name))
          for split in card.SPLITS
        }
        for head in described.heads
        if head.name != bundle.LABELS
      },
    ),
    model,
    workdir.versions(),
  )
  with files.write_atomically(folder / FILE) as file:
    file.write(text)


def _sees(described) -> str:
  """Returns a name of `card.USES`."""
  if described.pixels is not None:
    return 'images'
  return 'table' if {*described.streams} == {'features'} else 'videos'


def _input(described) -> dict:
  """Returns what the network sees, and how it is prepared."""
  pixels = described.pixels or described.frames
  if _sees(described) == 'videos':
    shapes = {
      name: ' x '.join(map(str, seen['shape']))
      + ''.join(f', {k} {v}' for k, v in seen.get('made', {}).items())
      for name, seen in described.streams.items()
    }
    return shapes | ({} if pixels is None else _of_pixels(pixels))
  if pixels is None:
    return {
      name: f'{" x ".join(map(str, seen["shape"]))} numbers'
      + (', standardised by the training split' if 'mean' in seen else '')
      for name, seen in described.streams.items()
    } | {'hidden layers': described.model.get('hidden') or 'none'}
  return _of_pixels(pixels)


def _of_pixels(pixels) -> dict:
  """Returns how images, or frames of clips, are prepared."""
  kind = 'grey' if pixels.channels == 1 else 'RGB'
  return {
    'images': f'{pixels.image_size} x {pixels.image_size}, {kind}',
    'made to fit by': pixels.resize,
    'faces cut out by': pixels.crop,
  }


def _name(config) -> str:
  return pathlib.PurePath(config.data.path).name or config.data.name


def _counts(dataset) -> tuple:
  """Returns images, positives, known and groups of `card.Data`."""
  there = {*np.unique(dataset.split).tolist()}
  splits = [s for s in (*card.SPLITS, 'dropped') if s in there]
  rows = {split: dataset.rows(split) for split in splits}
  known = {s: dataset.known[r] for s, r in rows.items()}
  positives = {s: (dataset.labels[r] > 0) & known[s] for s, r in rows.items()}
  groups = dataset.groups
  if groups is not None:
    groups = len({*np.asarray(groups).tolist()} - {''}) or None
  return (
    {split: len(found) for split, found in rows.items()},
    {split: found.sum(axis=0).tolist() for split, found in positives.items()},
    {split: found.sum(axis=0).tolist() for split, found in known.items()},
    groups,
  )


def _licences(config) -> list[str]:
  """Returns what is known of the licences of the data, and what is not."""
  data = config.data
  names = settings.values(config, 'data.sources')
  names = names if data.name == 'merge' else (data.name,)
  notes = [_of_set(name) for name in names]
  first = config.model.get('init_from', '')
  if first:
    notes.append(
      f'Training began with the weights of {pathlib.PurePath(first).name}, '
      'whose licence holds for these, too; it is not known here.'
    )
  notes.append(
    'Which licence the weights themselves have is for those to say who '
    'trained them.'
  )
  return notes


def _of_set(name: str) -> str:
  """Returns a paragraph on the licence of a data set."""
  if name in ('synthetic', 'synthetic_table'):
    return 'The images are drawn by aubal_jax; nobody else has rights in them.'
  card = None
  if name in settings.SETS:
    card = getattr(readers.module(name), 'CARD', None)
  if card is None:
    return (
      'No setting tells the licence of the data: who gave the images says what '
      'may be done with them, and with what is trained on them.'
    )
  access = ' '.join(card.layout.split()).partition(' In manual_dir')[0]
  return (
    f'{card.title} Its terms are those of its authors, {card.homepage}. How to '
    f'get it: {access}'
  )
