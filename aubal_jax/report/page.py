"""report.html: one page that shows a whole run, to be sent around."""

import numpy as np

from aubal_jax.report import html
from aubal_jax.report import lead
from aubal_jax.report import scores
from aubal_jax.report import sections
from aubal_jax.runs import files


def describe_plan(plan, labels):
  """Counts what a plan holds, for `write_page`.

  Args:
    plan: a Plan: source int[M], augment bool[M], labels uint8[M, L] or None.
    labels: uint8[N, L], 0/1, of the table's rows.

  Returns:
    dict of `images` (M), `augmented` (rows that are augmented) and
    `class_counts`, L ints.
  """
  counts = (
    np.bincount(plan.source, minlength=len(labels)) @ labels.astype(np.int64)
    if plan.labels is None
    else plan.labels.sum(axis=0, dtype=np.int64)
  )
  return {
    'images': len(plan.source),
    'augmented': int(np.count_nonzero(plan.augment)),
    'class_counts': counts.tolist(),
  }


def write_page(
  path,
  *,
  labelsets=None,
  plan=None,
  solution=None,
  contact=(),
  metrics=(),
  report=None,
  title='Balance, augment, train',
  settings=None,
):
  """Writes report.html: style, curves and images inside, nothing outside.

  What is None or empty is left out, with a line saying which task makes it.
  Equal arguments give an equal file.

  Args:
    path: where the page is written, whole or not at all.
    labelsets: content of labelsets.json: `images`, `labelsets`,
      `label_names`, `class_counts`, `grown`, `largest`.
    plan: from `describe_plan`; None: solution's counts are shown.
    solution: content of solution.json.
    contact: contact sheet entries, dicts of `original` uint8[H, W, C] (C 1 or
      3), `augmented` (a list of the same), `labels` (names) and `name`.
    metrics: the lines of metrics.jsonl, dicts; see train_log.TrainLog.
    report: content of report.json; see `summary.summarise`.
    title: of the page.
    settings: names and values to list at the end, such as the configuration.

  Raises:
    UserError: an image is not uint8 with 1 or 3 channels.
  """
  after, images = None, None
  if labelsets is not None:
    images = labelsets['images'], labelsets['images']
    if plan is not None:
      after, images = plan['class_counts'], (images[0], plan['images'])
    elif solution is not None:
      after = solution['class_counts_after']
      images = images[0], solution['images_after']
  parts = [f'<h1>{html.text(title)}</h1>']
  if labelsets is not None:
    words = lead.describe_balance(labelsets, solution, after, images)
    parts.append(f'<p class="lead">{words}</p>')
  if report is not None:
    words = lead.describe_scores(report)
    parts.append(f'<p class="lead">{words}</p>')
  parts.append(lead.tiles(labelsets, solution, after, images, report))

  def add(there, name, make, *arguments, task, otherwise=None):
    if there:
      parts.append(make(*arguments))
    elif otherwise and plan is not None:
      parts.append(sections.absent(name, otherwise))
    else:
      parts.append(sections.missing(name, task))

  if labelsets is not None and labelsets.get('sources'):
    parts.append(
      sections.sources(labelsets['label_names'], labelsets['sources'])
    )
  add(
    labelsets,
    'Images that show each label',
    lambda x: sections.class_counts(
      x['label_names'], x['class_counts'], after, images
    ),
    labelsets,
    task='balance',
  )
  add(
    solution,
    'Convergence of the balance',
    sections.convergence,
    solution,
    task='balance',
    otherwise='This plan was made without solving anything.',
  )
  add(
    contact,
    'Originals and what training sees of them',
    sections.contact_sheet,
    contact,
    task='balance',
    otherwise='There are no images, or no row of the plan is augmented.',
  )
  name = 'Learning curves'
  add(metrics, name, sections.learning, metrics, report, task='train')
  add(report, 'F1 of each label', scores.scores, report, task='evaluate')
  add(labelsets, 'Labelsets', sections.labelsets, labelsets, task='balance')
  if settings:
    rows = [[html.text(k), ('left', html.text(v))] for k, v in settings.items()]
    content = html.table('As given.', ('setting', 'value'), rows)
    parts.append(html.fold('Settings', content))
  with files.write_atomically(path) as file:
    file.write(html.document(title, parts))
