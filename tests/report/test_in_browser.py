"""Pages in headless Chromium, wide and narrow: nothing sticks out, no error."""

import html
import json
import re
import shutil
import subprocess

import pytest

from aubal_jax.experiments.compare import comparison
from aubal_jax.experiments.compare import page as compare_page
from aubal_jax.report import html as html_lib
from aubal_jax.report import page as page_lib
from tests.makers import comparison_results
from tests.makers import control_results
from tests.report import test_report

BROWSER = next(
  filter(
    None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))
  ),
  None,
)
pytestmark = pytest.mark.skipif(
  BROWSER is None, reason='No Chromium is installed; pages are not looked at.'
)

# Tells the title how wide the page is, what sticks out, and what went wrong.
_SCRIPT = """
<script>
const root = document.documentElement;
root.style.width = 'WIDTHpx';  // No window is so narrow.
const wide = root.getBoundingClientRect().width;
const out = [...document.querySelectorAll('main *')].filter(
  e => e.getBoundingClientRect().right > wide + 1 &&
    !e.closest('.scroll, .plot, .strip div'));
document.title = JSON.stringify({
  wide: wide, whole: document.body.scrollWidth,
  out: out.map(e => e.tagName + ' ' + e.className).slice(0, 5)});
</script>
"""


def report(path):
  content = test_report.arguments()
  content['controls'] = control_results.record(test_report.NAMES)
  page_lib.write_page(path, page_lib.Content(**content))


def balance(path):
  content = page_lib.Content(**test_report.arguments())
  page_lib.write_balance_page(path, content)


def compare(path):
  record = comparison.make_record(comparison_results.tables())
  compare_page.write_page(path, record)


def look(path, width, *, dark):
  """Returns the title that the script gives, and what the console says."""
  source = path.read_text(encoding='utf-8')
  assert html_lib._POLICY in source
  seen = path.with_name(f'seen-{path.name}')  # Scripts are let in here alone.
  source = source.replace(
    html_lib._POLICY, "default-src 'self' 'unsafe-inline' data:"
  )
  script = _SCRIPT.replace('WIDTH', str(width))
  seen.write_text(source.replace('</body>', f'{script}</body>'), 'utf-8')
  done = subprocess.run(
    [
      *(BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--dump-dom'),
      *('--enable-logging=stderr', '--virtual-time-budget=2000'),
      f'--user-data-dir={path.parent / "profile"}',
      f'--blink-settings=preferredColorScheme={0 if dark else 1}',
      *(f'--window-size={width + 100},1000', seen.as_uri()),
    ],
    capture_output=True,
    text=True,
    timeout=300,
    check=True,
  )
  title = html.unescape(re.search('<title>(.*?)</title>', done.stdout, re.S)[1])
  console = [x for x in done.stderr.splitlines() if ':CONSOLE' in x]
  return title, console


@pytest.mark.parametrize(
  ('make', 'width', 'dark'),
  [
    pytest.param(
      make,
      width,
      dark,
      marks=()
      if (make, width, dark) == (report, 400, False)
      else pytest.mark.long,
    )
    for make in (report, balance, compare)
    for width in (400, 1400)
    for dark in (False, True)
  ],
)
def test_nothing_sticks_out_and_nothing_goes_wrong(tmp_path, make, width, dark):
  path = tmp_path / 'page.html'
  make(path)
  title, console = look(path, width, dark=dark)

  found = json.loads(title)
  assert found['out'] == []
  assert found['whole'] <= found['wide'] == width
  assert console == []


def test_what_sticks_out_is_seen(tmp_path):
  path = tmp_path / 'page.html'
  wide = '<div class="much" style="width: 3000px">x</div><img src="x.png">'
  path.write_text(html_lib.document('t', [wide]), encoding='utf-8')
  title, _ = look(path, 400, dark=False)
  assert 'much' in title
