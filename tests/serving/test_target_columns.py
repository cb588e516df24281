"""predictions.csv and submissions of several targets, read back."""

import csv
import typing

import numpy as np
import pytest

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.runs import errors
from aubal_jax.serving import predictions
from aubal_jax.serving import sources
from aubal_jax.serving import submission
from aubal_jax.serving import target_columns

LABELS = ('AU01', 'AU25')


class Head(typing.NamedTuple):
  name: str
  kind: str
  names: tuple[str, ...]


EXPRESSION = Head('expression', 'class', aff_wild2_rows.EXPRESSIONS['2020'])
VA = Head('valence_arousal', 'real', aff_wild2_rows.VALENCE_AROUSAL)
TAGS = Head('tags', 'binary', ('x', '=y'))
ODD = Head('m"o,od', 'class', ('=1+1', 'a,b', "it's"))


def draw(heads, seed, num_rows=11):
  """Returns float32[N, L + K], what is predicted of the labels and heads."""
  rng = np.random.default_rng(seed)
  parts = [rng.random((num_rows, len(LABELS)))]
  for head in heads:
    part = rng.random((num_rows, len(head.names)))
    if head.kind == 'class':
      part /= part.sum(axis=1, keepdims=True)
    parts.append(2 * part - 1 if head.kind == 'real' else part)
  return np.concatenate(parts, axis=1).astype(np.float32)


def write(path, heads, joined, names=None, *, failed=(), raw=False):
  """Writes predictions of images that are their own numbers."""
  names = names or [f'v/{n + 1:05d}.jpg' for n in range(len(joined))]

  def read(start, stop):
    images = np.arange(start, stop, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return images, {k - start: 'bad' for k in failed if start <= k < stop}

  return predictions.write_predictions(
    *(path, sources.Source(names, read, 'f00')),
    lambda images: joined[images.reshape(-1)],
    label_names=LABELS, thresholds=np.array([0.5, 0.25]), batch_size=4,
    about={}, others=heads, raw=raw,
  )  # fmt: skip


def rows_of(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


@pytest.mark.parametrize('heads', [(EXPRESSION, VA), (VA, TAGS), (ODD, TAGS)])
@pytest.mark.parametrize('seed', range(2))
def test_every_target_has_its_columns(tmp_path, heads, seed):
  joined = draw(heads, seed)
  path = tmp_path / 'predictions.csv'
  assert write(path, heads, joined, failed=[5], raw=True)
  rows = rows_of(path)
  assert [row['status'] == 'ok' for row in rows] == [k != 5 for k in range(11)]
  usual = ['path', 'status']
  for name in LABELS:
    usual += [name, f'{name}_decision', f'{name}_threshold']
  assert [*rows[0]] == [*usual, *target_columns.header(heads)]
  for k, row in enumerate(rows):
    if k == 5:
      assert {*row.values()} == {'v/00006.jpg', 'unreadable: bad', ''}
      continue
    start = len(LABELS)
    for head in heads:
      part = joined[k, start : start + len(head.names)]
      start += len(head.names)
      lead = '' if head.kind == 'real' else f'{head.name}_'
      cells = [float(row[f'{lead}{name}']) for name in head.names]
      np.testing.assert_array_equal(np.float32(cells), part)
      if head.kind == 'class':
        assert row[head.name] == head.names[part.argmax()]
      if head.kind == 'binary':
        said = [row[f'{lead}{name}_decision'] for name in head.names]
        assert said == [str(int(x >= 0.5)) for x in part]
  found = predictions.read_targets(path, len(LABELS), heads)
  good = np.delete(joined, 5, axis=0)
  np.testing.assert_array_equal(
    np.float32(np.concatenate([found[h.name] for h in heads], axis=1)),
    good[:, len(LABELS) :],
  )
  statuses, positive = predictions.summarise(path, len(LABELS))
  assert statuses == {'ok': 10, 'unreadable: bad': 1}
  np.testing.assert_array_equal(
    positive, (good[:, : len(LABELS)] >= [0.5, 0.25]).sum(axis=0)
  )


def test_the_columns_of_labels_alone_are_as_ever(tmp_path):
  joined = draw((), 0)
  write(tmp_path / 'a.csv', (), joined)
  write(tmp_path / 'b.csv', (VA,), np.pad(joined, [(0, 0), (0, 2)]))
  alone, more = (
    (tmp_path / name).read_text().splitlines() for name in ('a.csv', 'b.csv')
  )
  assert [f'{line},valence,arousal' for line in alone[:1]] == more[:1]
  assert [f'{line},0,0' for line in alone[1:]] == more[1:]


def test_after_a_kill_the_rows_of_all_targets_are_the_straight_ones(tmp_path):
  path = tmp_path / 'p.csv'
  joined = draw((ODD, VA), 3)
  write(path, (ODD, VA), joined)
  straight = path.read_bytes()
  for cut in range(0, len(straight), 97):
    path.unlink()
    path.with_name('p.csv.partial').write_bytes(straight[:cut])
    write(path, (ODD, VA), joined)
    assert path.read_bytes() == straight
  with pytest.raises(errors.UserError, match='of other targets'):
    write(path, (ODD, TAGS), joined)


def test_columns_of_one_name_are_told_apart(tmp_path):
  heads = Head('a', 'real', ('AU01', 'b')), Head('b', 'class', ('x', 'y'))
  write(tmp_path / 'p.csv', heads, draw(heads, 0))
  (row, *_) = rows_of(tmp_path / 'p.csv')
  assert [*row][2:] == [
    *('probability:AU01', 'decision:AU01', 'threshold:AU01'),
    *('probability:AU25', 'decision:AU25', 'threshold:AU25'),
    *('number:a:AU01', 'number:a:b', 'class:b'),
    *('probability:b:x', 'probability:b:y'),
  ]


def test_a_text_that_a_spreadsheet_computes_is_made_harmless(tmp_path):
  joined = np.zeros((1, len(LABELS) + 3), np.float32)
  joined[0, len(LABELS)] = 1
  write(tmp_path / 'p.csv', (ODD,), joined)
  (row,) = rows_of(tmp_path / 'p.csv')
  assert row['m"o,od'] == "'=1+1"


@pytest.mark.parametrize('odd', [np.nan, 1.5, -0.25])
def test_what_is_no_probability_is_told(tmp_path, odd):
  joined = draw((EXPRESSION,), 0)
  joined[6, 4] = odd
  with pytest.raises(errors.UserError, match=r'v/00007.*of expression'):
    write(tmp_path / 'p.csv', (EXPRESSION,), joined)


@pytest.mark.parametrize('seed', range(3))
def test_submissions_are_read_back_as_annotations(tmp_path, seed):
  rng = np.random.default_rng(seed)
  heads = VA, EXPRESSION, TAGS
  joined = draw(heads, seed, 20)
  frames = np.sort(rng.choice(np.arange(1, 40), 20, replace=False))
  failed = [int(rng.integers(20))]
  names = [f'v_left/{n:05d}.jpg' for n in frames]
  path = tmp_path / 'p.csv'
  write(path, heads, joined, names, failed=failed)
  written = predictions.write_submission(
    path, tmp_path / 's', LABELS, 'aff_wild2', others=heads
  )
  folders = ['', 'expression', 'valence_arousal']
  assert [str(x.parent.relative_to(tmp_path / 's')) for x in written] == [
    *folders[1:2], '.', *folders[2:],
  ]  # fmt: skip
  kept = np.delete(np.arange(20), failed)
  last = np.searchsorted(frames[kept], np.arange(1, frames[-1] + 1), 'right')
  shown = kept[np.maximum(last - 1, 0)]  # Those before the first take it.
  for head, values in (
    (VA, joined[:, 2:4].round(4)),
    (EXPRESSION, joined[:, 4:11].argmax(axis=1)),
  ):
    task = aff_wild2_rows.task(head.name, '2020')
    file = tmp_path / 's' / head.name / 'v_left.txt'
    rows = aff_wild2_rows.read(str(file), task)
    assert rows.annotated.all()
    np.testing.assert_allclose(rows.values, values[shown], atol=1e-6)
  again = predictions.write_submission(
    path, tmp_path / 's', LABELS, 'aff_wild2_images', others=heads
  )
  assert {x.name for x in again} == {submission.IMAGES_FILE}
  assert again[1].parent.name == submission.MULTI_TASK
  lines = again[0].read_text().splitlines()
  assert lines[0] == 'image_location,' + ','.join(EXPRESSION.names)
  assert [line.split(',')[0] for line in lines[1:]] == [names[k] for k in kept]


@pytest.mark.parametrize('seed', range(3))
def test_the_file_of_three_tasks_is_read_back(tmp_path, seed):
  rng = np.random.default_rng(seed)
  labels = aff_wild2_rows.LABELS['2022']
  expression = EXPRESSION._replace(names=aff_wild2_rows.EXPRESSIONS['2022'])
  ids = [f'v{k % 3}/{k + 1:05d}.jpg' for k in rng.permutation(20)]
  decisions = rng.integers(0, 2, (20, 12))
  affect = rng.uniform(-1, 1, (20, 2))
  said = rng.random((20, 8))
  submission.write(
    *(tmp_path / 's', ids, decisions, labels),
    kind='aff_wild2_images',
    others=[(VA, affect), (TAGS, said[:, :2]), (expression, said)],
  )
  path = tmp_path / 's' / submission.MULTI_TASK / submission.IMAGES_FILE
  first = path.read_text().splitlines()[0]
  assert first == 'image,valence,arousal,expression,aus'
  for name, values in (
    ('labels', decisions),
    ('valence_arousal', affect.round(4)),
    ('expression', said.argmax(axis=1)),
  ):
    rows = aff_wild2_rows.read(str(path), aff_wild2_rows.task(name, '2022'))
    assert [
      f'{v}/{f:05d}.jpg' for v, f in zip(rows.videos, rows.frames, strict=True)
    ] == ids
    np.testing.assert_allclose(rows.values, values, atol=1e-6)
