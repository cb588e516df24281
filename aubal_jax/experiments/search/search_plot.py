"""The grid search: lines of the table, and search.png."""

from __future__ import annotations

import textwrap

from aubal_jax.report import style
from aubal_jax.scoring import summary

_WIDTH = 88
_NEAR = 0.01  # Less than this below the best is about as good.
_TITLES = {s.name: s.title for s in summary.scores_in('validation')}


def head(metrics) -> str:
  """Returns the line above the table, whose scores are `metrics`."""
  scores = ' '.join(f'{_TITLES[metric]:>9}' for metric in metrics)
  choice = f'{"loss":16} {"optimizer":10} {"rate":>8} {"batch":>6}'
  return f'{choice} {scores} {"step":>8}'


def line(row, metrics) -> str:
  """Returns the line of a row; one that has no scores says why."""
  choice = (
    f'{row["loss"]:16} {row["optimizer"]:10} {row["learning_rate"]:8g} '
    f'{row["batch_size"]:6,}'
  )
  if row['step'] is None:
    return f'{choice}  {row["status"]}'
  scores = ' '.join(
    f'{row[metric]:{max(9, len(_TITLES[metric]))}.3f}' for metric in metrics
  )
  return f'{choice} {scores} {row["step"]:8,}'


def wrapped(notes) -> str:
  """Returns `notes` as lines that are not too long."""
  wrapper = textwrap.TextWrapper(_WIDTH, subsequent_indent='  ')
  return '\n'.join(map(wrapper.fill, notes))


def notes(record) -> list[str]:
  """Returns what has to be known to read the table."""
  lines = [
    'scores: on the validation split, thresholds 0.5, of the checkpoint with '
    'the best F1 macro, which is of step.',
    conclusion(record['rows'], record['metric']),
    f'sorted by {_TITLES[record["metric"]]}; every cell is one run with the '
    'same seed: small differences may be chance.',
  ]
  if any(row['step'] == record['num_steps'] for row in record['rows'][:1]):
    lines.append(
      'the first one was best at its last step: longer training may change '
      'the order.'
    )
  return lines


def conclusion(rows, metric) -> str:
  """Returns which cell is the best, and how many are about as good.

  Args:
    rows: of the table, the best first.
    metric: the score's name.
  """
  scored = [row for row in rows if row[metric] is not None]
  if not scored:
    return f'All {len(rows):,} cells failed.'
  best, *others = scored
  near = sum(best[metric] - row[metric] < _NEAR for row in others)
  return (
    f'Best: {best["loss"]}, {best["optimizer"]}, rate '
    f'{best["learning_rate"]:g}, batch {best["batch_size"]:,}, with '
    f'{_TITLES[metric]} {best[metric]:.3f}. {near:,} of {len(others):,} others '
    f'are less than {_NEAR:g} below it.'
  )


def draw(file, rows, *, metric: str) -> None:
  """Draws a column of two panels for each loss and batch size, as PNG.

  Above, the score against the learning rate, a line for each optimiser; below,
  how it came about, the other columns pale behind it. Where each score was
  measured once there is no course, and one row of panels.

  Args:
    file: to write to, binary.
    rows: of the table, dicts of `loss`, `optimizer`, `learning_rate`,
      `batch_size`, the score, which is None where the cell failed, and `curve`
      of equally long lists `step` and `metric`. The best is the first.
    metric: the score's name.
  """
  columns = list(dict.fromkeys(sorted(map(_column, rows))))
  optimizers = sorted({row['optimizer'] for row in rows})
  down = 1 + any(len(row['curve']['step']) > 1 for row in rows)

  def make(figure, axes):
    tops, bottoms = axes[: len(columns)], axes[len(columns) :]
    for i, (above, column) in enumerate(zip(tops, columns, strict=True)):
      loss, batch_size = column
      above.set_title(f'{loss}, batch {batch_size:,}')
      here = [row for row in rows if _column(row) == column]
      others = [row for row in rows if _column(row) != column]
      _draw_rates(above, here, metric, optimizers, rows[0])
      for below in bottoms[i : i + 1]:
        _draw_courses(below, here, others, metric, optimizers)
    tops[0].set_ylabel(f'{_TITLES[metric]}, best')
    for below in bottoms[:1]:
      below.set_ylabel(f'{_TITLES[metric]}, course')
    style.legend(figure, axes, 'outside lower center', ncols=5)
    words = f'{conclusion(rows, metric)} Validation split, a seed each.'
    figure.suptitle(
      textwrap.fill(words, round(12 * size['width'])),
      x=0.01, horizontalalignment='left', fontsize=10, fontweight='bold',
    )  # fmt: skip

  size = {'height': 0.8 + 2.4 * down, 'width': max(2.6 * len(columns), 6.6)}
  shape = {'rows': down, 'columns': len(columns)}
  file.write(style.draw(make, **size, **shape, sharey=True))


def _column(row):
  return row['loss'], row['batch_size']


def _look(optimizers, name) -> dict:
  place = optimizers.index(name)
  return {
    'color': style.CYCLE[place % len(style.CYCLE)],
    'marker': style.MARKERS[place % len(style.MARKERS)],
  }


def _draw_rates(ax, rows, metric, optimizers, best):
  """Draws scores against learning rates, side by side; crosses are failures.

  The rates stand at even distances, in order: those of a grid may be anything.
  """
  rates = sorted({row['learning_rate'] for row in rows})
  ax.set_xlim(-0.5, len(rates) - 0.5)
  ax.set_xticks(range(len(rates)), [f'{rate:g}' for rate in rates])
  ax.set_xlabel('learning rate')
  for name in optimizers:
    look = _look(optimizers, name)
    found = sorted(
      (rates.index(row['learning_rate']), row[metric])
      for row in rows
      if row['optimizer'] == name
    )
    points = [point for point in found if point[1] is not None]
    if points:
      ax.plot(*zip(*points, strict=True), label=name, markersize=4, **look)
    failed = [place for place, score in found if score is None]
    if failed:
      ax.plot(
        failed, [0.03] * len(failed), 'x', color=look['color'],
        transform=ax.get_xaxis_transform(), label='failed',
      )  # fmt: skip
  if best in rows and best[metric] is not None:
    place = rates.index(best['learning_rate']), best[metric]
    style.ring(ax, *place, size=10, width=1, color=style.INK, label='the best')


def _draw_courses(ax, rows, others, metric, optimizers):
  """Draws scores against steps, the smaller learning rates fainter."""
  ax.set_xlabel('step (fainter: smaller learning rates)')
  rates = sorted({row['learning_rate'] for row in rows})
  for row in others:
    ax.plot(row['curve']['step'], row['curve'][metric], **style.OTHERS)
  for row in rows:
    share = (rates.index(row['learning_rate']) + 1) / len(rates)
    ax.plot(
      row['curve']['step'], row['curve'][metric], alpha=0.3 + 0.7 * share,
      color=_look(optimizers, row['optimizer'])['color'],
      linewidth=1.3, marker='.', markersize=3,
    )  # fmt: skip
