"""The card of a network: its numbers are those of the files, and no others."""

import dataclasses
import re
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax import settings as settings_lib
from aubal_jax.datasets import readers
from aubal_jax.media import images
from aubal_jax.network import bundle
from aubal_jax.report import card
from aubal_jax.report import page
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds
from aubal_jax.stages import card as card_stage
from tests.makers import target_reports

ODD = ['a|b', 'x\ny', '*bold*', '<b>', '[link](x)', '`code`', '\\', 'é"', '_']


def content_of(rng, names):
  """A page's content of random predictions and a random balance."""
  shape = (40, len(names))
  probability = rng.random(shape)
  label, known = rng.random(shape) < 0.4, rng.random(shape) < 0.9
  tuned = thresholds.find(rng.random(shape), label)
  report = summary.summarise(
    *(probability, label, known),
    thresholds=tuned if rng.random() < 0.5 else None,
    label_names=names,
    num_resamples=20,
  )
  counts = rng.integers(1, 99, len(names)).tolist()
  labelsets = {'images': 200, 'label_names': names, 'class_counts': counts}
  plan = {'images': 321, 'augmented': 9, 'class_counts': counts}
  return page.Content(
    labelsets=labelsets,
    plan=plan,
    solution={'gap': 2.5e-6} if rng.random() < 0.5 else None,
    report=report | {'step': 12345, 'checkpoint': 'best'},
    settings=settings_lib.flatten(settings_lib.default().to_dict()),
  )


def data_of(rng, names):
  images = {'train': 60, 'test': 40}
  known = {s: rng.integers(5, n, len(names)) for s, n in images.items()}
  positives = {s: rng.integers(0, k + 1) for s, k in known.items()}
  return card.Data('a_table.csv', images, positives, known, 7, ['Who knows.'])


def tables_of(text):
  """The cells of each table, as they are read."""
  found = []
  for block in re.findall(r'(?:^\|.*\|$\n?)+', text, re.M):
    rows = [re.split(r'(?<!\\)\|', x)[1:-1] for x in block.splitlines()]
    found.append(
      [[re.sub(r'\\(.)', r'\1', c.strip()) for c in row] for row in rows]
    )
  return found


@given(
  st.lists(
    st.one_of(
      st.sampled_from(ODD),
      st.text(st.characters(exclude_categories=['C', 'Z']), min_size=1),
    ),
    min_size=1,
    max_size=4,
    unique=True,
  ),
  st.integers(0, 10**6),
)
def test_every_number_is_of_the_report(names, seed):
  rng = np.random.default_rng(seed)
  content, data = content_of(rng, names), data_of(rng, names)
  report = content.report
  text = card.make(content, data, {'network': 'n'}, {'jax': '1.2', 'x': None})
  scores, labels, counts = tables_of(text)
  for found in (scores, labels, counts):
    assert len({len(row) for row in found}) == 1
  one_line = [' '.join(name.split()) for name in names]
  assert [row[0] for row in labels[2:]] == one_line
  assert [row[0] for row in counts[2:]] == one_line
  for (k, name), row in zip(enumerate(names), labels[2:], strict=True):
    entry = report['per_label'][name]
    assert row[1] == f'{entry["positives"]} of {entry["known"]}'
    assert row[2] == f'{entry["shrunk"]["threshold"]:.4f}'
    assert row[3].startswith(f'{entry["shrunk"]["f1"]:.3f}')
    low, high = entry['f1_interval']
    assert row[4] == f'{entry["f1"]:.3f} ({low:.3f} to {high:.3f})'
    wanted = [
      f'{data.positives[s][k]} of {data.known[s][k]}' for s in data.images
    ]
    assert counts[2 + k][1:] == wanted
  kinds = (report, report['shrunk'], report['tuned'])
  for row, entry in zip(scores[2:5], kinds, strict=True):
    low, high = entry['f1_macro_interval']
    assert row[1] == f'{entry["f1_macro"]:.3f} ({low:.3f} to {high:.3f})'
  for row, floor in zip(
    scores[5:], ('all_positive', 'all_negative'), strict=True
  ):
    assert row[1] == f'{report["floors"][floor]["f1_macro"]:.3f}'
  assert '* jax: 1.2\n' in text and '* x:' not in text
  assert ('2.5e-06' in text) == (content.solution is not None)
  assert ('tuned on halves' in text) == report['cross_fitted']
  assert '200 training images became 321 rows' in text and '12,345' in text
  assert 'of 7 groups' in text and 'Who knows.' in text


@given(st.text())
def test_a_cell_is_one_line_of_its_text(value):
  found = card.cell(value)
  assert len(found.splitlines()) == 1
  (((read, _),),) = [tables_of(f'| {found} | |\n')[0]]
  assert read in (' '.join(value.split()), '-')


@pytest.mark.parametrize(
  'name', ['synthetic', 'manifest', 'labels', 'tfds', *settings_lib.SETS]
)
def test_licences_are_those_that_are_known(name):
  c = settings_lib.default()
  c.data.name = name
  told = card_stage._licences(c)
  known = (
    getattr(readers.module(name), 'CARD', None)
    if name in (settings_lib.SETS)
    else None
  )
  if known is not None:
    assert known.homepage in told[0] and known.title in told[0]
    assert 'manual_dir' not in told[0] and told[0].endswith('.')
  elif name == 'synthetic':
    assert 'drawn by aubal_jax' in told[0]
  else:
    assert 'No setting tells the licence' in told[0]
  c.data.name, c.data.sources = 'merge', ('disfa', 'bp4d')
  c.model.init_from = '/home/somebody/face.pth'
  told = card_stage._licences(c)
  assert len(told) == 4 and 'face.pth' in told[2] and '/home' not in told[2]


def test_what_is_not_trained_or_not_scored_has_no_card(tmp_path):
  run = types.SimpleNamespace(path=tmp_path)
  for report in (None, {'step': None}, {'step': 3}):
    card_stage.write(run, page.Content(report=report))
  assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize('seed', range(2))
def test_every_target_has_its_tables(seed):
  rng = np.random.default_rng(seed)
  names = [*target_reports.LABELS]
  content, data = content_of(rng, names), data_of(rng, names)
  alone = card.make(content, data, {}, {})
  report = target_reports.report(seed, clean=bool(seed))
  report |= {'step': 12345, 'checkpoint': 'best'}
  content = dataclasses.replace(content, report=report)
  text = card.make(content, data, {}, {})
  tables = {tuple(t[0]): t[2:] for t in tables_of(text)}
  expression, affect = report['targets'].values()
  totals = tables['', 'F1 macro', 'accuracy']
  assert len(totals) == 2 + seed  # With clean rows.
  assert totals[0][1].startswith(f'{expression["f1_macro"]:.3f} (')
  each = tables['', 'rows', 'precision', 'recall', 'F1']
  assert [row[0] for row in each] == expression['names']
  found = expression['of_each'].values()
  assert [row[4] for row in each] == [f'{x["f1"]:.3f}' for x in found]
  each = tables['', 'rows', 'CCC', 'RMSE']
  found = affect['of_each'].values()
  assert [row[2] for row in each] == [f'{x["ccc"]:.3f}' for x in found]
  assert f'each CCC): {report["challenge"]["overall"]:.3f}.' in text
  assert 'The target' not in alone and 'found = ' not in alone
  assert 'found = model.predict(' in text


def test_what_a_network_sees_is_told_by_its_kind():
  """Of images, of a table, and of clips and sounds."""
  pixels = images.Pixels(image_size=48, channels=3)
  clip = {'shape': (4, 48, 48, 4), 'dtype': 'uint8', 'pixels': pixels}
  sound = {'shape': (64, 101), 'dtype': 'float32', 'made': {'seconds': 1.0}}
  table = {'features': {'shape': (5,), 'dtype': 'float32'}}
  one = bundle.Description((), None, {}, 'float32', 'adam', False)
  for changes, kind, said in (
    ({'pixels': pixels}, 'images', {'images': '48 x 48, RGB'}),
    ({'streams': table}, 'table', {'features': '5 numbers'}),
    (
      {'streams': {'clip': clip, 'sound': sound}},
      *('videos', {'clip': '4 x 48 x 48 x 4', 'images': '48 x 48, RGB'}),
    ),
    (
      {'streams': {'sound': sound}},
      'videos',
      {'sound': '64 x 101, seconds 1.0'},
    ),
  ):
    described = dataclasses.replace(one, **changes)
    assert card_stage._sees(described) == kind
    told = card_stage._input(described)
    assert said.items() <= told.items()
    assert ('images' in told) == ('pixels' in changes or 'clip' in str(changes))
    assert card.USES[kind][0] in card._use({}, kind)
  assert {*card.USES} == {'images', 'table', 'videos'}
