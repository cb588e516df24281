"""labels -> frontier.csv, frontier.png: how even the classes get for what."""

from __future__ import annotations

import sys

import numpy as np

from aubal_jax.experiments.frontier import frontier_plot
from aubal_jax.runs import extras
from aubal_jax.runs import progress
from aubal_jax.stages import problem

_NUM_PRINTED = 8
_COLUMNS = (
  ('lambda', 'lam', '{:,.4g}'.format),
  ('images', 'images', '{:,.0f}'.format),
  ('added', 'added', '{:+,.0f}'.format),
  ('f', 'value', '{:,.2f}'.format),
  ('gap', 'gap', '{:.1e}'.format),
  ('image price', 'image_price', '{:.3g}'.format),
  ('MeanIR', 'mean_ir', '{:,.2f}'.format),
  ('most/least', 'class_spread', '{:,.1f}'.format),
)


def run(run) -> None:
  """Solves point after point, and writes them as a table and as a picture."""
  config, path = run.config, run.path
  if run.is_done('frontier'):
    print(f'frontier: already done, see {path / "frontier.csv"}', flush=True)
    return
  from aubal_jax.balancing import frontier as frontier_lib

  labelsets = problem.find_labelsets(run)
  watch = progress.Progress(config.frontier.num_points, 'frontier: points')
  found = frontier_lib.frontier(
    labelsets,
    over=config.frontier.over,
    num_points=config.frontier.num_points,
    on_progress=lambda _: watch.update(),
    **problem.solve_arguments(config),
  )
  _print_points(found, config.balance.tol)
  run.begin('frontier')
  found.save_csv(path / 'frontier.csv')
  _draw(found, path / 'frontier.png')
  run.finish('frontier')
  print(f'frontier: {path / "frontier.csv"}', flush=True)
  run.watch.lap('frontier')


def _draw(found, path) -> None:
  """Draws the picture, or says why there is none."""
  if not extras.is_there('matplotlib'):
    print(f'Note: {extras.missing("matplotlib", "The picture")}', flush=True)
    return
  frontier_plot.plot(found, path)
  print(f'frontier: {path}', flush=True)


def _print_points(found, tol) -> None:
  """Prints a few of the points, the chosen one among them and marked."""
  print(
    f'frontier: {len(found)} points over {found.over}, from '
    f'{found.images_start:,} images with f {found.value_start:,.2f}; a few:\n'
  )
  columns = found.columns()
  shown = [c for c in _COLUMNS if c[1] != 'lam' or found.over == 'lam']
  places = np.linspace(0, len(found) - 1, min(_NUM_PRINTED, len(found)))
  marks = {} if found.knee is None else {found.knee: '<- the knee'}
  same = found.chosen in marks
  marks[found.chosen] = f'<- {"the knee, " * same}these settings'
  places = np.union1d(np.rint(places).astype(int), [*marks])
  table = [[*(head for head, _, _ in shown), '']]
  for k in places:
    cells = [form(columns[name][k]) for _, name, form in shown]
    table.append([*cells, marks.get(k, '')])
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  for cells in table:
    padded = zip(cells, widths, strict=True)
    padded = [f'{cell:>{width}}' for cell, width in [*padded][:-1]]
    print('  '.join([*padded, cells[-1]]).rstrip())
  print(f'\n{frontier_plot.conclusion(found)}', flush=True)
  open_ = int((found.gap > tol).sum())
  if open_:
    print(
      f'Warning: the certified gap of {open_} of {len(found)} points is above '
      f'balance.tol, {found.gap.max():.1e} at most; a larger '
      'balance.max_steps, or balance.optimizer=newton, closes it.',
      file=sys.stderr,
    )
