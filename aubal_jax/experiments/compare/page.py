"""compare.html, and what a comparison prints."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator

from aubal_jax.experiments.compare import answer as answer_lib
from aubal_jax.experiments.compare import conclusions
from aubal_jax.experiments.compare import headline
from aubal_jax.experiments.compare import plots
from aubal_jax.experiments.compare import rare
from aubal_jax.experiments.compare import sections
from aubal_jax.experiments.compare import trials
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html
from aubal_jax.runs import files

_WIDTH = 98
# What is printed of a table: more columns do not fit a terminal.
_PRINTED = ('f1_macro', 'f1_macro_tuned', 'auc_macro', 'map', 'ap_rare')
_OPEN = 2  # Of more contexts than this only the first is open.
_READING = (
  'Thresholds are .5, or tuned on a part of the training images that is never '
  'resampled; or shrunk: those tuned, drawn to one of all labels, the more the '
  'fewer positives a label has there. All are of one net.',
  'Seeds of one split are averaged first. Splits of repeated k-fold share '
  'images, so the variance of their mean is s&sup2; (1 / J + n<sub>test</sub> '
  '/ n<sub>train</sub>), as Nadeau and Bengio have it (2003), not s&sup2; / J. '
  'n<sub>train</sub> is without the images that tune thresholds.',
  'A paired test is the corrected resampled t-test over the splits that both '
  'have. Over all data sets it is of the mean of their differences, with the '
  'degrees of freedom of Welch and Satterthwaite.',
  'Ranks: Demsar (2006), each data set one block; F is that of Iman and '
  'Davenport, as Friedman&rsquo;s own &chi;&sup2; is too timid with few data '
  'sets.',
)


def write_page(path, record) -> None:
  """Writes compare.html: the answer, what it rests on, tables and pictures.

  Args:
    path: of the page, written whole or not at all.
    record: from `comparison.make_record`, or the content of compare.json.
  """
  found = record['statistics']
  bad = [row for row in record['rows'] if row['status']]
  parts = ['<h1>Comparison of resampling methods</h1>', _lead(record)]
  parts += _first(record)
  if found['effects']:
    parts += _crossed(found)
  if found['contexts']:
    parts += _sections(found['contexts'], found['scores'])
  if bad:
    parts += ['<h2>Cells that failed</h2>', sections.failed(bad)]
  parts.append('<h2>How to read this</h2>')
  parts += [f'<p>{words}</p>' for words in _READING]
  with files.write_atomically(path) as file:
    # Whole tables: a last method that has to be scrolled to is overlooked.
    body = ['<div class="whole">', *parts, '</div>']
    file.write(html.document('Comparison', body))


def _lead(record) -> str:
  """Returns the first sentence, and what was compared; HTML."""
  cells = [c for x in record['statistics']['contexts'] for c in x['cells']]
  num_failed = sum(bool(row['status']) for row in record['rows'])
  words = f'{html.count(len(record["rows"]), "cell")}, {num_failed} failed'
  if cells:
    data = dict.fromkeys(c['data'] for c in cells)
    splits = max(c['num_splits'] for c in cells)
    seeds = max(c['num_trials'] for c in cells) // splits
    methods = {c['method'] for c in cells} - {verdicts.AVERAGED}
    words = (
      f'{html.count(len(methods), "method")} on {html.text(", ".join(data))}: '
      f'{words}; {html.count(splits, "split")} with '
      f'{html.count(seeds, "seed")} each.'
    )
  first = html.lead(html.text(headline.sentence(record)))
  note = conclusions.unequal(record['statistics']['contexts'])
  words += f' {html.text(note)}' if note else ''
  return f'{first}\n{html.soft(words)}'


def _first(record) -> Iterator[str]:
  """Yields the answer: a table, a few sentences, and all the others folded."""
  contexts = record['statistics']['contexts']
  if contexts:
    yield _of_each(verdicts.by_share(contexts), answer_lib.table)
  for words in answer_lib.sentences(record):
    yield f'<p>{html.text(words)}</p>'
  if contexts:
    yield answer_lib.explain(contexts[0])
  told = conclusions.conclude(record)
  yield html.fold(
    'All that this can say, and what it cannot', '\n'.join(map(_answer, told))
  )


def _of_each(contexts, make) -> str:
  """Returns what is made of each context under its name, if any; HTML."""
  content = [(verdicts.context_name(c, contexts), make(c)) for c in contexts]
  content = [(name, inner) for name, inner in content if inner]
  if len(contexts) == 1:
    return ''.join(inner for _, inner in content)
  if len(content) > _OPEN:
    return '\n'.join(
      html.fold(name, inner, is_open=not i)
      for i, (name, inner) in enumerate(content)
    )
  return '\n'.join(
    f'<h3>{html.text(name)}</h3>\n{inner}' for name, inner in content
  )


def _answer(answer) -> str:
  """Returns one heading of the answer with what can be said, and cannot."""
  told = ''.join(f'<li>{html.text(words)}</li>' for words in answer.can)
  untold = ''.join(
    f'<li class="odd">{html.text(words)}</li>' for words in answer.cannot
  )
  heading = answer.heading or 'What this cannot say'
  return (
    f'<h3>{html.text(heading)}</h3>\n<ul class="findings">{told}{untold}</ul>'
  )


def _sections(contexts, scores) -> list[str]:
  """Returns the sections that every comparison has, empty ones left out."""

  def each(title, make):
    inner = _of_each(contexts, make)
    return html.section(title, inner) if inner else ''

  names = {id(c): str(i) for i, c in enumerate(contexts)}
  return [
    each('Scores', lambda c: sections.scores(c, scores)),
    each('Ranks over data sets', lambda c: _ranks(c, scores, names[id(c)])),
    each('Against plain training and random rows', lambda c: _tests(c, scores)),
    each('Step by step', lambda c: _curves(c, names[id(c)])),
    each('What tuned thresholds leave', sections.shares),
    each('At an equal number of rows', _budgets),
    each('F1 macro on each data set', lambda c: _dots(c, names[id(c)])),
    each('Rare and frequent labels', lambda c: _labels(c, names[id(c)])),
    each('Imbalance, rows and seconds', sections.imbalance),
  ]


def _ranks(context, scores, name) -> str:
  if len(context['data']) < 2:
    return ''
  parts = []
  for row in context['ranks']:
    if row['score'] in verdicts.F1 and row['friedman'] is not None:
      title = trials.SCORES[row['score']]
      parts.append(
        html.plot(
          plots.critical_difference(f'{name}-{row["score"]}', row),
          alt=f'Average ranks in {title}; the numbers are in the table.',
          caption=f'{title}. What a blue bar joins is not told apart.',
        )
      )
  return '\n'.join([*parts, sections.ranks(context, scores)])


def _tests(context, scores) -> str:
  """Returns the paired tests, those in F1 macro unfolded."""
  opened, folded = [], []
  for reference, score in itertools.product(verdicts.REFERENCES, scores):
    if any(t['reference'] == reference for t in context['tests']):
      table = sections.tests(context, score, reference)
      (opened if score in verdicts.F1 else folded).append(table)
  if folded:
    opened.append(html.fold('The other scores', '\n'.join(folded)))
  return '\n'.join(opened)


def _curves(context, name) -> str:
  if not context['curves']:
    return ''
  last = {row['entry']: row for row in context['curves']}
  told = '; '.join(
    f'{html.text(entry)} {row["difference"]:+z.3f}'
    for entry, row in last.items()
  )
  return html.plot(
    plots.curves(name, context),
    alt='Validation mAP of each method less that of none, by optimiser step.',
    caption='mAP of the validation rows, each method less <code>none</code>, '
    'with 95 % intervals, at the rates chosen. A gain that shrinks with the '
    f'steps is one of speed. At the last step: {told}.',
  )


def _budgets(context) -> str:
  return '\n'.join(
    sections.budgets(context, score)
    for score in verdicts.F1
    if any(pair['score'] == score for pair in context['pairs'])
  )


def _dots(context, name) -> str:
  return html.plot(
    plots.dots(name, context),
    alt='F1 macro of each method with intervals; the tables have the numbers.',
    caption='Lines: 95 % intervals, which are of a score alone; paired '
    'differences vary less. Dashed: <code>none</code>.',
  )


def _labels(context, name) -> str:
  tables = rare.tables(context)
  if context['entries'] == ['none'] or 'none' not in context['entries']:
    return tables
  return f'{tables}\n' + html.plot(
    plots.labels(name, context),
    alt='F1 of each label less that of none, against how frequent it is.',
    caption='A dot is a label of a data set; a line joins the means of the '
    'rarest third of the labels, the middle and the most frequent.',
  )


def _crossed(found) -> list[str]:
  """Returns the section of the factors of a crossed experiment."""
  rows = found['effects']
  title = 'What each factor gives'
  if any(row['factor'] == 'augment_rows' for row in rows):
    title = 'What augmentation gives, and what balancing gives'
  parts = [f'<h2>{title}</h2>']
  for model in dict.fromkeys(row['model'] for row in rows):
    parts.append(f'<h3>{html.text(model)}</h3>')
    asked = dict.fromkeys((row['factor'], row['reference']) for row in rows)
    parts += [
      sections.effects(rows, model, factor, reference)
      for factor, reference in sorted(asked, key=lambda x: x[0] == 'entry')
    ]
    mine = [c for c in found['contexts'] if c['model'] == model]
    parts += _crossed_plots(mine, model)
  return parts


def _crossed_plots(contexts, model) -> list[str]:
  """Returns scores against augmented rows, where there are several."""
  parts = []
  amounts = dict.fromkeys((c['fraction'], c['share']) for c in contexts)
  for fraction, share in amounts:
    mine = [
      c for c in contexts if (c['fraction'], c['share']) == (fraction, share)
    ]
    if len(mine) < 2:
      continue
    for data, score in itertools.product(mine[0]['data'], verdicts.F1):
      here = [c | {'cells': sections.means(c, data)} for c in mine]
      title = f'{data}: {trials.SCORES[score]}'
      if fraction is not None:
        title += f', fraction {fraction:g}'
      if share is not None:
        title += f', share {share:g}'
      name = f'{model}-{fraction}-{share}-{data}-{score}'
      parts.append(
        html.plot(
          plots.crossed(re.sub(r'\W', '-', name), here, score),
          alt=f'{title}, against the rows that are augmented.',
          caption=f'{html.text(title)}, with 95 % intervals, which are of a '
          'score alone.',
        )
      )
  return parts


def lines(record) -> list[str]:
  """Returns what is printed: tables, all that is said, the answer at last."""
  found = record['statistics']
  contexts, printed = found['contexts'], []
  measured = {t for c in contexts for e in c['cells'] for t in e['scores']}
  scores = [score for score in _PRINTED if score in measured]
  for context in contexts:
    printed += ['', *_table(context, contexts, scores)]
  for answer in conclusions.conclude(record):
    printed += ['', f'{answer.heading or "Beside that"}:']
    for words in (*answer.can, *answer.cannot):
      printed += textwrap.wrap(f'- {words}', _WIDTH, subsequent_indent='  ')
  failed = [row for row in record['rows'] if row['status']]
  printed += [f'{r["data"]}, {r["method"]}: {r["status"]}' for r in failed]
  printed += ['', *textwrap.wrap(headline.sentence(record), _WIDTH)]
  return printed[1:]


def _table(context, contexts, scores) -> list[str]:
  """Returns the lines of one table, the mean over the data sets."""
  where = verdicts.whole(context)
  sides = {
    (t['entry'], score): verdicts.verdict(t)
    for score in scores
    for t in verdicts.tests_of(context, where, score, 'none')
  }
  name = verdicts.context_name(context, contexts)
  head = ' '.join(f'{trials.TITLES[s]:<14}' for s in scores)
  printed = [
    f'{name}: {", ".join(context["data"])}; mean ± 95 %, + above none, - below',
    f'{"":24} {head}'.rstrip(),
  ]
  marks = {verdicts.ABOVE: '+', verdicts.BELOW: '-'}
  for entry in sections.means(context, where):
    cells = []
    for score in scores:
      mean, half = entry['scores'][score].values()
      text = '-' if mean is None else f'{mean:.3f}'
      text += '' if half is None else f' ±{half:.3f}'.replace('±0.', '±.')
      text += marks.get(sides.get((entry['entry'], score)), '')
      cells.append(f'{text:<14}')
    printed.append(f'{entry["entry"]:24} {" ".join(cells)}'.rstrip())
  return printed
