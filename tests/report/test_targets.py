"""What the page has of several targets, and that one alone has none of it."""

import re

import numpy as np
import pytest

from aubal_jax.report import page
from aubal_jax.report import scores
from aubal_jax.report import target_plots
from aubal_jax.report import targets
from tests.makers import target_reports
from tests.report import test_report

NASTY = ('<b>x</b>', 'a & "b"', '$x_1$', '笑顔', 'Surprise')


def text_of(path, report):
  page.write_page(path, page.Content(report={'step': 10, **report}))
  return test_report.Page(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize('seed', range(2))
def test_every_target_has_a_section(tmp_path, seed):
  report = target_reports.report(seed, clean=bool(seed), classes=NASTY)
  shown = text_of(tmp_path / 'a.html', report).whole_text()
  for name, entry in report['targets'].items():
    assert f'Target {name}' in shown
    assert all(one in shown for one in entry['names'])
    for each in entry['of_each'].values():
      assert f'{each.get("f1", each.get("ccc")):.3f}' in shown
  assert ('Clean: over the rows' in shown) == bool(seed)
  assert f'{report["challenge"]["overall"]:.3f}' in shown
  assert 'break-even thresholds, of these very images' in shown
  again = text_of(tmp_path / 'b.html', report).whole_text()
  assert again == shown
  drawn = (tmp_path / 'a.html').read_bytes()
  assert drawn == (tmp_path / 'b.html').read_bytes()
  ids = re.findall(rb' id="([^"]*)"', drawn)
  assert len({*ids}) == len(ids)


def test_a_report_of_labels_alone_has_nothing_of_it():
  report = target_reports.report()
  alone = {
    k: x
    for k, x in report.items()
    if k not in ('targets', 'challenge', 'clean')
  }
  assert targets.sections(alone) == []
  assert [*targets.describe(alone), *targets.tiles(alone)] == []


@pytest.mark.parametrize('seed', range(2))
def test_the_curve_is_of_what_decides(seed):
  rng = np.random.default_rng(seed)
  lines = [
    {'step': k, 'validation': {'f1_macro': 0.5, 'overall': rng.random() - 0.2}}
    for k in range(1, 4)
  ]
  shown = scores.learning(lines, target_reports.report(seed) | {'step': 2})
  best = max(line['validation']['overall'] for line in lines)
  assert f'best validation score of all targets {best:.3f}' in shown
  assert 'Validation score of all targets' in shown
  assert 'floor' not in shown


@pytest.mark.parametrize('size', [2, 9, 25])
def test_a_confusion_is_drawn_square_by_square(size):
  counts = [[(i * j) % 3 for j in range(size)] for i in range(size)]
  names = [f'c{k}' for k in range(size)]
  drawn = target_plots.confusion('mood', names, counts)
  filled = sum(count > 0 for line in counts for count in line)
  assert len(re.findall('fill-opacity|; opacity', drawn)) == filled
