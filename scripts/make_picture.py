#!/usr/bin/env python3
"""Makes docs/quickstart.png: the top of the page that scripts/run writes.

scripts/run
.venv/bin/python scripts/make_picture.py

It needs Chromium, which draws the page without a window.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

HOME = pathlib.Path(__file__).parent.parent
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


def main() -> None:
  """Draws the page of the run that is named."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument(
    'page',
    nargs='?',
    type=pathlib.Path,
    default=HOME / 'runs/quickstart/report.html',
  )
  parser.add_argument('--width', type=int, default=1120, help='pixels')
  parser.add_argument('--height', type=int, default=1180, help='pixels')
  given = parser.parse_args()
  browser = next(filter(None, map(shutil.which, BROWSERS)), None)
  if browser is None:
    sys.exit(f'Error: none of {", ".join(BROWSERS)} is installed.')
  if not given.page.exists():
    sys.exit(f'Error: {given.page} is not there; scripts/run writes it.')
  out = HOME / 'docs/quickstart.png'
  with tempfile.TemporaryDirectory() as profile:
    subprocess.run(
      [
        *(browser, '--headless', '--no-sandbox', '--disable-gpu'),
        *('--hide-scrollbars', f'--user-data-dir={profile}'),
        *(f'--window-size={given.width},{given.height}',),
        *(f'--screenshot={out}', given.page.resolve().as_uri()),
      ],
      check=True,
      capture_output=True,
      timeout=300,
    )
  print(f'make_picture: {out}')


if __name__ == '__main__':
  main()
