"""The answer at the top of the page: what it says follows from its numbers."""

import re

import pytest

from aubal_jax.report import beside
from aubal_jax.report import page as page_lib
from tests.makers import control_results
from tests.report import test_report

NAMES = test_report.NAMES


def told(record):
  return test_report.Page(f'<p>{beside.describe(record)}</p>').whole_text()


@pytest.mark.parametrize('gains', [(0, 0, 0), (0, 0.05, 0.3), (0.3, 0.1, 0)])
def test_it_tells_those_differences_that_are_more_than_chance(gains):
  record = control_results.record(NAMES, gains=gains)
  words = told(record)
  beyond = [d for d in record['differences'] if d['beyond_chance']]
  assert bool(beyond) == any(gains)
  assert f'over {9} test subjects' in words and 'One seed of each' in words
  assert ('No difference between' in words) == (not beyond)
  said = re.findall(r'(0\.\d{3}) (above|below) in', words)
  assert said == [
    (f'{abs(d["difference"]):.3f}', 'above' if d['difference'] > 0 else 'below')
    for d in beyond
  ]
  rest = len(record['differences']) - len(beyond)
  assert (f'The other {rest} difference' in words) == (0 < rest < 6)


@pytest.mark.parametrize(
  'short', [('x < y', 'z', ''), ('', 'z', ''), ('',) * 3]
)
def test_it_tells_trainings_that_look_short(short):
  record = control_results.record(NAMES)
  for entry, why in zip(record['networks'].values(), short, strict=True):
    entry['short'] = why
  words = told(record)
  names = [n for n, why in zip(record['networks'], short, strict=True) if why]
  wanted = f'The training of {", ".join(names)} looks short'
  assert (wanted in words) == bool(names)
  assert not names or next(filter(None, short)) in words


def test_of_one_subject_nothing_is_said_to_be_more_than_chance():
  record = control_results.record(NAMES, num_groups=1)
  assert 'no difference can be told from chance' in told(record)


def test_the_page_opens_with_it_and_shows_every_number(tmp_path):
  record = control_results.record(NAMES)
  content = test_report.arguments() | {'controls': record}
  page_lib.write_page(tmp_path / 'r.html', page_lib.Content(**content))
  source = (tmp_path / 'r.html').read_text()
  text = test_report.Page(source).whole_text()
  assert text.index('The same network') < text.index('This run')
  assert '<script>' not in source
  for entry in record['networks'].values():
    report = entry['report']
    for found in (report, *report['per_label'].values()):
      f1 = found.get('f1_macro', found.get('f1'))
      assert f'{f1:.3f}' in text
      assert f'{found["tuned"].get("f1_macro", 0):.3f}' in text
    for one in report['per_label'].values():
      assert one['ap'] is None or f'{one["ap"]:.3f}' in text
  for found in record['differences']:
    assert f'{found["difference"]:+.3f}' in text
