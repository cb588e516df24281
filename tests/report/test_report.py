"""The page is whole, self-contained, safe and the same again."""

import base64
import html
import html.parser
import random
import re
import warnings

import cv2
import numpy as np
import pytest
from matplotlib import rcParams

from aubal_jax.report import html as html_lib
from aubal_jax.report import page as page_lib
from aubal_jax.report import plots
from aubal_jax.report import scores
from aubal_jax.report import style
from aubal_jax.scoring import course
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds as thresholds_lib
from aubal_jax.tables import plan as plan_lib

# Names that break what does not escape, or what typesets a $.
NASTY = ('<script>alert(1)</script>', 'a & "b" \'c\'', '$x_1$', 'Ärger 笑顔')
NAMES = ('AU01', 'AU02', *NASTY)
SECTIONS = (
  'Images that show each label',
  'Convergence of the balance',
  'Originals and what training sees of them',
  'Learning curves',
  'F1 of each label',
  'Labelsets',
)


class Page(html.parser.HTMLParser):
  """Collects tags, attributes and text; checks that elements nest."""

  VOID = frozenset({'meta', 'img', 'br', 'path', 'use', 'rect'})

  def __init__(self, source):
    super().__init__(convert_charrefs=True)
    self.tags, self.attributes, self.text, self._open = [], [], [], []
    self.feed(source)
    self.close()
    assert self._open == []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, name, value) for name, value in attrs]
    if tag not in self.VOID:
      self._open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, name, value) for name, value in attrs]

  def handle_endtag(self, tag):
    if tag not in self.VOID:
      assert self._open.pop() == tag

  def handle_data(self, data):
    self.text.append(data)

  def values(self, name):
    return [v for _, n, v in self.attributes if n == name]

  def whole_text(self):
    return ' '.join(''.join(self.text).split())


def arguments(names=NAMES):
  rng = np.random.default_rng(0)
  num = len(names)
  label = rng.random((80, num)) < np.linspace(0.1, 0.5, num)
  label[:, 1:2] = False
  before = rng.integers(5, 400, num).tolist()
  before[1:2] = [0] * len(before[1:2])
  after = [b + 40 if b else 0 for b in before]
  grown = {'labels': list(names[:2]), 'count': 4, 'count_after': 40}
  empty = {'labels': [], 'count': 9, 'count_after': 9, 'growth': 1.0}
  original = rng.integers(0, 256, (20, 24, 1), np.uint8)
  lines = []
  for step in (10, 20, 30):
    lines.append(
      {
        'step': step,
        'epoch': step / 10,
        'loss': 1 / step,
        'gradient_norm': 1.0,
        'learning_rate': 1e-4,
        'images_per_second': None if step == 10 else 41.0,
        'input_wait_fraction': 0.02,
      }
    )
    lines.append({'step': step, 'validation': {'f1_macro': step / 100}})
  return {
    'labelsets': {
      'images': 1000,
      'labelsets': 77,
      'label_names': list(names),
      'class_counts': before,
      'grown': [{**grown, 'growth': 10.0}, empty],
      'largest': [empty],
    },
    'plan': {'images': 1400, 'augmented': 400, 'class_counts': after},
    'solution': {
      'optimizer': 'adam',
      'num_steps': 200,
      'value_start': 900.0,
      'value': 600.0,
      'rounded_value': 601.0,
      'lower_bound': 599.99,
      'gap': 2.5e-6,
      'rounded_gap': 1.7e-3,
      'converged': True,
      'class_counts_after': list(after),
      'images_after': 1400,
      'trace': {
        'step': [0, 100, 200],
        'value': [900.0, 650.0, 600.0],
        'lower_bound': [None, 500.0, 599.99],
        'seconds': [0.0, 0.1, 0.2],
      },
    },
    'contact': [
      {
        'original': original,
        'augmented': [original[:, ::-1], np.repeat(original, 3, axis=2)],
        'labels': list(names[:3]),
        'name': 'a/<b>.png',
      }
    ],
    'metrics': lines,
    'report': {
      'step': 20,
      **summary.summarise(
        rng.random(label.shape),
        label,
        None,
        thresholds=thresholds_lib.Thresholds(
          np.full(num, 0.3), 0.6, np.arange(num) * 5
        ),
        label_names=names,
        num_resamples=20,
        num_dropped=2,
      ),
    },
    'settings': {'data.name': '<i>', 'seed': 0},
  }


def write(folder, **changes):
  path = folder / 'report.html'
  page_lib.write_page(path, page_lib.Content(**changes))
  return path.read_text(encoding='utf-8')


def test_page_is_self_contained(tmp_path):
  source = write(tmp_path, **arguments())
  assert 'http:' not in source and 'https:' not in source
  assert not re.search(r'url\((?!#)|@import', source)
  parsed = Page(source)
  assert not {'script', 'link', 'iframe', 'object'} & set(parsed.tags)
  assert len(parsed.values('src')) == 3
  assert all(
    v.startswith('data:image/png;base64,') for v in parsed.values('src')
  )
  ids = parsed.values('id')
  assert len(ids) == len(set(ids))
  inner = parsed.values('href')
  assert inner and all(v[0] == '#' and v[1:] in ids for v in inner)
  used = re.findall(r'url\(#([^)]*)\)', source)
  assert used and set(used) <= set(ids)
  policy = next(v for v in parsed.values('content') if 'default-src' in v)
  assert policy.startswith("default-src 'none'; img-src data:;")


def test_every_label_is_named_and_escaped(tmp_path):
  source = write(tmp_path, **arguments())
  parsed = Page(source)
  for name in NAMES:
    # Head of a row in the table of counts and in that of F1.
    assert source.count(f'<th scope="row">{html.escape(name)}</th>') == 2
  for name in NASTY[:2]:
    assert name not in source
    assert name in parsed.whole_text()
  assert 'a/<b>.png' not in source and 'a/<b>.png' in parsed.whole_text()
  # In the bars of the picture too, as they are, a $ being a $.
  assert 'Ärger 笑顔' in plots.class_counts(NAMES, [1] * 6, [2] * 6)
  assert '>$x_1$</text>' in plots.class_counts(NAMES, [1] * 6, [2] * 6)


def test_every_score_of_the_list_is_a_column(tmp_path):
  source = write(tmp_path, **arguments())
  heads = [
    re.findall('<th scope="col">(.*?)</th>', table)
    for table in re.findall('<thead>(.*?)</thead>', source)
  ]
  (of_labels,) = [head for head in heads if 'positives' in head]
  (together,) = [head for head in heads if 'F1 macro' in head]
  listed = [summary.scores_in('report.html', of_label=x) for x in (True, False)]
  assert {score.title for score in listed[0]} <= {*of_labels}
  assert together == ['', *(score.title for score in listed[1])]


def test_equal_arguments_give_equal_bytes(tmp_path):
  first = write(tmp_path, **arguments())
  assert first == write(tmp_path, **arguments())
  other = arguments()
  other['solution']['trace']['value'][1] = 640.0
  assert first != write(tmp_path, **other)


@pytest.mark.parametrize(
  ('given', 'there', 'tasks'),
  [
    ((), (), {'balance': 4, 'train': 1, 'evaluate': 1}),
    (
      ('labelsets', 'solution', 'plan'),
      (0, 1, 5),
      {'train': 1, 'evaluate': 1},
    ),
    (('labelsets', 'plan'), (0, 5), {'train': 1, 'evaluate': 1}),
    (('metrics',), (3,), {'balance': 4, 'evaluate': 1}),
    (('report',), (4,), {'balance': 4, 'train': 1}),
  ],
)
def test_missing_sections_say_which_task_makes_them(
  tmp_path, given, there, tasks
):
  everything = arguments()
  source = write(tmp_path, **{name: everything[name] for name in given})
  text = Page(source).whole_text()
  for title in SECTIONS:
    assert source.count(f'<h2>{title}</h2>') == 1
  for task in ('balance', 'train', 'evaluate'):
    count = text.count(f'(--config.task={task})')
    assert count == tasks.get(task, 0)
  filled = re.findall(
    r'<h2>([^<]*)</h2>\n<(?:figure|div|p class="soft">F)', source
  )
  assert filled == [SECTIONS[i] for i in there]


def test_summary_names_the_main_numbers(tmp_path):
  given = arguments()
  text = Page(write(tmp_path, **given)).whole_text()
  f1 = given['report']['f1_macro']
  floor = given['report']['floors']['all_positive']['f1_macro']
  assert 'Balancing added 400 images (+40 %)' in text
  assert 'to be below 0.001 % for this solution' in text  # 2.5e-6.
  assert 'and 0.2 % for the whole images made of it' in text  # 1.7e-3.
  assert 'below 0.001 %certified gap of the solution' in text  # In a tile.
  assert 'of the whole images: 0.2 %' in text
  assert f'F1 macro {f1:.3f}' in text
  assert f'yes to everything would score {floor:.3f}' in text
  assert 'AU02. F1 macro without them' in text  # It has no positive.
  assert 'Dropped by the reader, and counted nowhere: 2 images.' in text


@pytest.mark.parametrize(
  ('f1', 'interval', 'words'),
  [
    (0.2, [0.1, 0.4], 'no better than that floor'),
    (0.3, [0.2, 0.4], 'the interval still reaches down to one'),
    (0.5, [0.4, 0.6], 'so is the whole interval'),
    (0.5, None, 'it is above both floors.'),
  ],
)
def test_words_follow_from_the_scores_and_the_floor(f1, interval, words):
  given = arguments()['report']
  given['f1_macro'] = f1
  given['floors']['all_positive']['f1_macro'] = 0.25
  given['f1_macro_interval'] = interval
  assert words in scores.describe(given)


@pytest.mark.parametrize(
  ('gap', 'words'),
  [
    (-1e-9, '0 %'),
    (0.0, '0 %'),
    (1e-12, 'below 0.001 %'),
    (9.99e-6, 'below 0.001 %'),
    (2.34e-5, '0.003 %'),  # Up: it is a bound.
    (0.07, '7.0 %'),  # But not where there is nothing to round.
    (0.17, '17.0 %'),
  ],
)
def test_a_gap_has_few_digits_and_is_never_understated(gap, words):
  assert page_lib._gap(gap) == words


def learning(text):
  """Returns the learning curves of a page: the picture, and its caption."""
  found = re.search(
    r'<h2>Learning curves</h2>\n.*?(<svg.*?</svg>).*?<figcaption>(.*?)</figc',
    text,
    re.DOTALL,
  )
  return found.groups()


def test_a_floor_is_named_after_the_images_it_is_of(tmp_path):
  given = arguments()
  picture, _ = learning(write(tmp_path, **given))
  assert '>floor on test: all positive</text>' in picture
  given['report']['split'] = 'validation'
  picture, _ = learning(write(tmp_path, **given))
  assert '>floor: all positive</text>' in picture


@pytest.mark.parametrize(
  ('quality', 'best'),
  [
    ({4: 0.5, 6: 0.5, 8: 0.1}, 6),
    ({2: 0.6, 4: 0.5, 6: 0.5}, 2),
    ({2: np.nan, 4: 0.5, 6: np.nan}, 4),
  ],
)
def test_the_best_is_what_checkpoints_call_best(tmp_path, quality, best):
  from aubal_jax.network import checkpoint
  from tests.network.test_checkpoint import save_all

  with checkpoint.open_checkpoints(tmp_path / 'checkpoints') as checkpoints:
    save_all(checkpoints, quality)
    assert checkpoint.find_step(checkpoints, which='best') == best
  lines = [
    {'step': step, 'validation': {'f1_macro': f1}}
    for step, f1 in quality.items()
  ]
  _, caption = learning(write(tmp_path, metrics=lines))
  assert f'at step {best}.' in caption


def test_curves_without_a_point_are_named_and_not_drawn(tmp_path):
  lines = arguments()['metrics']
  training = [x for x in lines if 'loss' in x]
  validation = [x for x in lines if 'validation' in x]
  picture, caption = learning(write(tmp_path, metrics=validation))
  assert 'Training loss' not in picture and 'Validation F1' in picture
  assert picture.count('id="learning-axes_') == 1
  assert caption.startswith('No training loss was logged (see <code>train.log_')
  picture, caption = learning(write(tmp_path, metrics=training))
  assert 'Training loss' in picture and 'Validation F1' not in picture
  assert picture.count('id="learning-axes_') == 1
  assert caption.endswith(', no validation was logged.')
  picture, _ = learning(write(tmp_path, metrics=lines))
  assert 'Training loss' in picture and 'Validation F1' in picture
  source = write(tmp_path, metrics=[{'step': 3}])
  assert 'Neither a training loss nor a validation was logged.' in source
  with pytest.raises(ValueError, match='must have a point to draw'):
    plots.learning([], [])


@pytest.mark.parametrize('seed', range(6))
def test_the_page_says_where_training_looks_short_of_its_rate(tmp_path, seed):
  rng = np.random.default_rng(seed)
  losses, scores_seen = rng.random(20), np.sort(rng.random(4))
  if seed % 2:  # The best look is the first, and the loss hardly falls.
    losses, scores_seen = 1 - 1e-3 * np.sort(losses), scores_seen[::-1]
  lines = [{'step': i, 'loss': float(x)} for i, x in enumerate(losses, 1)] + [
    {'step': 5 * i, 'validation': {'f1_macro': float(x)}}
    for i, x in enumerate(scores_seen, 1)
  ]
  reason = course.seems_short(lines)
  assert bool(reason) != seed % 2
  source = write(tmp_path, metrics=lines)
  text = Page(source).whole_text()
  assert ('short of its rate' in text) == bool(reason)
  assert reason in text


def test_a_curve_of_one_point_is_a_number(tmp_path):
  rng = random.Random(0)
  for _ in range(12):
    sizes = rng.choice(((1, 0), (0, 1), (1, 1), (1, 3), (3, 1), (2, 2)))
    losses, f1s = (
      [round(rng.uniform(0, 1), 3) for _ in range(n)] for n in sizes
    )
    lines = [{'step': 10 * k, 'loss': x} for k, x in enumerate(losses, 1)]
    lines += [
      {'step': 1000 * k, 'validation': {'f1_macro': x}}
      for k, x in enumerate(f1s, 1)
    ]
    source = write(tmp_path, metrics=lines)
    source = source[source.index('<h2>Learning curves') :]
    source = source.split('<h2>')[1]
    numbers = re.findall('<b>(.*?)</b><span>(.*?)</span>', source)
    told = [(f'{x[0]:.3f}', name) for x, name in (
      (losses, 'training loss at step 10, logged once'),
      (f1s, 'validation F1 macro at step 1,000, measured once'),
    ) if len(x) == 1]  # fmt: skip
    assert numbers == told
    assert source.count('id="learning-axes_') == sum(n > 1 for n in sizes)
    assert ('<svg' in source) == (max(sizes) > 1)


@pytest.mark.parametrize('num_bounds', [1, 2])
def test_what_converged_at_once_is_a_number(tmp_path, num_bounds):
  given = arguments()
  trace = given['solution']['trace']
  bounds = [None] * (len(trace['step']) - num_bounds)
  bounds += trace['lower_bound'][-num_bounds:]
  given['solution']['trace'] = trace | {'lower_bound': bounds}
  source = write(tmp_path, **given)
  assert source.count('id="convergence-axes_') == num_bounds
  given['solution']['trace'] = {k: v[-1:] for k, v in trace.items()}
  source = write(tmp_path, **given)
  assert 'id="convergence-' not in source
  value = html_lib.value(given['solution']['value'])
  assert f'<b>{value}</b><span>objective, known once</span>' in source


def test_what_was_not_added_is_not_counted_as_added(tmp_path):
  given = arguments()
  before = given['labelsets']['class_counts']
  same = {'images': 1000, 'augmented': 0, 'class_counts': list(before)}
  text = write(tmp_path, labelsets=given['labelsets'], plan=same)
  assert 'Nothing was added or left out.' in text
  assert '+0' not in text and '<b>1,000</b><span>training images<' in text
  assert 'Nothing was' not in write(tmp_path, labelsets=given['labelsets'])
  same['class_counts'][0] += 1
  text = write(tmp_path, labelsets=given['labelsets'], plan=same)
  assert 'Nothing' not in text and 'kept the number of images;' in text
  same['images'] = 900
  text = write(tmp_path, labelsets=given['labelsets'], plan=same)
  assert 'Balancing left out 100 images (-10 %);' in text


def test_one_is_singular(tmp_path):
  given = arguments(('a',))
  given['labelsets'] |= {
    'images': 1,
    'labelsets': 1,
    'class_counts': [1],
    'grown': [{'labels': ['a'], 'count': 1, 'count_after': 2, 'growth': 2.0}],
  }
  given['plan'] = {'images': 2, 'augmented': 1, 'class_counts': [2]}
  given['solution']['num_steps'] = 1
  given['metrics'] = [{'step': 1, 'loss': 0.5}]
  given['report'] |= {'num_images': 1, 'num_images_dropped': 1}
  text = Page(write(tmp_path, **given)).whole_text()
  assert '1 training image shows 1 label in 1 combination. Balanc' in text
  assert 'Balancing added 1 image (+100 %)' in text
  assert '+1image by balancing' in text
  assert 'The 1 combination that gained most images' in text
  assert 'On 1 test image the network' in text
  nouns = 'images|labels|combinations|steps|groups|samples'
  assert not re.search(rf'\b1 (training |test )?({nouns})\b', text)


def test_a_label_without_a_positive_has_no_interval_and_no_verdict(tmp_path):
  given = arguments()['report']
  assert given['per_label']['AU02']['f1_interval'] == [0, 0]
  source = write(tmp_path, report=given)
  rows = dict(re.findall(r'<tr><th scope="row">(AU0\d)</th>(.*?)</tr>', source))
  cells = {k: re.findall(r'<td>(.*?)</td>', v) for k, v in rows.items()}
  assert cells['AU02'][2] == html_lib.NONE and 'range' not in rows['AU02']
  assert ' to ' in cells['AU01'][2] and 'range' in rows['AU01']
  label = np.zeros((9, 2), bool)
  given = summary.summarise(
    np.full((9, 2), 0.1),
    label,
    None,
    thresholds=thresholds_lib.Thresholds(np.full(2, 0.5)),
    label_names=['a', 'b'],
    num_resamples=5,
  )
  text = Page(write(tmp_path, report=given)).whole_text()
  assert 'no label has a positive among them' in text
  assert 'no better than' not in text and 'interval 0.000' not in text
  assert '0.000 to 0.000' not in text


def test_positives_behind_thresholds_are_told_and_few_are_marked(tmp_path):
  given = arguments()['report']
  source = write(tmp_path, report=given)
  rows = dict(re.findall(r'<tr><th scope="row">(AU0\d)</th>(.*?)</tr>', source))
  cells = {k: re.findall(r'<td>(.*?)</td>', v) for k, v in rows.items()}
  heads = re.findall(r'<th scope="col">(.*?)</th>', source)
  start = heads.index('positives', heads.index('label'))
  place = heads.index('positives behind') - start
  assert [cells[f'AU0{i}'][place] for i in (1, 2)] == ['0&nbsp;*', '5&nbsp;*']
  behind = [e['threshold_positives'] for e in given['per_label'].values()]
  text = Page(source).whole_text()
  few = sum(n < 10 for n in behind)
  assert 0 < few < len(behind)
  assert f'of {few} labels, of which the tuned one is mostly chance' in text
  for kind in ('shrunk', 'tuned'):
    assert f'{given[kind]["f1_macro"]:.3f} with {kind} thresholds' in text


@pytest.mark.parametrize('cross_fitted', [False, True])
def test_reports_of_before_there_were_shrunk_thresholds_are_drawn(
  tmp_path, cross_fitted
):
  given = arguments()['report'] | {'cross_fitted': cross_fitted}
  for entry in (given, given['pooled'], *given['per_label'].values()):
    for name in ('shrunk', 'threshold_of_all', 'threshold_positives'):
      entry.pop(name, None)
  text = Page(write(tmp_path, report=given)).whole_text()
  assert 'hrunk' not in text and 'positives behind' not in text
  assert f'{given["tuned"]["f1_macro"]:.3f} with tuned thresholds' in text
  assert ('cross-fitted' in text) == cross_fitted


def test_drawing_says_nothing_whatever_the_fonts_lack(
  monkeypatch, capfd, caplog
):
  """Names in scripts no font here has; a wide font is used where there is."""
  used, names = [], ('笑顔', 'नमस्ते', 'שלום', '\U0001f600', '\x07')
  monkeypatch.setattr(style, '_WIDE_FONTS', ('No such font', 'STIXGeneral'))
  style._families.cache_clear()
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error')
      picture = plots.class_counts(names, [1] * 5, [2] * 5)
      style.draw(lambda *_: used.extend(rcParams['font.family']), height=1)
  finally:
    style._families.cache_clear()
  assert used == ['DejaVu Sans', 'STIXGeneral', 'sans-serif']
  # The page has its own fonts, of one name or of several.
  assert 'STIX' not in picture and 'DejaVu' not in picture
  assert set(re.findall(r'font-family: ([^;"]*)', picture)) == {'var(--font)'}
  assert '>笑顔</text>' in picture
  assert capfd.readouterr().err == '' and not caplog.records


def test_a_random_plan_is_not_called_the_solution(tmp_path):
  given = arguments()
  assert 'as a control' not in write(tmp_path, **given)
  given['plan']['class_counts'][0] += 1
  assert 'as a control' in write(tmp_path, **given)


def test_class_counts_are_those_of_the_plan(tmp_path):
  names = ('a', 'b')
  given = arguments(names)
  given['labelsets']['class_counts'] = [300, 100]
  given['plan']['class_counts'] = [300, 150]
  source = write(tmp_path, labelsets=given['labelsets'], plan=given['plan'])
  rows = re.findall(r'<tr><th scope="row">b</th>(.*?)</tr>', source)
  cells = [html.unescape(x) for x in re.findall(r'<td>([^<]*)', rows[0])]
  # IRLbl 300 / 100 and 300 / 150; MeanIR (1 + 3) / 2 and (1 + 2) / 2.
  assert cells[:5] == ['100', '150', '\u00d7 1.50', '3.00', '2.00']
  assert '2.00 → 1.50' in source


def test_describe_plan_counts_rows():
  labels = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)
  plan = plan_lib.Plan(
    source=np.array([0, 2, 2, 1, 2]),
    augment=np.array([0, 0, 1, 0, 1], bool),
    partner=np.full(5, -1),
    label_names=('a', 'b'),
    labels=None,
  )
  assert page_lib.describe_plan(plan, labels) == {
    'images': 5,
    'augmented': 2,
    'class_counts': [4, 4],
  }


def test_eighty_labels_are_all_drawn(tmp_path):
  names = tuple(f'label {i}' for i in range(80))
  source = write(tmp_path, **arguments(names))
  heights = [
    float(h) for h in re.findall(r'<svg [^>]*height="([\d.]+)pt"', source)
  ]
  assert max(heights) > 80 * 18  # Points; a row can still be read.
  for name in names:
    assert re.search(f'<text [^>]*>{name}</text>', source)
  assert '<details><summary>As a picture' in source


def test_images_survive_and_are_described(tmp_path):
  given = arguments()
  given['contact'][0]['original'][:] = 77
  colour = np.zeros((4, 6, 3), np.uint8)
  colour[:, :, 0] = 200  # Red.
  given['contact'][0]['augmented'] = [colour]
  parsed = Page(write(tmp_path, **given))
  first, second = (
    cv2.imdecode(
      np.frombuffer(base64.b64decode(v.split(',')[1]), np.uint8),
      cv2.IMREAD_COLOR_RGB,
    )
    for v in parsed.values('src')
  )
  assert first.shape == (20, 24, 3) and np.all(first == 77)
  np.testing.assert_array_equal(second, colour)
  assert parsed.values('alt')[0] == f'Original: AU01, AU02, {NASTY[0]}'
  labels = parsed.values('aria-label')
  assert len(labels) == 3 and all(len(x) > 40 for x in labels)
  assert html_lib.image(np.zeros((400, 200, 1), np.uint8), alt='').count(
    'width="80" height="160"'
  )
  with pytest.raises(ValueError, match=r'must be uint8.*float64\[4, 4\]'):
    html_lib.image(np.zeros((4, 4)), alt='')


def test_a_failed_page_leaves_the_old_one(tmp_path):
  old = write(tmp_path, **arguments())
  broken = arguments()
  broken['contact'][0]['original'] = np.zeros((4, 4))
  with pytest.raises(ValueError, match='pixels must be uint8'):
    write(tmp_path, **broken)
  assert (tmp_path / 'report.html').read_text(encoding='utf-8') == old
