"""The search: the table that is printed, and search.png."""

from __future__ import annotations

import textwrap

from aubal_jax.report import style
from aubal_jax.scoring import summary
from aubal_jax.scoring import targets

_WIDTH = 88
_NEAR = 0.01  # Less than this below the best is about as good.
_TITLES = {s.name: s.title for s in summary.scores_in('validation')}
_TITLES[targets.OVERALL] = 'all targets'
# What tells cells apart: its heading and how it is written.
_CHOICES = {
  'loss': ('loss', '16'),
  'optimizer': ('optimizer', '10'),
  'init': ('first weights', '13'),
  'augment_rows': ('augmented', '9'),
  'batch_size': ('batch', '6,'),
  'learning_rate': ('rate', '8g'),
}


def table(rows, metrics) -> list[str]:
  """Returns the lines of the table: its head, and one for each row.

  Args:
    rows: best first; of one that has no scores the status is told.
    metrics: names of scores. Of what the cells are products of, the table
      shows the rate, and whatever else is not the same in all rows.
  """
  shown = [
    name
    for name in _CHOICES
    if name == 'learning_rate' or len({row[name] for row in rows}) > 1
  ]
  if len({row['rung'] for row in rows}) > 1:
    metrics = ('rung', *metrics)
  return [_head(shown, metrics), *(_line(row, shown, metrics) for row in rows)]


def _head(shown, metrics) -> str:
  choices = []
  for title, form in (_CHOICES[name] for name in shown):
    side = '>' if form[-1] in ',g' else '<'
    choices.append(f'{title:{side}{form.rstrip(",g")}}')
  scores = [f'{title_of(metric):>{_wide(metric)}}' for metric in metrics]
  return ' '.join([*choices, *scores, f'{"step":>8}'])


def _line(row, shown, metrics) -> str:
  choices = [f'{row[name]:{_CHOICES[name][1]}}' for name in shown]
  if row['step'] is None:
    return f'{" ".join(choices)}  {row["status"]}'
  return ' '.join(
    [*choices, *(_cell(row, metric) for metric in metrics), f'{row["step"]:8,}']
  )


def _cell(row, metric) -> str:
  value, wide = row[metric], _wide(metric)
  if value is None or metric == 'rung':
    return f'{"-" if value is None else value:>{wide}}'
  return f'{value:{wide}.3f}'


def _wide(metric) -> int:
  return 4 if metric == 'rung' else max(8, len(title_of(metric)))


def title_of(metric: str) -> str:
  """Returns what a score is called."""
  return _TITLES.get(metric, metric)


def count(n: int, noun: str) -> str:
  """Returns '1 cell', '1,234 cells'."""
  return f'{n:,} {noun}{"" if n == 1 else "s"}'


def wrapped(notes) -> str:
  """Returns `notes` as lines that are not too long."""
  wrapper = textwrap.TextWrapper(_WIDTH, subsequent_indent='  ')
  return '\n'.join(map(wrapper.fill, notes))


def notes(record) -> list[str]:
  """Returns what has to be known to read the table."""
  lines = [
    'scores: on the validation split, decisions at threshold 0.5, of the look '
    f'with the best {title_of(record["metric"])}, after step.',
    conclusion(record['rows'], record['metric']),
    f'sorted by {title_of(record["metric"])}; every cell is one run with the '
    'same seed: small differences may be chance.',
  ]
  rungs = record['rungs']
  if len(rungs) > 1:
    steps = ', '.join(f'{rung["num_steps"]:,}' for rung in rungs)
    lines.append(
      f'rungs end at steps {steps}; those of a higher rung stand above: scores '
      'compare within a rung, and what is slow at first may be left behind.'
    )
  if any(row['step'] == record['num_steps'] for row in record['rows'][:1]):
    lines.append(
      'the first one was best at its last step: longer training may change '
      'the order.'
    )
  return lines


def conclusion(rows, metric) -> str:
  """Returns which cell is the best, and how many of its rung are about as good.

  Args:
    rows: of the table, the best first.
    metric: the score's name.
  """
  scored = [row for row in rows if row[metric] is not None]
  if not scored:
    return f'All {len(rows):,} cells failed.'
  best, *others = scored
  others = [row for row in others if row['rung'] == best['rung']]
  near = sum(best[metric] - row[metric] < _NEAR for row in others)
  whose = ' of its rung' if len({row['rung'] for row in rows}) > 1 else ''
  return (
    f'Best: {best["loss"]}, {best["optimizer"]}, {best["init"]}, rate '
    f'{best["learning_rate"]:g}, batch {best["batch_size"]:,}, '
    f'{best["augment_rows"]} rows augmented, with {title_of(metric)} '
    f'{best[metric]:.3f}. {near:,} of {len(others):,} others{whose} are less '
    f'than {_NEAR:g} below it.'
  )


def draw(file, rows, *, metric: str) -> None:
  """Draws a column of two panels for each loss, batch size and augmented rows.

  As PNG. Above, the score against the learning rate, a line for each optimiser
  and draw of first weights; below, how it came about, the other columns pale
  behind it. Cells that stopped at a lower rung have a ring. Where each score
  was measured once there is no course, and one row of panels.

  Args:
    file: to write to, binary.
    rows: of the table, dicts of the fields of `Cell`, `rung`, the score, which
      is None where the cell failed, and `curve` of equally long lists `step`
      and `metric`. The best is the first.
    metric: the score's name.
  """
  columns = list(dict.fromkeys(sorted(map(_column, rows))))
  series = sorted({_series(row) for row in rows})
  down = 1 + any(len(row['curve']['step']) > 1 for row in rows)

  def make(figure, axes):
    tops, bottoms = axes[: len(columns)], axes[len(columns) :]
    for i, (above, column) in enumerate(zip(tops, columns, strict=True)):
      above.set_title(_title(column, columns))
      here = [row for row in rows if _column(row) == column]
      others = [row for row in rows if _column(row) != column]
      _draw_rates(above, here, metric, series, rows)
      for below in bottoms[i : i + 1]:
        _draw_courses(below, here, others, metric, series)
    tops[0].set_ylabel(f'{_TITLES[metric]}, best')
    for below in bottoms[:1]:
      below.set_ylabel(f'{_TITLES[metric]}, course')
    style.legend(figure, axes, 'outside lower center', ncols=4)
    words = f'{conclusion(rows, metric)} Validation split, a seed each.'
    figure.suptitle(
      textwrap.fill(words, round(12 * size['width'])),
      x=0.01, horizontalalignment='left', fontsize=10, fontweight='bold',
    )  # fmt: skip

  size = {'height': 0.8 + 2.4 * down, 'width': max(2.6 * len(columns), 6.6)}
  shape = {'rows': down, 'columns': len(columns)}
  file.write(style.draw(make, **size, **shape, sharey=True))


def _column(row):
  return row['loss'], row['batch_size'], row['augment_rows']


def _series(row):
  return row['optimizer'], row['init']


def _title(column, columns) -> str:
  loss, batch_size, augmented = column
  title = f'{loss}, batch {batch_size:,}'
  alike = len({rows for *_, rows in columns}) == 1
  return title if alike else f'{title}\n{augmented} rows augmented'


def _look(series, name) -> dict:
  place = series.index(name)
  return {
    'color': style.CYCLE[place % len(style.CYCLE)],
    'marker': style.MARKERS[place % len(style.MARKERS)],
  }


def _draw_rates(ax, rows, metric, series, every):
  """Draws scores against learning rates, side by side; crosses are failures.

  The rates stand at even distances, in order: those of a grid may be anything.
  """
  rates = sorted({row['learning_rate'] for row in rows})
  ax.set_xlim(-0.5, len(rates) - 0.5)
  ax.set_xticks(range(len(rates)), [f'{rate:g}' for rate in rates])
  ax.set_xlabel('learning rate')
  for name in series:
    look = _look(series, name)
    mine = sorted(
      (row for row in rows if _series(row) == name),
      key=lambda row: row['learning_rate'],
    )
    points = [
      (rates.index(row['learning_rate']), row[metric])
      for row in mine
      if row[metric] is not None
    ]
    if points:
      label = ', '.join(name)
      ax.plot(*zip(*points, strict=True), label=label, markersize=4, **look)
    _draw_stopped(ax, mine, rates, metric, every[0])
    failed = [
      rates.index(row['learning_rate']) for row in mine if row[metric] is None
    ]
    if failed:
      ax.plot(
        failed, [0.03] * len(failed), 'x', color=look['color'],
        transform=ax.get_xaxis_transform(), label='failed',
      )  # fmt: skip
  best = every[0]
  if best in rows and best[metric] is not None:
    place = rates.index(best['learning_rate']), best[metric]
    style.ring(ax, *place, size=10, width=1, color=style.INK, label='the best')


def _draw_stopped(ax, rows, rates, metric, best):
  """Marks the cells that stopped at a lower rung than the best one."""
  for row in rows:
    if row[metric] is not None and row['rung'] < best['rung']:
      place = rates.index(row['learning_rate']), row[metric]
      look = {'color': style.SOFT, 'label': 'stopped at a rung'}
      style.ring(ax, *place, size=7, width=0.8, **look)


def _draw_courses(ax, rows, others, metric, series):
  """Draws scores against steps, the smaller learning rates fainter."""
  ax.set_xlabel('step (fainter: smaller learning rates)')
  rates = sorted({row['learning_rate'] for row in rows})
  for row in others:
    ax.plot(row['curve']['step'], _curve(row, metric), **style.OTHERS)
  for row in rows:
    share = (rates.index(row['learning_rate']) + 1) / len(rates)
    ax.plot(
      row['curve']['step'], _curve(row, metric), alpha=0.3 + 0.7 * share,
      color=_look(series, _series(row))['color'],
      linewidth=1.3, marker='.', markersize=3,
    )  # fmt: skip


def _curve(row, metric):
  """Returns the scores of the looks; NaN where one lacks it."""
  return [float('nan') if x is None else x for x in row['curve'][metric]]
