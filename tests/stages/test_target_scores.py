"""Each target is scored over its own rows; the labels alone as ever."""

import types

import numpy as np
import pytest
from sklearn import metrics as sk

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.network import heads as heads_lib
from aubal_jax.runs import errors
from aubal_jax.stages import evaluate
from aubal_jax.stages import target_scores
from tests.makers import target_reports


def draw(seed, *, apart=True):
  """Returns a data set whose tasks may have other splits, and predictions."""
  rng = np.random.default_rng(seed)
  said, found = target_reports.draw(seed, 240)
  size = len(said['labels'])
  groups = np.array([f'v{k % 20:02}' for k in range(size)])

  def split():
    of_group = rng.choice(['train', 'validation', 'dropped'], 20)
    of_group[:3] = 'train', 'validation', 'dropped'
    return of_group[np.unique(groups, return_inverse=True)[1]]

  labels = found.pop('labels')
  splits = {'labels': split(), **{name: split() for name in found}}
  whole = np.full(size, 'train', '<U10')
  whole[::2] = 'validation'
  dataset = dataset_lib.Dataset(
    *(labels.values, labels.known, labels.names, whole),
    ids=np.arange(size).astype(str),
    groups=groups,
    targets=found,
    splits=splits if apart else {},
  )
  return dataset, said


def heads_of(dataset):
  return [
    heads_lib.Head(name, target.kind, target.names, 'bce')
    for name, target in dataset.targets.items()
  ]


def read(dataset, said, heads=None):
  calls = []

  def predict_rows(rows):
    calls.append(rows)
    return {name: x[rows] for name, x in said.items()}

  return target_scores.Reader(
    dataset, heads or heads_of(dataset), predict_rows
  ), calls


def summarise(dataset, reader):
  run = types.SimpleNamespace(
    dataset=dataset, config=types.SimpleNamespace(seed=3)
  )
  others = {name: reader.read(name) for name in reader.others}
  split = reader.split()
  found = evaluate.Predictions(
    *(split, reader.rows(split), reader.said(split), None, {}),
    targets=others,
  )
  return evaluate.summarise(run, found)


@pytest.mark.parametrize('seed', range(4))
def test_each_target_has_its_own_rows_and_clean_ones(seed):
  dataset, said = draw(seed)
  reader, calls = read(dataset, said)
  report = summarise(dataset, reader)
  assert len(calls) == 1  # Each row once, whatever needs it.
  assert len({*calls[0].tolist()}) == len(calls[0])
  trains = {
    group
    for own in dataset.splits.values()
    for group in dataset.groups[own == 'train']
  }
  is_clean = ~np.isin(dataset.groups, [*trains])
  for name, target in dataset.targets.items():
    rows = np.flatnonzero(
      (dataset.splits[name] == 'validation') & target.rows_known
    )
    clean = rows[is_clean[rows]]
    entry = report if name == 'labels' else report['targets'][name]
    beside = report['clean']['targets'].get(name)
    assert (beside is None) == (len(clean) == 0)
    assert entry['num_images' if name == 'labels' else 'num_rows'] == len(rows)
    for found, of in ((entry, rows), (beside, clean)):
      if name == 'expression' and found is not None:
        guess = said[name][of].argmax(axis=1)
        wanted = sk.accuracy_score(target.values[of], guess)
        assert found['accuracy'] == pytest.approx(wanted, abs=1e-6)
        assert np.sum(found['confusion']) == len(of)
        low, high = found.get('accuracy_interval', (0, 1))
        assert low <= found['accuracy'] <= high
      elif name == 'valence_arousal' and found is not None:
        apart = said[name][of] - target.values[of]
        rmse = np.sqrt((apart.astype(float) ** 2).mean(axis=0)).mean()
        assert found['rmse_mean'] == pytest.approx(rmse, abs=1e-6)
        assert found['floors']['mean']['ccc_mean'] == 0
        counts = [np.sum(x) for x in found['density'].values()]
        assert counts == [len(of)] * 2
  scores = report['challenge']['2020']
  assert scores['labels'] == pytest.approx(report['awc'], abs=2e-6)
  for name in ('overall', 'multi_task'):
    low, high = report['challenge'][f'{name}_interval']
    value = report['challenge'].get(name)
    value = report['challenge']['2022'][name] if value is None else value
    assert low <= value <= high
  whole = len(report['clean']['targets']) == 3
  assert ('overall' in report['clean']['challenge']) == whole
  assert ('multi_task' in report['clean']['challenge']['2022']) == whole
  assert 'break_even' in report
  assert {*report['same_images']} == {'tuned', 'shrunk', 'break_even'}


@pytest.mark.parametrize('seed', range(2))
def test_without_splits_of_tasks_there_is_nothing_clean(seed):
  dataset, said = draw(seed, apart=False)
  report = summarise(dataset, read(dataset, said)[0])
  assert 'clean' not in report
  assert {*report['targets']} == {'expression', 'valence_arousal'}


@pytest.mark.parametrize('seed', range(2))
def test_the_labels_alone_are_read_and_scored_as_ever(seed):
  dataset, said = draw(seed)
  (head,) = [h for h in heads_of(dataset) if h.name == 'labels']
  reader, calls = read(dataset, said, [head])
  rows = dataset.rows('validation')
  np.testing.assert_array_equal(reader.rows('validation'), rows)
  np.testing.assert_array_equal(reader.said('validation'), said['labels'][rows])
  np.testing.assert_array_equal(calls, [rows])
  report = summarise(dataset, reader)
  new = {'targets', 'challenge', 'clean', 'break_even', 'same_images'}
  assert not {*report} & new


def test_heads_of_another_data_set_are_told():
  dataset, said = draw(0)
  for changed, word in (
    (heads_lib.Head('pain', 'real', ('level',), ''), "'pain'.*has the targets"),
    (heads_lib.Head('expression', 'class', ('x', 'y'), ''), 'Neutral'),
  ):
    with pytest.raises(errors.UserError, match=word):
      read(dataset, said, [changed])
  other = targets_lib.of_codes(np.zeros(240, int), ('a', 'b'))
  dataset = dataset_lib.Dataset(
    *(dataset.labels, dataset.known, dataset.label_names, dataset.split),
    ids=dataset.ids,
    targets={'expression': other},
  )
  head = heads_lib.Head('expression', 'class', ('x', 'y'), '')
  with pytest.raises(errors.UserError, match='a, b'):
    read(dataset, said, [head])
