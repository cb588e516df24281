"""compare.html and the printed tables: whole, safe, honest in words."""

import copy
import csv
import json
import random
import re

import pytest

from aubal_jax import settings
from aubal_jax.experiments.compare import answer
from aubal_jax.experiments.compare import comparison
from aubal_jax.experiments.compare import conclusions
from aubal_jax.experiments.compare import headline
from aubal_jax.experiments.compare import page as page_lib
from aubal_jax.experiments.compare import rare
from aubal_jax.experiments.compare import sections
from aubal_jax.experiments.compare import thirds
from aubal_jax.experiments.compare import trials
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html
from tests.makers import comparison_results
from tests.makers import small_runs
from tests.makers.comparison_results import result
from tests.report.test_report import NASTY
from tests.report.test_report import Page

SECTIONS = (
  'Scores',
  'Ranks over data sets',
  'Against plain training and random rows',
  'Step by step',
  'What tuned thresholds leave',
  'At an equal number of rows',
  'F1 macro on each data set',
  'Rare and frequent labels',
  'Imbalance, rows and seconds',
)


def failed(row):
  return {k: v for k, v in row.items() if k != 'trials'} | {
    'status': 'failed: ValueError: no <minority>'
  }


@pytest.fixture(name='tables', scope='module')
def fixture_tables():
  rows = [r for r in comparison_results.tables() if r['model'] == 'mlp']
  rows.append(failed(result(method='mlsol', model='mlp')))
  return comparison.make_record(rows)


@pytest.fixture(name='crossed', scope='module')
def fixture_crossed():
  return comparison.make_record(comparison_results.crossed())


def write(record, path):
  page_lib.write_page(path / 'compare.html', record)
  return (path / 'compare.html').read_text(encoding='utf-8')


@pytest.fixture(name='source', scope='module')
def fixture_source(tables, tmp_path_factory):
  return write(tables, tmp_path_factory.mktemp('page'))


def words_of(record):
  answers = conclusions.conclude(record)
  return [x for a in answers for x in a.can], [
    x for a in answers for x in a.cannot
  ]


def test_the_page_is_whole_and_asks_for_nothing(tables, source):
  page = Page(source)
  assert [*re.findall('<h2>(.*?)</h2>', source)] == [
    *SECTIONS,
    'Cells that failed',
    'How to read this',
  ]
  for words in (*words_of(tables)[0], *words_of(tables)[1]):
    assert words in page.whole_text()
  assert 'no <minority>' in page.whole_text()
  assert not [v for v in page.values('src') if not v.startswith('data:')]
  assert not re.search(r'https?://|@import|url\((?!#)', source)
  ids = page.values('id')
  assert len({*ids}) == len(ids)
  assert source.count('<svg') == 5  # Two of ranks, steps, dots, labels.


def rows_of(source):
  """Returns method -> cells, HTML, of the first table of a page."""
  body = re.search('<tbody>(.*?)</tbody>', source, re.DOTALL)[1]
  rows = re.findall('<tr><th scope="row">(.*?)</th>(.*?)</tr>', body)
  return {name: re.findall('<td.*?>(.*?)</td>', cells) for name, cells in rows}


def test_the_answer_is_a_table_before_any_paragraph(tables, source):
  first = source[: source.index('<h2>Scores')]
  table, rest = first.split('</table>')
  # What helped, and what was compared.
  assert table.count('<p') == table.count('</p>') == 2
  assert html.text(headline.sentence(tables)) in table
  assert next(iter(rows_of(table))) == 'aubal:relative'
  assert len(rows_of(table)) == len(comparison_results.METHODS)
  assert rest.index('<p>By F1 macro at tuned') < rest.index('<details>')
  assert [f'<p>{x}</p>' for x in answer.sentences(tables)] == re.findall(
    '<p>.*?</p>', rest
  )


def drawn_rows(rng):
  """Returns results of a few methods whose gains are drawn."""
  methods = ['none', 'random', 'a', 'b', 'few_rus'][: rng.choice((2, 4, 5))]
  data = ['emotions', 'birds'][: rng.choice((1, 2))]
  num_splits, seeds = rng.choice(((1, 1), (2, 2), (5, 1)))
  gains = {m: rng.choice((-0.2, 0.0, 0.01, 0.2)) for m in methods[1:]}
  return [
    result(
      d, m, gain=rng.choice((0.0, 0.1)), tuned=gains.get(m, 0.0),
      num_splits=num_splits, seeds=seeds, num_labels=3,
    )
    for d in data
    for m in methods
  ]  # fmt: skip


def test_each_row_of_the_answer_is_what_the_tests_say():
  rng, seen = random.Random(0), set()
  words = {
    verdicts.ABOVE: ('better', '▲'),
    verdicts.BELOW: ('worse', '▼'),
    verdicts.NOT_TOLD: ('no more than chance', '≈'),
  }
  for _ in range(25):
    record = comparison.make_record(drawn_rows(rng))
    (context,) = record['statistics']['contexts']
    where = verdicts.whole(context)
    rows = rows_of(answer.table(context))
    assert {*rows} == {*context['entries']}
    means = [float(cells[1].split()[-1]) for cells in rows.values()]
    assert means == sorted(means, reverse=True)
    assert 'plain training' in rows['none'][0]
    for t in verdicts.tests_of(context, where, 'f1_macro_tuned', 'none'):
      cells = rows[t['entry']]
      if t['p_holm'] is None:
        assert 'not tested' in cells[0]
        continue
      side = verdicts.verdict(t)
      seen.add(side)
      assert all(word in cells[0] for word in words[side])
      assert (words[side][1] in cells[1]) == (side != verdicts.NOT_TOLD)
      assert cells[5].removeprefix('<b>').startswith(f'{t["difference"]:+z.3f}')
    half, tuned = len(answer.sentences(record)), verdicts.decisive(context)
    assert 1 <= half <= 3 and tuned == 'f1_macro_tuned'
  assert seen == {*words}


def test_the_headline_is_what_the_tests_say():
  rng, seen = random.Random(1), set()
  for _ in range(25):
    record = comparison.make_record(drawn_rows(rng))
    (context,) = record['statistics']['contexts']
    words = headline.sentence(record)
    tests = [
      t
      for t in verdicts.tests_of(
        context, verdicts.whole(context), 'f1_macro_tuned', 'none'
      )
      if t['p_holm'] is not None
    ]
    better = verdicts.told(tests).get(verdicts.ABOVE, [])
    if not tests:
      seen.add('untested')
      assert words.startswith('Whether anything helped is not known: there is')
    elif better:
      seen.add('better')
      best = better[0]
      assert words.startswith(
        f'{best["entry"]} helped here: F1 macro at tuned thresholds '
        f'{best["difference"]:+.3f} ±{best["half_width"]:.3f} over plain'
      )
      assert verdicts.p_words(best['p_holm']) in words
      for test in better[1:]:
        assert test['entry'] in words.partition('; so did ')[2]
    else:
      seen.add('nothing')
      num = f'none of {len(tests)} methods is'
      if len(tests) == 1:
        num = f'{tests[0]["entry"]} is no'
      assert words.startswith(f'Nothing helped here: {num} better than plain')
      for test in tests:
        worse = verdicts.verdict(test) == verdicts.BELOW
        told = re.findall(r'\w+', words.partition('; worse ')[2])
        assert (test['entry'] in told) == worse
  assert seen == {'untested', 'better', 'nothing'}


def test_a_gain_that_random_rows_have_as_well_is_said_to_be_so():
  for gain, words in (
    (0.3, ', and over as many random rows'),
    (0.1, ', but it is not told from as many random rows'),
    (0.05, ', but as many random rows are better'),
  ):
    rows = [
      result(method=method, tuned=tuned)
      for method, tuned in (('none', 0.0), ('random', 0.1), ('a', gain))
    ]
    context = comparison.make_record(rows)['statistics']['contexts'][0]
    assert headline._beside_random(context, 'f1_macro_tuned', 'a') == words


def test_training_that_is_short_is_said_first(tmp_path):
  rng = random.Random(0)
  for _ in range(20):
    rows = [result(method=method) for method in ('none', 'random', 'a')]
    num = len(rows[0]['trials'])
    large, last = rng.randrange(num + 1), rng.randrange(num + 1)
    for k, trial in enumerate(rows[0]['trials']):
      trial['rate'] = 4.0 if k < large else 1.0
      trial['best_last'] = k < last
    for trial in rows[1]['trials']:  # Others have no say.
      trial |= {'rate': 4.0, 'best_last': True}
    record = comparison.make_record(rows)
    words = headline.sentence(record)
    short = [2 * large > num, 2 * last > num]
    assert words.startswith('Not converged: ') == any(short)
    assert (f'4 times the usual) in {large} of {num} trials' in words) == short[
      0
    ]
    assert (f'is its last in {last} of {num} trials' in words) == short[1]
    (context,) = record['statistics']['contexts']
    cells = rows_of(answer.table(context))
    assert cells['none'][-1] == f'{100 * large / num:.0f} %'
    assert cells['random'][-1] == '100 %'
    told = sections.imbalance(context)
    for count, rate in ((num - large, 1), (large, 4)):
      told_of = f'{count} <small>&times;{rate}</small>'
      assert (told_of in rows_of(told)['none'][-1]) == bool(count)
  with small_runs.without_pictures():
    source = write(record, tmp_path)
  first = re.search('<p.*?>(.*?)</p>', source)[1]
  assert first == html.text(words)
  assert ' '.join(page_lib.lines(record)).endswith(words)
  # One rate alone tells nothing of another.
  for trial in rows[0]['trials']:
    trial |= {'rate': 4.0, 'tried': [[4.0, 0.5]], 'best_last': False}
  assert 'Not conv' not in headline.sentence(comparison.make_record(rows))


def test_a_first_sentence_of_several_tables_names_where():
  rows = [
    result(method=method, model=model, tuned=tuned * (model == 'mlp'))
    for model in ('logistic', 'mlp')
    for method, tuned in (('none', 0.0), ('a', 0.2))
  ]
  words = headline.sentence(comparison.make_record(rows))
  assert words.startswith('a helped here (mlp): F1 macro at tuned')
  assert words.endswith('; in 1 of 2 tables.')
  for trial in rows[2]['trials']:
    trial['rate'] = 4.0
  words = headline.sentence(comparison.make_record(rows))
  assert words.startswith('Not converged: plain training (mlp) is best at')


def test_better_than_none_alone_is_not_better_than_random_rows():
  for control in ('random', 'keep_random'):
    for gain, word in ((0.3, 'better</span>'), (0.1, 'as random rows may be')):
      rows = [
        result(method=method, tuned=tuned)
        for method, tuned in (('none', 0.0), (control, 0.1), ('a', gain))
      ]
      (context,) = comparison.make_record(rows)['statistics']['contexts']
      table = answer.table(context)
      assert word in rows_of(table)['a'][0]
      assert f'>less {control}</th>' in table


def test_the_sentences_name_who_is_told_apart(tables, crossed):
  first, thresholds, limits = answer.sentences(tables)
  assert first == (
    'By F1 macro at tuned thresholds: aubal:relative is better than plain '
    'training, lp_rus is worse than plain training; aubal:relative is better '
    'than as many random rows.'
  )
  assert 'at .5, 9 % is left' in thresholds
  assert 'smaller than about ±0.00' in limits and '3 data sets' in limits
  first, augmented, _ = answer.sentences(crossed)
  assert 'in each of the 3 tables: none of 8 methods is better' in first
  assert augmented.startswith('Augmenting rows, F1 macro at tuned thresholds')


def test_what_is_bold_is_what_the_test_says(source):
  table = source[source.index('<h2>Scores') :]
  table = table[: table.index('</table>')]
  rows = dict(re.findall('<tr><th scope="row">(.*?)</th>(.*?)</tr>', table))
  assert rows['none'].count('<b>') == 0
  assert rows['aubal:relative'].count('<b>') == len(trials.SCORES)
  assert rows['aubal:relative'].count('<u>') == 8
  assert rows['calibration'].startswith('<td><b><u>')
  assert rows['lp_rus'].count('class="soft"') == len(trials.SCORES)


def test_every_score_of_the_list_is_a_column(source):
  table = source[source.index('<h2>Scores') :]
  head = re.search('<thead>(.*?)</thead>', table)[1]
  columns = re.findall('<th scope="col">(.*?)</th>', head)
  assert columns == ['', *trials.SCORES.values()]


def test_what_is_not_augmented_alike_is_said():
  rng = random.Random(0)
  for _ in range(6):
    kinds = rng.sample(('none', 'added', 'all'), rng.choice((1, 2, 3)))
    rows = [
      result(method=m, kind='images', augment_rows=rows, tuned=0.1 * (m == 'a'))
      for rows in kinds
      for m in ('none', 'a')
    ]
    record = comparison.make_record(rows)
    text = page_lib._lead(record)
    for said in (text, ' '.join(page_lib.lines(record))):
      assert ('may be augmentation, not' in said) == ('added' in kinds)
    bare = 'plain training, which has no image augmented (p' in text
    assert bare == ('a helped here (augmented rows: added)' in text) or (
      kinds == ['added']
    )


def test_default_methods_are_augmented_alike():
  assert settings.default().compare.augment_rows == ('all',)


def test_two_seeds_averaged_are_a_row_that_changes_no_other():
  rng = random.Random(0)
  for gain in (0.0, 0.2, -0.2):
    rows = [
      result(data, m, tuned=tuned, num_labels=3)
      for data in ('emotions', 'birds')
      for m in ('none', 'random', 'a', 'b')
      for tuned in ((m != 'none') * rng.choice((-0.1, 0.0, 0.05)),)
    ]
    more = copy.deepcopy(rows)
    for row in more:
      if row['method'] == 'none':
        own = result(row['data'], 'none', tuned=gain, num_labels=3)['trials']
        row['averaged'] = [t | {'rate': None} for t in own]
    bare, record = map(comparison.make_record, (rows, more))
    (before,), (after,) = (r['statistics']['contexts'] for r in (bare, record))
    assert after['entries'] == [*before['entries'], verdicts.AVERAGED]
    for key in ('tests', 'shares'):
      kept = [x for x in after[key] if x['entry'] != verdicts.AVERAGED]
      assert kept == before[key]
    for key in ('pairs', 'ranks'):
      assert after[key] == before[key]
    cells = rows_of(answer.table(after))[verdicts.AVERAGED]
    side = ('no more than chance', 'better', 'worse')[
      (gain > 0) + 2 * (gain < 0)
    ]
    assert side in cells[0] and cells[-2].startswith('twice ')
    assert cells[-1] == html.NONE
    assert '>4 methods on ' in page_lib._lead(record)
    words = headline.sentence(record)
    assert words.startswith(headline.sentence(bare).removesuffix('.'))
    told = '; two seeds of plain training averaged, at double compute: +0.'
    assert (told in words) == (gain > 0)
    assert answer.sentences(record)[0] == answer.sentences(bare)[0]


def test_curves_are_differences_of_matching_trials_by_step():
  rng = random.Random(0)
  for seeds, num_splits in ((2, 3), (3, 1), (1, 1)):
    rows = [
      result(data, m, seeds=seeds, num_splits=num_splits, num_labels=3)
      for data in ('emotions', 'birds')
      for m in ('none', 'a', 'b')
    ]
    for row in rows:
      for trial in row['trials']:
        steps = (10, 20, 30) if row['method'] != 'b' else (5, 20, 30)
        trial['course'] = [[step, rng.random()] for step in steps]
        if row['method'] == 'b':
          trial['course'][-1][1] = None  # No positive to validate on.
    record = comparison.make_record(rows)
    (context,) = record['statistics']['contexts']
    found = {(x['entry'], x['step']): x for x in context['curves']}
    assert [*found] == [('a', 10), ('a', 20), ('a', 30), ('b', 20)]
    for (entry, step), one in found.items():
      means = []
      for data in ('emotions', 'birds'):
        mine, theirs = (
          [
            dict(map(tuple, t['course']))[step]
            for row in rows
            if (row['data'], row['method']) == (data, m)
            for t in row['trials']
          ]
          for m in (entry, 'none')
        )
        means.append((sum(mine) - sum(theirs)) / len(mine))
      assert one['difference'] == pytest.approx(sum(means) / 2)
      assert (one['half_width'] is None) == (seeds * num_splits == 1)
    text = page_lib._curves(context, f'{seeds}-{num_splits}')
    told = f'At the last step: a {found["a", 30]["difference"]:+.3f}; b '
    assert told in text
    for row in rows:
      for trial in row['trials']:
        del trial['course']
    (context,) = comparison.make_record(rows)['statistics']['contexts']
    assert page_lib._curves(context, '') == ''


def test_each_share_kept_is_a_row():
  rng, seen = random.Random(0), set()
  for _ in range(6):
    shares = rng.sample((0.1, 0.25, 0.5), rng.choice((1, 2, 3)))
    gains = {share: rng.choice((0.0, 0.2)) for share in shares}
    rows = [result(method=m, num_labels=3) for m in ('none', 'loss:focal')]
    rows += [
      result(
        method=m, num_labels=3, share=share, fraction=None,
        tuned=-0.3 + gains[share] * (m == 'keep'), rows=round(300 * share),
      )
      for share in shares
      for m in ('keep_random', 'keep')
    ]  # fmt: skip
    record = comparison.make_record(rows)
    contexts = record['statistics']['contexts']
    (whole,) = verdicts.by_share(contexts)
    found = rows_of(answer.table(whole))
    named = {'none', 'loss:focal'} | {
      f'{m}, share {share:g}' if len(shares) > 1 else m
      for m in ('keep_random', 'keep')
      for share in shares
    }
    assert {*found} == named
    assert answer.table(whole).count('<tr>') == len(named) + 1
    for context in contexts:
      name = 'keep'
      if len(shares) > 1:
        name += f', share {context["share"]:g}'
      for reference, cell in (('none', -4), ('keep_random', -3)):
        (test,) = [
          t
          for t in verdicts.tests_of(
            context, 'emotions', 'f1_macro_tuned', reference
          )
          if t['entry'] == 'keep'
        ]
        assert f'{test["difference"]:+z.3f}' in found[name][cell]
      assert found[name][-2].startswith(f'{300 * context["share"]:.0f} ')
    words = headline.sentence(record)
    best = max(shares, key=gains.get)
    better = gains[best] > 0
    seen.add(better)
    assert words.startswith('Nothing helped here: loss:focal is no better')
    assert 'worse' not in words
    told = (
      f'; of as many rows kept, keep (share {best:g}) is better than at random'
    )
    alone = sum(gain > 0 for gain in gains.values()) == 1
    assert (told in words) == better or not alone
    assert ('no choice is told to be better' in words) != better
    assert html.text(words) in page_lib._lead(record)
  assert seen == {True, False}


def test_thirds_of_the_labels_are_in_the_tables(tmp_path):
  rng = random.Random(0)
  for num_labels in (6, 2, 3):
    rows = [
      result(
        method=m, tuned=rng.choice((-0.1, 0.0, 0.2)), num_labels=num_labels
      )
      for m in ('none', 'random', 'a')
    ]
    record = comparison.make_record(rows)
    (context,) = record['statistics']['contexts']
    inner = rare.tables(context)
    heads = re.search('<thead>(.*?)</thead>', inner)[1]
    assert re.findall('<th scope="col">(.*?)</th>', heads) == [
      *('', *thirds.SCORES.values())
    ]
    assert ('fewer than three labels' in inner) == (num_labels < 3)
    for name, cells in rows_of(inner).items():
      for score, cell in zip(thirds.SCORES, cells, strict=True):
        (test,) = [
          t
          for t in verdicts.tests_of(context, 'emotions', score, 'none')
          if t['entry'] == name
        ]
        assert f'{test["difference"]:+z.3f}' in cell
        assert ('<b>' in cell) == bool(verdicts.verdict(test))
    for name, cells in rows_of(answer.table(context)).items():
      trials_of = next(r['trials'] for r in rows if r['method'] == name)
      mean = sum(t['scores']['ap_rare'] for t in trials_of) / len(trials_of)
      assert f'{mean:.3f}' in cells[4]
    with small_runs.without_pictures():
      assert inner in write(record, tmp_path)
    comparison.write_csv(tmp_path / 'compare.csv', record)
    with open(tmp_path / 'compare.csv', newline='') as file:
      for line, trial in zip(
        csv.DictReader(file),
        [t for row in record['rows'] for t in row['trials']],
        strict=True,
      ):
        for score in thirds.SCORES:
          assert float(line[score]) == trial['scores'][score]
    for row in rows:  # Of before there were thirds.
      for trial in row['trials']:
        for score in thirds.SCORES:
          del trial['scores'][score]
    (context,) = comparison.make_record(rows)['statistics']['contexts']
    assert rare.tables(context) == ''


def test_the_crossed_experiment_comes_first(crossed, tmp_path):
  source = write(crossed, tmp_path)
  titles = re.findall('<h2>(.*?)</h2>', source)
  assert titles[0] == 'What augmentation gives, and what balancing gives'
  assert 'Ranks over data sets' not in titles
  assert source.count('<svg') == 2 + 3 * 3
  can, cannot = words_of(crossed)
  assert any(
    x.startswith('Augmenting rows, F1 macro at .5, against none: added +0.04')
    for x in can
  )
  assert any(x.startswith('Growth of a labelset') for x in can)
  assert 'One data set: nothing is said of others, and none rank.' in cannot


def test_names_cannot_break_the_page(tmp_path):
  rows = [
    result(data, method, augment_rows=rows, kind='images', model=NASTY[0])
    for data in NASTY
    for method in ('none', f'loss:{NASTY[0]}', f'a{NASTY[1]}')
    for rows in ('none', 'all')
  ]
  for row in rows:
    row['label_names'] = [NASTY[0]] * len(row['label_names'])
  source = write(comparison.make_record(rows), tmp_path)
  page = Page(source)
  assert 'script' not in page.tags
  assert NASTY[0] in page.whole_text()


def test_words_tell_threshold_movement_from_ranking(tables):
  can, _ = words_of(tables)
  (words,) = [x for x in can if x.startswith('10 methods against plain')]
  assert re.search(
    r'F1 macro at \.5: better calibration \(\+0\.08\d\), aubal:relative', words
  )
  assert re.search(
    r'tuned thresholds: better aubal:relative \(\+0\.02\d\); worse lp_rus',
    words,
  )
  gained, lost = [x for x in can if x.startswith('Thresholds: ')]
  assert 'gained over plain training at .5 by 6 methods, ' in gained
  assert re.search(r' (8|9|10) % is left', gained)
  assert 'to aubal:relative 33 %)' in gained
  assert 'lost to plain training at .5 by 1 method, ' in lost
  # All of the loss is left, and more: no rest.
  assert 'the rest was' in gained and 'the rest was' not in lost


def test_words_tell_how_little_ranks_of_few_data_sets_say():
  results = comparison_results.tables()
  results = [r for r in results if r['model'] == 'mlp' and r['data'] != 'yeast']
  record = comparison.make_record(results)
  _, cannot = words_of(record)
  (words,) = [x for x in cannot if 'F1 macro at .5: ' in x and 'Ranks' in x]
  assert 'Nemenyi tells apart what lies 10.7 ranks apart; 10 are poss' in words
  assert re.search(r'would take \d data sets\.$', words)
  assert any('plain training are ±0.00' in x for x in cannot)
  assert any('2 wins out of 2 are a sign test of p = 0.5.' in x for x in cannot)


def test_words_on_random_are_of_methods_with_as_many_rows(tables):
  can, _ = words_of(tables)
  (words,) = [x for x in can if 'against random rows' in x]
  assert words.startswith('6 methods against') and 'lp_rus' not in words
  assert 'better aubal:relative' in words


def test_words_on_how_each_balanced_plan_stands():
  rows = [
    result(method=method, gain=gain, tuned=0.0)
    for method, gain in (
      ('none', 0.0), ('random', 0.0), ('ml_ros', 0.1), ('aubal:l1', 0.05)
    )
  ]  # fmt: skip
  can, _ = words_of(comparison.make_record(rows))
  assert (
    'aubal:l1, beside methods with as many rows. F1 macro at .5: better than '
    'random; worse than ml_ros. F1 macro at tuned thresholds: not told from '
    'random and ml_ros.'
  ) in can


def test_what_failed_is_told(tables):
  _, cannot = words_of(tables)
  assert '1 of 34 cells failed; no mean has them.' in cannot
  record = comparison.make_record([failed(result()), failed(result())])
  lines = page_lib.lines(record)
  assert lines[-3:] == [
    'emotions, none: failed: ValueError: no <minority>',
    '',
    'Nothing was measured: no cell has a result.',
  ]


@pytest.mark.parametrize('seeds', [1, 2])
def test_few_trials_are_said_to_be_few(tmp_path, seeds):
  rows = [
    result(method=m, num_splits=1, seeds=seeds) for m in ('none', 'ml_ros')
  ]
  record = comparison.make_record(rows)
  write(record, tmp_path)
  _, cannot = words_of(record)
  assert any('one split' in x for x in cannot)
  assert any('one trial' in x for x in cannot) == (seeds == 1)


def test_little_is_enough_for_a_page(tmp_path):
  for rows in ([], [failed(result())], [result()], [result(method='ml_ros')]):
    Page(write(comparison.make_record(rows), tmp_path))
  for key in ('auc_macro', 'map', 'f1_micro', 'f1_macro_tuned'):
    row = result()
    for trial in row['trials']:
      trial['scores'][key] = None
    record = comparison.make_record([row, result(method='random')])
    Page(write(record, tmp_path))
    assert page_lib.lines(record)


def test_records_read_back_make_the_same_page(tables, source, tmp_path):
  assert write(json.loads(json.dumps(tables)), tmp_path) == source


def test_lines_fit_a_terminal(tables, crossed):
  for record in (tables, crossed):
    lines = page_lib.lines(record)
    assert max(map(len, lines)) <= 100
  text = '\n'.join(page_lib.lines(tables))
  assert re.search(r'^none +0\.\d{3} ±\.\d{3} +0\.\d{3} ±', text, re.MULTILINE)
  assert re.search(
    r'^aubal:relative +0\.\d{3} ±\.\d{3}\+ +0\.\d{3} ±\.\d{3}\+', text,
    re.MULTILINE,
  )  # fmt: skip
  assert re.search(r'^lp_rus +0\.\d{3} ±\.\d{3}- ', text, re.MULTILINE)


def test_contexts_are_told_apart_by_what_differs():
  one = dict.fromkeys(['share', 'augment_rows'])
  one |= {'model': 'mlp', 'fraction': 0.25}
  other = one | {'fraction': 0.5}
  name = verdicts.context_name
  assert name(one, [one]) == 'mlp'
  assert name(one, [one, other]) == 'fraction 0.25'
  third = other | {'model': 'logistic'}
  assert name(third, [one, other, third]) == 'logistic, fraction 0.5'
  kept = one | {'share': 0.1}
  assert name(kept, [kept, one | {'share': 0.5}]) == 'share 0.1'


def test_in_short_names_what_holds_everywhere():
  rows = [
    result(method=method, model=model, tuned=tuned)
    for model in ('logistic', 'mlp')
    for method, tuned in (
      ('none', 0.0), ('random', 0.0), ('a', 0.1), ('b', 0.1 * (model == 'mlp'))
    )
  ]  # fmt: skip
  first = conclusions.conclude(comparison.make_record(rows))[0]
  assert first.heading == 'In short'
  assert (
    'F1 macro at tuned thresholds, better than plain training in each of these '
    '(logistic; mlp): a.'
  ) in first.can
  rows = copy.deepcopy([r for r in rows if r['method'] != 'a'])
  first = conclusions.conclude(comparison.make_record(rows))[0]
  assert first.can == [] and len(first.cannot) == 2
