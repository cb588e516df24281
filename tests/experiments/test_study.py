"""A study: its cells, its lines, what they say, and that it goes on."""

import functools
import importlib.util
import io
import json
import pathlib

import cv2
import numpy as np
import pytest
from scipy import stats

from aubal_jax import settings
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.experiments.compare import adjusted
from aubal_jax.experiments.compare import averaged
from aubal_jax.experiments.study import answers
from aubal_jax.experiments.study import images
from aubal_jax.experiments.study import page
from aubal_jax.experiments.study import plan as plan_lib
from aubal_jax.experiments.study import results
from aubal_jax.experiments.study import sets
from aubal_jax.experiments.study import tables
from aubal_jax.runs import errors

ROOT = pathlib.Path(__file__).parents[2]


@functools.cache
def module_of(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_adjusted_is_the_posterior_of_the_other_prior():
  rng = np.random.default_rng(0)
  for _ in range(20):
    size = int(rng.integers(1, 5))
    density = rng.uniform(0.1, 3, (2, 50, size))  # Of x where absent, present.

    def posterior(prior, density=density):
      joint = prior * density[1]
      return joint / (joint + (1 - prior) * density[0])

    counts = rng.integers(1, 1000, (2, size)).astype(float)
    known = counts + rng.integers(1, 1000, (2, size))
    trained, there = (counts + 0.5) / (known + 1)
    added = adjusted.shift(*np.stack([counts, known], axis=-1))
    np.testing.assert_allclose(
      adjusted.probabilities(posterior(trained), added),
      posterior(there),
      rtol=1e-4,
    )


def test_ranks_stay_as_they_were():
  rng = np.random.default_rng(9)
  for _ in range(10):
    logits = np.sort(rng.uniform(-60, 15, 200))
    p = (1 / (1 + np.exp(-logits))).astype(np.float32)
    apart = np.diff(p) > 0
    added = rng.normal(0, 2, 1)
    for found in (averaged.mean(p, p), adjusted.probabilities(p, added)):
      assert (np.diff(found)[apart] > 0).all()


def test_cells_of_the_plan_are_told_apart():
  plan = module_of(ROOT / 'configs' / 'study.py').PLAN
  contrasts = [c for question in plan.questions for c in question.contrasts]
  cells = plan_lib.screening(plan) + plan_lib.confirmation(plan, contrasts)
  assert len({cell.name for cell in cells}) == len({*cells}) == len(cells)
  assert not {*plan.screening} & {*plan.confirmation}
  entries = {cell.entry for cell in cells}
  assert len({entry.name for entry in entries}) == len(entries)
  for question in plan.questions:
    for contrast in question.contrasts:
      assert contrast.primary in contrast.kinds
      assert {*contrast.kinds} <= {*plan_lib.KINDS, *plan_lib.TARGET_KINDS}
      alike = contrast.entry == contrast.reference
      same = all(a == b for a, b in contrast.kinds.items())
      assert not (alike and same and not contrast.view), contrast.says
      # What is held against each other has as many steps and rates to choose.
      if question.name not in ('short', 'recipe'):
        one, other = contrast.entry, contrast.reference
        assert one.rates == other.rates
        if isinstance(one, plan_lib.Training):
          shares = [dict(x.settings).get('keep.share') for x in (one, other)]
          assert one.pretrained == other.pretrained
          assert not {'train', 'model'} & {k[:5] for k, _ in one.settings}
        else:
          shares = one.share, other.share
          assert one.num_steps == other.num_steps
        assert shares[0] == shares[1]


def test_settings_of_images_are_settings():
  plan = module_of(ROOT / 'configs' / 'study.py').PLAN
  seen = set()
  for cell in plan_lib.screening(plan):
    if cell.data in images.SETS:
      config = images.make_config(cell, 'x.csv', rate=2.0, seed=3, start='')
      settings.check(config)
      usual = images.SETS[cell.data].settings['train.learning_rate']
      assert config.seed == 3 and config.train.learning_rate == 2 * usual
      seen.add(cell.data)
  assert seen == {*images.SETS}


def test_splits_that_were_drawn_apart_need_no_correction():
  rng = np.random.default_rng(5)
  plan = small_plan()
  cells = [c for c in plan_lib.screening(plan) if c.data == 'a']
  lines = {c.name: line(c, rng) | {'apart': True} for c in cells}
  (answer,) = answers.screened(plan, lines)['keep']
  mine, its = (
    lines[plan_lib.Cell('a', entry, plan_lib.Folds()).name]['scores']['']
    for entry in (ONE, OTHER)
  )
  paired = np.subtract(mine['f1']['all'], its['f1']['all'])
  half = stats.t.ppf(0.975, 3) * stats.sem(paired)
  assert answer.differences['f1']['all'].half == pytest.approx(half)


def test_several_targets_are_each_told():
  rng = np.random.default_rng(6)
  (question,) = small_plan().questions
  contrast = plan_lib.Contrast(
    *('joint', plan_lib.Training((('seed', 1),)), plan_lib.Training()),
    kinds={kind: kind for kind in plan_lib.TARGET_KINDS},
    primary='overall',
  )
  plan = small_plan()._replace(
    questions=[question._replace(contrasts=[contrast])]
  )
  lines = {}
  for cell in plan_lib.screening(plan):
    scores = {
      kind: {'all': rng.uniform(0.4, 0.6, 4).tolist()}
      for kind in plan_lib.TARGET_KINDS
    }
    lines[cell.name] = line(cell, rng) | {'scores': {'': scores}}
  (answer,) = answers.screened(plan, lines)['keep']
  told = page.sentence(answer, plan)
  for kind in plan_lib.TARGET_KINDS:
    found = answer.differences[kind]['all']
    assert f'{page.TITLES[kind]} {page.number(*found[:2])}' in told
  file = io.BytesIO()
  page.draw(plan, lines, file)
  assert file.getvalue().startswith(b'\x89PNG')


SMALL = {
  'data.num_train': 96,
  'data.num_validation': 48,
  'data.num_test': 64,
  'train.num_steps': 4,
  'train.eval_every_steps': 2,
  'data.image_size': 16,
}


def small_set(monkeypatch, name, **more):
  """Makes a set of images small; and what pretrains for it."""
  given = images.SETS[name]
  made = given._replace(settings=given.settings | SMALL | more)
  monkeypatch.setattr(images, 'SETS', {**images.SETS, name: made})
  few = images._PRETRAINS | {'data.num_train': 64, 'train.num_steps': 2}
  monkeypatch.setattr(images, '_PRETRAINS', few)


@pytest.mark.long
def test_a_cell_of_images_says_the_same_again(monkeypatch):
  small_set(monkeypatch, 'drawn_images')
  cell = plan_lib.Cell(
    'drawn_images',
    plan_lib.Training(
      (('balance.method', 'random'),), pretrained=True, rates=(1.0, 2.0)
    ),
    plan_lib.Folds(2, 1, 1),
  )
  found = sets.run(cell, sets.find('drawn_images', ''))
  assert found == sets.run(cell, '')
  assert json.loads(json.dumps(found)) == found
  assert found['apart'] and found['num_train'] == 96
  assert found['num_test'] == 64 and found['rows'] > 96
  for over in plan_lib.OVER:
    assert len(found['scores']['']['ap'][over]) == 2


@pytest.mark.parametrize('lost', [(), (1,), (1, 2)])
def test_a_rate_that_diverges_has_lost(monkeypatch, lost):
  def trial(config, path, repeat, fold, rate, given):
    place = {'seed': 0, 'repeat': repeat, 'fold': fold}
    if rate in lost:
      return images.rates_lib.diverged(0, fold, rate, 'nan') | place
    scores = dict.fromkeys(
      ('f1_macro', 'f1_macro_shrunk', 'f1_macro_tuned', 'map'), rate / 10
    )
    scores |= {f'ap_{part}': 0.5 for part in plan_lib.OVER[1:]}
    return place | {
      **{'rate': rate, 'tried': [[rate, rate / 10]], 'plan': {'rows': 9}},
      **{'num_train': 9, 'num_test': 5, 'frequency': [0.1, 0.2, 0.3]},
      **{'scores': scores, 'f1_per_label': [0.5] * 3},
      'f1_per_label_shrunk': [0.5] * 3,
    }

  monkeypatch.setattr(images, '_trial', trial)
  entry = plan_lib.Training(rates=(1, 2))
  cell = plan_lib.Cell('drawn_images', entry, plan_lib.Folds(3, 1, 1))
  if len(lost) == 2:
    with pytest.raises(FloatingPointError, match='diverged at every one'):
      images.run(cell, '')
    return
  found = images.run(cell, '')
  assert found['at_largest'] == (2 not in lost)
  assert found['scores']['']['ap']['all'] == [0.2] * 3


@pytest.mark.long
def test_a_cell_of_several_targets(monkeypatch):
  small_set(monkeypatch, 'drawn_tasks')
  plan = module_of(ROOT / 'configs' / 'study.py').PLAN
  (question,) = [q for q in plan.questions if q.name == 'tasks']
  for contrast in question.contrasts[:2]:
    cell = plan_lib.Cell('drawn_tasks', contrast.entry, plan_lib.Folds(1, 1, 1))
    found = sets.run(cell, '')['scores']['']
    assert {*found} == {*plan_lib.TARGET_KINDS}
    mean = np.mean([found[k]['all'][0] for k in plan_lib.TARGET_KINDS[:3]])
    assert found['overall']['all'][0] == pytest.approx(mean, abs=1e-5)


@pytest.mark.long
def test_images_of_a_table_are_tested_once_each(tmp_path, monkeypatch):
  drawn = synthetic.load(
    num_train=90, num_validation=0, num_test=0, seed=0, image_size=16
  )
  folder = tmp_path / 'ucmerced'
  folder.mkdir()
  pixels = drawn.load_images(np.arange(90))
  names = [f'{k}.png' for k in range(90)]
  for name, one in zip(names, pixels, strict=True):
    cv2.imwrite(str(folder / name), one)
  rows = [
    ','.join(['path', 'split', *drawn.label_names]),
    *(
      ','.join([name, 'train', *map(str, row)])
      for name, row in zip(names, drawn.labels, strict=True)
    ),
  ]
  (folder / 'manifest.csv').write_text('\n'.join(rows))
  small_set(monkeypatch, 'ucmerced', **{'data.num_folds': 3})
  entry = plan_lib.Training((('balance.method', 'none'),), rates=(1.0,))
  cell = plan_lib.Cell('ucmerced', entry, plan_lib.Folds(1, 3, 1))
  path = sets.find('ucmerced', f'/nowhere,{tmp_path}')
  found = sets.run(cell, path)
  assert 'apart' not in found and found['num_test'] == 30
  assert len(found['scores']['']['f1']['all']) == 3
  assert sets.find('ucmerced', '/nowhere') is None


def line(cell, rng, shift=0.0, views=('',)):
  """A line with scores of four splits."""
  scores = {
    view: {
      kind: {
        over: (rng.uniform(0.4, 0.6, 4) + shift).tolist()
        for over in plan_lib.OVER
      }
      for kind in plan_lib.KINDS
    }
    for view in views
  }
  return {'cell': cell.name, 'num_train': 60, 'num_test': 50, 'scores': scores}


ONE, OTHER = plan_lib.Entry('keep', share=0.5), plan_lib.Entry('none')


def small_plan(gain=0.01, **question):
  contrast = plan_lib.Contrast('keep', ONE, OTHER)
  asked = plan_lib.Question('keep', 'Does it?', [contrast], **question)
  return plan_lib.Plan([asked], ('a', 'b'), ('c',), gain, {})


def test_differences_are_those_of_nadeau_and_bengio():
  rng = np.random.default_rng(1)
  plan = small_plan()
  cells = plan_lib.screening(plan)
  assert [cell.data for cell in cells] == ['a', 'b', 'a', 'b']
  lines = {cell.name: line(cell, rng) for cell in cells}
  (answer,) = answers.screened(plan, lines)['keep']
  means, variances = [], []
  for data in ('a', 'b'):
    mine, its = (
      lines[plan_lib.Cell(data, entry, plan_lib.Folds()).name]['scores']['']
      for entry in (ONE, OTHER)
    )
    paired = np.subtract(mine['ap']['rare'], its['ap']['rare'])
    means.append(paired.mean())
    variances.append((1 / 4 + 50 / 60) * paired.var(ddof=1))
  found = answer.differences['ap']['rare']
  assert found.mean == pytest.approx(np.mean(means))
  assert found.num_above == sum(mean > 0 for mean in means)
  dof = sum(variances) ** 2 / sum(v**2 / 3 for v in variances)
  half = stats.t.ppf(0.975, dof) * np.sqrt(sum(variances)) / 2
  assert found.half == pytest.approx(half)


@pytest.mark.parametrize(
  ('shift', 'gain', 'words'),
  [
    (1.0, 0.01, 'a gain'),
    (-1.0, 0.01, 'a loss'),
    (1.0, 2.0, 'below what counts as a gain (2.000)'),
    (0.0, 0.01, 'not told from chance'),
  ],
)
def test_a_gain_is_sure_and_large_enough(shift, gain, words):
  rng = np.random.default_rng(2)
  plan = small_plan(gain)
  lines = {
    cell.name: line(cell, rng, shift * (cell.entry == ONE))
    for cell in plan_lib.screening(plan)
  }
  (answer,) = answers.screened(plan, lines)['keep']
  assert answer.gains == (words == 'a gain')
  told = page.sentence(answer, plan)
  assert told.endswith(f'**{words}**')
  chosen = answers.chosen(plan, lines)['keep']
  again = plan_lib.confirmation(plan, chosen)
  assert {cell.data for cell in again} == ({'c'} if answer.gains else set())
  (question,) = plan.questions
  silent = plan._replace(questions=[question._replace(confirms=False)])
  assert not answers.chosen(silent, lines)


def test_what_is_missing_is_said():
  plan = small_plan()
  rng = np.random.default_rng(3)
  cells = plan_lib.screening(plan)
  (answer,) = answers.screened(plan, {})['keep']
  assert page.sentence(answer, plan) == 'keep: **not run** (a, b)'
  lines = {c.name: line(c, rng) for c in cells if c.data == 'a'}
  (answer,) = answers.screened(plan, lines)['keep']
  assert '(not run: b)' in page.sentence(answer, plan)
  assert answer.primary.num_sets == 1


def test_lines_survive_a_kill(tmp_path):
  path = tmp_path / 'deep' / 'study.jsonl'
  assert results.read(path) == {}
  rng = np.random.default_rng(4)
  wanted = {}
  for k in range(12):
    made = {'cell': f'c{k}', 'scores': [float(rng.random())]}
    if path.exists() and rng.random() < 0.5:
      with open(path, 'ab') as file:  # As it was cut short.
        half = json.dumps(made)[: int(rng.integers(1, 20))]
        file.write(half.encode())
      assert results.read(path) == wanted
    results.append(path, made)
    wanted[made['cell']] = made
    assert results.read(path) == wanted
  with open(path, 'a') as file:
    file.write('{"cell": 1\n')
  with pytest.raises(errors.UserError, match='line 13'):
    results.read(path)


def test_how_far_lines_are_apart():
  rng = np.random.default_rng(7)
  (cell, *_) = plan_lib.screening(small_plan())
  for _ in range(20):
    one = line(cell, rng)
    other = json.loads(json.dumps(one))
    assert results.largest_difference(one, other) == 0
    kind, over = rng.choice(plan_lib.KINDS), rng.choice(plan_lib.OVER)
    off = float(rng.uniform(0.01, 0.5))
    other['scores'][''][kind][over][int(rng.integers(4))] += off
    assert results.largest_difference(one, other) == pytest.approx(off)
    del other['scores'][''][kind]
    assert results.largest_difference(one, other) == np.inf


def test_what_may_want_a_larger_rate_is_said():
  plan = small_plan()
  rng = np.random.default_rng(8)
  lines = {
    cell.name: line(cell, rng)
    | {'at_largest': 1.0 if cell.entry == ONE or cell.data == 'b' else 0.5}
    for cell in plan_lib.screening(plan)
  }
  (question,) = plan.questions
  assert answers.unconverged(plan, question, lines) == ('b',)
  content = page.write('x', plan, lines, config='c', picture='p')
  assert 'Not converged' in content and 'held against): b.' in content
  assert answers.unconverged(plan, question, {}) == ()
  alone = question._replace(
    contrasts=[
      contrast._replace(reference=OTHER._replace(rates=(1.0,)))
      for contrast in question.contrasts
    ]
  )
  assert answers.unconverged(plan, alone, lines) == ()


CONFIGS = (
  *(('none.py', 'is not there'), ('empty.py', 'no PLAN')),
  ('half.py', 'no get_config'),
)
PLAN = """
from aubal_jax import settings
from aubal_jax.experiments.study import plan

USUAL = {'num_steps': 8, 'rates': (1.0,)}
NONE = plan.Entry('none', **USUAL)
MORE = plan.Entry('random', fraction=0.25, **USUAL)
PLAN = plan.Plan(
  [
    plan.Question('more', 'More?', [
      plan.Contrast('random', MORE, NONE),
      plan.Contrast('adjusted', MORE, MORE, view='adjusted', primary='f1'),
      plan.Contrast('two', NONE, NONE, view='averaged'),
    ])
  ],
  ('mine', 'absent'), ('other',), -9.0, {'mine': plan.Folds(1, 2, 2)},
)


def get_config():
  return settings.default()
"""


def test_a_study_goes_on_and_says_the_same(tmp_path, capsys):
  script = module_of(ROOT / 'scripts' / 'study.py')
  table = synthetic.load_table(num_rows=90)
  np.savez(tmp_path / 'mine.npz', features=table.features, labels=table.labels)
  (tmp_path / 'plan.py').write_text(PLAN)
  path = tmp_path / 'study.jsonl'
  command = [
    *(f'--config={tmp_path / "plan.py"}', f'--data={tmp_path}'),
    f'--results={path}',
  ]
  assert script.main(command) == 0
  assert 'left out: absent' in capsys.readouterr().out
  whole, told = path.read_bytes(), (tmp_path / 'study.md').read_text()
  assert (tmp_path / 'study.png').read_bytes().startswith(b'\x89PNG')
  assert told.count('(not run: absent)') == 3
  lines = whole.splitlines(keepends=True)
  assert len(lines) == 2
  path.write_bytes(lines[0] + lines[1][:50])  # It was killed.
  assert script.main(command) == 0
  assert path.read_bytes() == whole
  assert (tmp_path / 'study.md').read_text() == told
  name = json.loads(lines[1])['cell']
  capsys.readouterr()
  assert script.main([*command, f'--cell={name}']) == 0
  assert 'It is the line that is kept.' in capsys.readouterr().out
  assert script.main([*command, '--cell=mine']) == 1
  assert "--cell='mine' is none of the plan" in capsys.readouterr().err
  assert str(tmp_path) not in told
  (tmp_path / 'empty.py').touch()
  (tmp_path / 'half.py').write_text('PLAN = None')
  assert script.main([*command, '--questions=more,less']) == 1
  assert "holds 'less', which is none of the plan: more" in (
    capsys.readouterr().err
  )
  for name, words in CONFIGS:
    assert script.main([f'--config={tmp_path / name}']) == 1
    assert words in capsys.readouterr().err


def test_the_page_is_what_the_results_say():
  config = ROOT / 'configs' / 'study.py'
  path = ROOT / 'docs' / 'study.jsonl'
  plan = module_of(config).PLAN
  contrasts = [c for question in plan.questions for c in question.contrasts]
  cells = plan_lib.screening(plan) + plan_lib.confirmation(plan, contrasts)
  assert {*results.read(path)} <= {cell.name for cell in cells}
  content = page.write(
    *(path.name, plan, results.read(path)),
    config='configs/study.py',
    picture='study.png',
  )
  told = 'run python scripts/study.py --config=configs/study.py --page'
  assert (ROOT / 'docs' / 'study.md').read_text() == content, told


@pytest.mark.long
def test_drawn_sets_are_frames_of_people_and_faces():
  frames = tables.load('drawn_frames', tables.find('drawn_frames', ''))
  assert len({*frames.groups}) == 24 and frames.features.shape == (5760, 400)
  at = frames.groups == frames.groups[0]
  there = frames.features[at][np.argsort(frames.frames[at])]
  apart = np.abs(np.diff(there, axis=0)).mean()
  far = np.abs(there - frames.features[~at][: len(there)]).mean()
  assert apart < far / 5  # Neighbours are near copies.
  assert tables.find('nowhere', '') is None
