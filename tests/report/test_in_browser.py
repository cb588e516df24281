"""Pages in headless Chromium, wide and narrow: nothing sticks out, no error."""

import html
import json
import re
import shutil
import subprocess
import time

import pytest

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.experiments.compare import comparison
from aubal_jax.experiments.compare import page as compare_page
from aubal_jax.report import html as html_lib
from aubal_jax.report import page as page_lib
from aubal_jax.runs import workdir
from tests.inspection import test_inspection
from tests.makers import comparison_results
from tests.makers import control_results
from tests.report import test_report
from tests.serving import test_faces_page

BROWSER = next(
  filter(
    None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))
  ),
  None,
)
pytestmark = pytest.mark.skipif(
  BROWSER is None, reason='No Chromium is installed; pages are not looked at.'
)
WIDTHS = (400, 1400)

# In each page: tells how wide it is, what sticks out, and how wide is what
# should be as wide as all else.
_SCRIPT = """
<script>
addEventListener('load', () => {
  const wide = innerWidth;
  const box = e => e.getBoundingClientRect();
  const all = what => [...document.querySelectorAll(what)].filter(
    e => box(e).width);
  const sides = e => [Math.round(box(e).left), Math.round(box(e).right)];
  const out = all('main *').filter(e => box(e).right > wide + 1 &&
    !e.closest('.scroll, .plot'));
  const cut = all('.strip div, .tile, .verdict, .bar').filter(
    e => e.scrollWidth > e.clientWidth + 1);
  const blocks = all('main p, figure, .plot svg, .scroll').filter(
    e => !e.closest('li, .thumbs, .strip, .peaks, .halves'));
  const short = all('figure:not(.heat) .scroll').filter(
    e => box(e.firstChild).right < box(e).right - 1);
  parent.postMessage({
    name: NAME, width: wide, whole: document.documentElement.scrollWidth,
    out: out.concat(cut, short).slice(0, 5).map(
      e => e.tagName + ' ' + e.className),
    lefts: [...new Set(blocks.map(e => sides(e)[0]))],
    rights: [...new Set(blocks.map(e => sides(e)[1]))],
    bars: [...new Set(all('.bar').map(e => Math.round(box(e).width)))]}, '*');
});
</script>
"""
# Around them: no window is as narrow as a phone, but a frame is.
_FRAMES = """<!DOCTYPE html><meta charset="utf-8"><title>[]</title>
<script>
const said = [];
addEventListener('message', event => {
  said.push(event.data);
  document.title = JSON.stringify(said);
});
</script>
"""


def write_report(path):
  content = test_report.arguments()
  content['controls'] = control_results.record(test_report.NAMES)
  page_lib.write_page(path, page_lib.Content(**content))


def write_report_of_one_step(path):
  given = test_report.arguments()
  given['metrics'] = [
    next(x for x in given['metrics'] if key in x)
    for key in ('loss', 'validation')
  ]
  page_lib.write_page(path, page_lib.Content(**given))


def write_balance(path):
  content = page_lib.Content(**test_report.arguments())
  page_lib.write_balance_page(path, content)


def write_compare(path):
  rows = [r for r in comparison_results.tables() if r['model'] == 'mlp']
  record = comparison.make_record(rows)
  compare_page.write_page(path, record)


def write_crossed(path):
  record = comparison.make_record(comparison_results.crossed())
  compare_page.write_page(path, record)


def write_inspect(path):
  folder = path.parent / 'inspected'
  test_inspection.spoil(folder, test_inspection.write_set(folder))
  config = settings.default()
  config.task = 'inspect'
  config.data.name, config.data.path = 'manifest', str(folder / 'table.csv')
  commands.run_task(config, folder / 'run', started=time.perf_counter())
  shutil.copy(folder / 'run/inspect.html', path)


def write_predictions(path):
  test_faces_page.write(path, path.parent / ('a_long_name' * 12))


# Name of a page, as the program writes it, -> what makes one, or several.
PAGES = {
  'report.html': (write_report, write_report_of_one_step),
  'balance.html': (write_balance,),
  'compare.html': (write_compare,),
  'inspect.html': (write_inspect,),
  'predictions.html': (write_predictions,),
}


@pytest.fixture(name='pages', scope='module')
def fixture_pages(tmp_path_factory, pytestconfig):
  folder = tmp_path_factory.mktemp('pages')
  makers = [make for makers in PAGES.values() for make in makers]
  makers += [write_crossed] * pytestconfig.getoption('long')
  paths = [folder / f'{make.__name__}.html' for make in makers]
  for make, path in zip(makers, paths, strict=True):
    make(path)
  return paths


def look(paths, *, dark):
  """Returns what each page says at each width, and what the console does."""
  frames = _FRAMES
  for path in paths:
    source = path.read_text(encoding='utf-8')
    assert html_lib._POLICY in source
    seen = path.with_name(f'seen-{path.name}')  # Scripts are let in here alone.
    source = source.replace(
      html_lib._POLICY, "default-src 'self' 'unsafe-inline' data:"
    )
    script = _SCRIPT.replace('NAME', json.dumps(path.stem))
    seen.write_text(source.replace('</body>', f'{script}</body>'), 'utf-8')
    frames += ''.join(
      f'<iframe src="{seen.name}" style="border: 0; width: {width}px; '
      'height: 900px"></iframe>'
      for width in WIDTHS
    )
  around = paths[0].with_name('frames.html')
  around.write_text(frames, encoding='utf-8')
  done = subprocess.run(
    [
      *(BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--dump-dom'),
      *('--enable-logging=stderr', '--virtual-time-budget=5000'),
      f'--user-data-dir={around.parent / "profile"}',
      f'--blink-settings=preferredColorScheme={0 if dark else 1}',
      *('--window-size=1500,1000', around.as_uri()),
    ],
    capture_output=True,
    text=True,
    timeout=300,
    check=True,
  )
  title = html.unescape(re.search('<title>(.*?)</title>', done.stdout, re.S)[1])
  console = [x for x in done.stderr.splitlines() if ':CONSOLE' in x]
  return json.loads(title), console


def test_every_page_that_the_program_writes_is_looked_at():
  assert {*PAGES} == {x for x in workdir.CONTENTS if x.endswith('.html')}


@pytest.mark.parametrize('dark', [False, True])
def test_nothing_sticks_out_and_nothing_goes_wrong(pages, dark):
  said, console = look(pages, dark=dark)
  assert console == []
  assert {(x['name'], x['width']) for x in said} == {
    (path.stem, width) for path in pages for width in WIDTHS
  }
  for found in said:
    where = found['name'], found['width']
    assert (*where, found['out']) == (*where, [])
    assert found['whole'] <= found['width']
    assert len(found['bars']) <= 1  # All of one scale.
    # Words, pictures and tables have both sides in common; what scrolls within
    # itself begins there, and goes on.
    assert (*where, len(found['lefts'])) == (*where, 1)
    if found['width'] > 1000:
      assert (*where, found['rights']) == (*where, found['rights'][:1])


def test_what_sticks_out_is_seen(tmp_path):
  path = tmp_path / 'page.html'
  wide = '<div class="much" style="width: 3000px">x</div><img src="x.png">'
  path.write_text(html_lib.document('t', [wide]), encoding='utf-8')
  (narrow, _), _ = look([path], dark=False)
  assert 'DIV much' in narrow['out'] and narrow['whole'] > narrow['width']
