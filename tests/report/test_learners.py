"""The section on teacher and students, against its cells worked out here."""

import random
import re

from aubal_jax.report import html
from aubal_jax.report import learners


def draw(rng):
  """Scores of a network, of which the AWC may be unknown."""
  f1, shrunk, tuned, accuracy = (rng.random() for _ in range(4))
  return {
    'f1_macro': f1,
    'shrunk': {'f1_macro': shrunk},
    'tuned': {'f1_macro': tuned},
    'accuracy': accuracy,
    'awc': None if rng.random() < 0.2 else rng.random(),
  }


def scores_of(one):
  return [
    one['f1_macro'],
    one['shrunk']['f1_macro'],
    one['tuned']['f1_macro'],
    one['accuracy'],
    one['awc'],
  ]


def cells_of(page):
  """The text of all cells, a row each; without the header's."""
  return [
    [
      re.sub('<[^>]*>', '', cell)
      for cell in re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row, re.S)
    ]
    for row in re.findall(r'<tr>(.*?)</tr>', page, re.S)[1:]
  ]


def test_each_network_has_a_row_and_the_students_their_mean_and_range():
  rng = random.Random(0)
  for _ in range(30):
    students = [draw(rng) for _ in range(rng.randint(1, 4))]
    report = draw(rng) | {
      'students': students,
      'teacher': draw(rng),
      'split': 'test',
      'ensemble': {'mean': 'logits'},
    }
    (page,) = learners.sections(report)
    rows = cells_of(page)
    networks = [report['teacher'], *students]
    names = ['teacher', *(f'student {k + 1}' for k in range(len(students)))]
    for row, name, one in zip(rows, names, networks, strict=False):
      assert row == [
        name,
        *(html.NONE if s is None else f'{s:.3f}' for s in scores_of(one)),
      ]
    columns = [*zip(*map(scores_of, students), strict=True)]
    mean, extent, foot = rows[len(networks) :]
    assert mean == [
      'students, mean',
      *(html.NONE if None in c else f'{sum(c) / len(c):.3f}' for c in columns),
    ]
    assert extent == [
      'students, range',
      *(
        html.NONE if None in c else f'{min(c):.3f} to {max(c):.3f}'
        for c in columns
      ),
    ]
    assert foot == [
      'their ensemble',
      *(html.NONE if s is None else f'{s:.3f}' for s in scores_of(report)),
    ]
    assert 'Test split.' in page and 'mean of their logits' in page


def test_no_students_no_section():
  rng = random.Random(1)
  for _ in range(5):
    assert learners.sections(draw(rng)) == []


def test_other_targets_have_columns_of_their_own():
  rng = random.Random(2)
  for _ in range(10):

    def one():
      return draw(rng) | {
        'targets': {'mood': {'kind': 'class', 'f1_macro': rng.random()}},
        'challenge': {'overall': rng.random()},
      }

    report = one() | {
      'students': [one(), one()],
      'teacher': one(),
      'split': 'test',
      'ensemble': {'mean': 'logits'},
    }
    (page,) = learners.sections(report)
    assert '>mood: ' in page and '>overall<' in page
    for network in (report, report['teacher'], *report['students']):
      for score in (
        network['targets']['mood']['f1_macro'],
        network['challenge']['overall'],
      ):
        assert f'{score:.3f}' in page
