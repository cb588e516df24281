"""card.md: what a trained network is, of what, how good, and for whom.

After Mitchell et al.: Model Cards for Model Reporting, 2019 (arXiv 1810.03993),
as far as files and settings tell it; what they do not tell is said to be so.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from aubal_jax.report import page
from aubal_jax.scoring import targets
from aubal_jax.scoring import thresholds

SPLITS = ('train', 'validation', 'test')
_NONE = '-'


@dataclasses.dataclass(frozen=True)
class Data:
  """What is told of the images.

  Attributes:
    name: of the data set.
    images: split -> how many; those that were left out are 'dropped'.
    positives: split -> L counts of labels known to be present.
    known: split -> L counts of known labels.
    groups: how many subjects or videos; None: not known.
    licences: notes, each a paragraph of Markdown.
    sees: what the network is given, a name of `USES`.
    others: target beside the labels -> split -> rows that know it.
  """

  name: str
  images: Mapping[str, int]
  positives: Mapping[str, Sequence[int]]
  known: Mapping[str, Sequence[int]]
  groups: int | None
  licences: Sequence[str]
  sees: str = 'images'
  others: Mapping[str, Mapping[str, int]] = dataclasses.field(
    default_factory=dict
  )


def make(
  content: page.Content,
  data: Data,
  model: Mapping[str, object],
  versions: Mapping[str, str | None],
) -> str:
  """Returns the card, Markdown.

  Args:
    content: of the run; scores, balance and settings are told of it.
    data: of its images.
    model: name -> value, of the network and of what it sees.
    versions: package -> its version.
  """
  names = content.report['label_names']
  sections = {
    'What it is': _pairs(model),
    'How to use it': _use(content.report, data.sees),
    'Scores': '\n\n'.join(
      [
        _scores(content.report),
        _labels(content.report),
        *_targets(content.report),
      ]
    ),
    'Data': _data(data, names),
    'Balance': _balance(content),
    'Training': _training(content),
    'Licences': '\n\n'.join(data.licences),
    'Versions': _pairs({k: v for k, v in versions.items() if v}),
  }
  parts = [f'# Model card: {cell(data.name)}']
  parts += [f'## {title}\n\n{body}' for title, body in sections.items()]
  return '\n\n'.join(parts) + '\n'


def cell(value) -> str:
  """Returns a value as text that stays one line, and one cell of a table."""
  text = ' '.join(str(value).split()) or _NONE
  return re.sub(r'([\\`*_|<>\[\]])', r'\\\1', text)


def table(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
  """Returns a table of Markdown; the first column is of texts."""
  lines = [columns, ['---', *['---:'] * (len(columns) - 1)]]
  lines += [[*map(cell, row)] for row in rows]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _pairs(entries: Mapping) -> str:
  return '\n'.join(f'* {cell(k)}: {cell(v)}' for k, v in entries.items())


def _number(x, digits: int = 3) -> str:
  return _NONE if x is None else f'{x:,.{digits}f}'


def _with_interval(entry: Mapping, name: str) -> str:
  """Returns '0.512 (0.480 to 0.540)'; the value alone where there is none."""
  interval = entry.get(f'{name}_interval')
  told = _number(entry[name])
  return told + (
    f' ({_number(interval[0])} to {_number(interval[1])})' if interval else ''
  )


# What a network is given -> the argument of `predict`, a note, and commands.
USES = types.MappingProxyType(
  {
    'images': (
      *("['a.jpg', 'b.png']", ''),
      '`aubal_jax predict FOLDER IMAGES`, and as a file for other runtimes '
      '`aubal_jax export FOLDER`.',
    ),
    'table': (
      *('features', '  # float32[N, F], as they are.'),
      '`aubal_jax predict FOLDER TABLE`, of a table with the same columns.',
    ),
    'videos': (
      *('streams', '  # A dict of arrays, as model.inputs says.'),
      '`aubal_jax predict FOLDER CLIPS`, and as a file for other runtimes '
      '`aubal_jax export FOLDER`.',
    ),
  }
)


def _use(report, sees) -> str:
  """Returns how to predict, of what the network is given."""
  given, notes, command = USES[sees]
  found, decided = 'probability', 'present'
  if 'targets' in report:  # Dictionaries, by the names of targets.
    found, decided = 'found', 'decided'
  return (
    'Of the folder above this one, in Python:\n\n'
    '    import aubal_jax as aubal\n\n'
    "    model = aubal.load('FOLDER')\n"
    f'    {found} = model.predict({given}){notes}\n'
    f'    {decided} = model.decide({found})\n\n'
    f'On the command line: {command}'
  )


def _kinds(report) -> dict[str, str]:
  """Returns the title of each way to decide, and where its scores are."""
  kinds = {'threshold 0.5': ''}
  for kind in thresholds.KINDS:
    if kind in report:
      kinds[f'{kind.replace("_", "-")} thresholds'] = kind
  return kinds


def _scores(report) -> str:
  """Returns the scores of all labels together, and what floors have."""
  scores = ('f1_macro', 'f1_micro', 'accuracy', 'awc')
  rows = [
    [title, *(_with_interval(report[k] if k else report, s) for s in scores)]
    for title, k in _kinds(report).items()
  ]
  for title, floor in (
    ('yes to everything', 'all_positive'),
    ('no to everything', 'all_negative'),
  ):
    rows.append([title, *(_number(report['floors'][floor][s]) for s in scores)])
  bootstrap = report['bootstrap']
  lead = f'On {report["num_images"]:,} images of the split {report["split"]}'
  if bootstrap['num_resamples']:
    lead += (
      f', with {100 * bootstrap["confidence"]:.0f} % intervals of a bootstrap '
      f'over {bootstrap["num_units"]:,} {bootstrap["unit"]}s'
    )
  if report['cross_fitted']:
    lead += (
      '. Thresholds are tuned on halves of these images, each scored with '
      'those of the other'
    )
  columns = ('', 'F1 macro', 'F1 micro', 'accuracy', 'AWC')
  return f'{lead}.\n\n{table(columns, rows)}'


def _labels(report) -> str:
  """Returns a table of the labels: thresholds, F1, AUC and AP."""
  kind = 'shrunk' if 'shrunk' in report else 'tuned'
  rows = []
  for name, entry in report['per_label'].items():
    at = entry.get(kind) or {}
    rows.append(
      [
        name,
        f'{entry["positives"]:,} of {entry["known"]:,}',
        _number(at.get('threshold'), 4),
        _with_interval(at, 'f1') if 'f1' in at else _NONE,
        _with_interval(entry, 'f1'),
        *(_number(entry[x]) for x in ('f1_all_positive', 'auc', 'ap')),
      ]
    )
  columns = (
    *('label', 'present', f'threshold ({kind})', 'F1 at it', 'F1 at 0.5'),
    *('F1 of yes', 'AUC', 'AP'),
  )
  return table(columns, rows)


def _targets(report) -> Iterable[str]:
  """Yields tables of the targets beside the labels, and what all come to."""
  for name, entry in report.get('targets', {}).items():
    scores = targets.scores_in(entry['kind'], 'report.html')
    each = targets.scores_in(entry['kind'], 'report.html', of_label=True)
    rows = [['this network', *(_with_interval(entry, s.name) for s in scores)]]
    clean = report.get('clean', {}).get('targets', {}).get(name)
    if clean:
      rows.append(
        ['clean rows', *(_with_interval(clean, s.name) for s in scores)]
      )
    rows += [
      [_FLOORS[floor], *(_number(found[s.name]) for s in scores)]
      for floor, found in entry['floors'].items()
    ]
    yield (
      f'The target {cell(name)}, on {entry["num_rows"]:,} rows of the split '
      f'{entry["split"]}:'
    )
    yield table(('', *(s.title for s in scores)), rows)
    yield table(
      ('', 'rows', *(s.title for s in each)),
      [
        [one, f'{found["rows"]:,}', *(_number(found[s.name]) for s in each)]
        for one, found in entry['of_each'].items()
      ],
    )
  if 'challenge' in report:
    yield (
      'All targets together (AU: half F1 macro, half accuracy; classes: .67 F1 '
      'macro + .33 accuracy; each CCC): '
      f'{_number(report["challenge"]["overall"])}.'
    )


_FLOORS = {
  'majority': 'always the most frequent class',
  'mean': 'always the mean',
  'all_positive': 'yes to everything',
  'all_negative': 'no to everything',
}


def _data(data: Data, names) -> str:
  counts = ', '.join(f'{n:,} {split}' for split, n in data.images.items())
  lead = f'Images: {counts}.'
  if data.groups is not None:
    lead += f' They are of {data.groups:,} groups (subjects or videos).'
  splits = [split for split in SPLITS if data.images.get(split)]
  rows = [
    [
      name,
      *(f'{data.positives[s][k]:,} of {data.known[s][k]:,}' for s in splits),
    ]
    for k, name in enumerate(names)
  ]
  shown = table(('label', *splits), rows)
  told = f'{lead} Present, of those known:\n\n{shown}'
  if data.others:
    rows = [
      [name, *(f'{found[split]:,}' for split in SPLITS)]
      for name, found in data.others.items()
    ]
    told += f'\n\nRows that know a target:\n\n{table(("", *SPLITS), rows)}'
  return told


def _balance(content: page.Content) -> str:
  settings = content.settings
  method = settings['balance.method']
  if content.labelsets is None:
    return f'By {cell(method)}; its files are not there.'
  before, after = content.images
  if method == 'aubal':
    method = f'aubal, objective {settings["balance.objective"]}'
  told = (
    f'By {cell(method)}: {before:,} training images became {after:,} rows, '
    f'and MeanIR (1 where all labels are equally frequent) '
    f'{content.mean_irs[0]:.2f} became {content.mean_irs[1]:.2f}.'
  )
  if content.solution is not None:
    told += f' Certified relative gap: {content.solution["gap"]:.1e}.'
  return told


def _training(content: page.Content) -> str:
  settings, report = content.settings, content.report
  names = (
    *('loss.name', 'train.optimizer', 'train.learning_rate'),
    *('train.schedule', 'train.batch_size', 'model.init', 'model.init_from'),
    *('augment.rows', 'seed'),
  )
  step = report['step']  # None: it is the mean of several networks.
  told = {} if step is None else {'step of this checkpoint': f'{step:,}'}
  told |= {k: settings[k] for k in names if settings.get(k) not in (None, '')}
  return _pairs(told)
