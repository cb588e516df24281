"""Makes the pictures of docs/.

  python scripts/make_pictures.py                  # all of them
  python scripts/make_pictures.py certificate rooms

`quickstart` is the top of the page that scripts/run writes: run that first. It
needs Chromium, which draws the page without a window.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import aubal_jax as aubal
from aubal_jax.report import style

HOME = pathlib.Path(__file__).resolve().parents[1]
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
WIDTH, HEIGHT = 1120, 1180  # Pixels of the page that are shown.

# Where a room stands in the picture, and what comes in and goes out.
ROOMS = {
  'datasets': (0, 2, 'a table, a folder,\na data set by name'),
  'media': (0, 0, 'decoded images,\nfaces, a cache'),
  'tables': (1, 2, 'labelsets:\nrows with equal labels'),
  'balancing': (2, 2, 'counts of labelsets,\nand their certificate'),
  'resampling': (2, 1, 'the plan, by ours\nor by a rival'),
  'batches': (1, 0, 'augmented batches,\nrow by row of the plan'),
  'network': (2, 0, 'the step on all devices,\ncheckpoints, the bundle'),
  'scoring': (3, 0, 'scores, thresholds,\nintervals'),
  'report': (4, 0, 'the page'),
  'serving': (3, 1, 'predictions for\nnew images'),
  'experiments': (4, 1, 'compare, search,\nfrontier, solvers'),
  'inspection': (1, 1, 'what is odd in\nthe data'),
}
ARROWS = (
  *(('datasets', 'tables'), ('tables', 'balancing'), ('datasets', 'media')),
  *(('balancing', 'resampling'), ('resampling', 'batches')),
  *(('media', 'batches'), ('batches', 'network'), ('network', 'scoring')),
  *(('scoring', 'report'), ('network', 'serving'), ('datasets', 'inspection')),
  *(('scoring', 'experiments'),),
)


def draw_rooms() -> bytes:
  """Returns the way of a row through the rooms, as PNG."""

  def make(_, axes):
    (ax,) = axes
    for name, (x, y, words) in ROOMS.items():
      ax.text(
        *(x, y, f'{name}/'),
        ha='center',
        va='bottom',
        fontweight='bold',
        color=style.AFTER,
      )
      ax.text(x, y - 0.03, words, ha='center', va='top', fontsize=8)
    for start, end in ARROWS:
      ax.annotate('', *_ends(start, end), arrowprops=_ARROW)
    ax.set_xlim(-0.5, 4.5)
    ax.set_ylim(-0.45, 2.4)
    ax.set_axis_off()

  return style.draw(make, height=4.2, width=9.0)


_ARROW = {'arrowstyle': '->', 'color': style.SOFT, 'linewidth': 1.1}
_HALF = np.array([0.36, 0.3])  # Of a room, with its words.


def _ends(start, end):
  """Returns the point and the tail of an arrow, outside of both rooms."""
  one, other = (np.array(ROOMS[name][:2], float) for name in (start, end))
  way = other - one
  stretch = min(half / abs(w) for half, w in zip(_HALF, way, strict=True) if w)
  return other - way * stretch, one + way * stretch


def draw_certificate() -> bytes:
  """Returns a solve coming down on the bound below it, as PNG."""
  rng = np.random.default_rng(0)
  patterns = rng.random((60, 8)) < np.linspace(0.05, 0.5, 8)
  labels = np.repeat(patterns, rng.zipf(1.6, 60).clip(max=400), axis=0)
  _, solution = aubal.balance(labels, optimizer='adam', tol=1e-6, seed=0)
  trace = {name: np.array(of) for name, of in solution.trace.items()}
  steps = trace['step'] + 1.0
  value, bound = trace['value'] + trace['cost'], trace['lower_bound']

  def make(_, axes):
    (ax,) = axes
    ax.plot(steps, value, color=style.AFTER, marker='.', label='counts found')
    ax.plot(
      *(steps, bound),
      color=style.BEFORE,
      linestyle='--',
      marker='.',
      label='bound: no counts within the limits lie below',
    )
    ax.fill_between(steps, bound, value, color=style.AFTER, alpha=0.12)
    top = value[0] * 1.05
    ax.set_ylim(bottom=min(bound[-1] * 0.75, bound[-1]), top=top)
    ax.set_xscale('log')
    ax.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
    ax.set_xlabel('step of the optimiser')
    ax.set_ylabel('unevenness and price')
    ax.set_title(
      'What lies between is the most that can still be gained: '
      f'at the end {100 * solution.gap:.6f} %'
    )
    ax.legend(loc='upper right')

  return style.draw(make, height=3.4, width=7.2)


def draw_quickstart() -> bytes:
  """Returns the top of the page of runs/quickstart, as PNG."""
  browser = next(filter(None, map(shutil.which, BROWSERS)), None)
  page = HOME / 'runs/quickstart/report.html'
  if browser is None:
    sys.exit(f'Error: none of {", ".join(BROWSERS)} is installed.')
  if not page.exists():
    sys.exit(f'Error: {page} is not there; scripts/run writes it.')
  with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / 'page.png'
    subprocess.run(
      [
        *(browser, '--headless', '--no-sandbox', '--disable-gpu'),
        *('--hide-scrollbars', f'--user-data-dir={folder}/profile'),
        *(f'--window-size={WIDTH},{HEIGHT}', f'--screenshot={out}'),
        page.as_uri(),
      ],
      check=True,
      capture_output=True,
      timeout=300,
    )
    return out.read_bytes()


PICTURES = {
  'quickstart': draw_quickstart,
  'certificate': draw_certificate,
  'rooms': draw_rooms,
}


def main() -> None:
  """Writes the pictures that are named."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('pictures', nargs='*', help=', '.join(PICTURES))
  names = parser.parse_args().pictures or [*PICTURES]
  if wrong := {*names} - {*PICTURES}:
    parser.error(f'there is no {", ".join(sorted(wrong))}')
  for name in names:
    out = HOME / f'docs/{name}.png'
    out.write_bytes(PICTURES[name]())
    print(f'make_pictures: {out}')


if __name__ == '__main__':
  main()
