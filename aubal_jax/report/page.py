"""report.html: one page that shows a whole run, to be sent around."""

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.report import beside
from aubal_jax.report import html
from aubal_jax.report import learners
from aubal_jax.report import scores
from aubal_jax.report import sections
from aubal_jax.report import targets
from aubal_jax.runs import files
from aubal_jax.tables import labelsets as labelsets_lib


@dataclasses.dataclass(frozen=True)
class Content:
  """What a page shows; what is None or empty is not there yet.

  Attributes:
    labelsets: content of labelsets.json: `images`, `labelsets`,
      `label_names`, `class_counts`, `grown`, `largest`.
    plan: from `describe_plan`; None: solution's counts are shown.
    solution: content of solution.json.
    contact: contact sheet entries, dicts of `original` uint8[H, W, C] (C 1 or
      3), `augmented` (a list of the same), `labels` (names) and `name`.
    metrics: the lines of metrics.jsonl, dicts.
    report: content of report.json; see `summary.summarise`.
    controls: content of controls.json.
    title: of the page.
    settings: names and values to list at the end, such as the configuration.
  """

  labelsets: Mapping | None = None
  plan: Mapping | None = None
  solution: Mapping | None = None
  contact: Sequence[Mapping] = ()
  metrics: Sequence[Mapping] = ()
  report: Mapping | None = None
  controls: Mapping | None = None
  title: str = 'Balance, augment, train'
  settings: Mapping | None = None

  @property
  def after(self) -> Sequence[int] | None:
    """L counts of the labels in the plan; None where there is no plan."""
    if self.plan is not None:
      return self.plan['class_counts']
    return self.solution and self.solution['class_counts_after']

  @property
  def images(self) -> tuple[int, int]:
    """Training images, and rows of the plan."""
    before = after = self.labelsets['images']
    if self.plan is not None:
      after = self.plan['images']
    elif self.solution is not None:
      after = self.solution['images_after']
    return before, after

  @property
  def mean_irs(self) -> tuple[float, float]:
    """MeanIR before and after; NaN where no label has a positive."""
    counts = self.labelsets['class_counts'], self.after
    return tuple(map(labelsets_lib.mean_ir, counts))


def describe_plan(plan, labels) -> dict:
  """Counts what a plan holds, for a `Content`.

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


# Title; field that is needed, and the task that makes it; the section.
_SECTIONS = (
  (
    'F1 of each label', 'report', 'evaluate',
    lambda c: scores.scores(c.report),
  ),
  (
    'Images that show each label', 'labelsets', 'balance',
    lambda c: sections.class_counts(c.labelsets, c.after, c.images),
  ),
  (
    'Originals and what training sees of them', 'contact', 'balance',
    lambda c: sections.contact_sheet(c.contact),
  ),
  (
    'Learning curves', 'metrics', 'train',
    lambda c: scores.learning(c.metrics, c.report),
  ),
  (
    'Convergence of the balance', 'solution', 'balance',
    lambda c: sections.convergence(c.solution),
  ),
  (
    'Labelsets', 'labelsets', 'balance',
    lambda c: sections.labelsets(c.labelsets),
  ),
)  # fmt: skip
# What a plan may be without for ever.
_NEVER = {
  'solution': 'This plan was made without solving anything.',
  'contact': 'There are no images, or no row of the plan is augmented.',
}


def write_page(path, content: Content) -> None:
  """Writes report.html: style, curves and images inside, nothing outside.

  What is not there yet is left out, with a line saying which task makes it.
  Equal runs give an equal file.

  Args:
    path: where the page is written, whole or not at all.
    content: what it shows.

  Raises:
    UserError: an image is not uint8 with 1 or 3 channels.
  """
  _write(path, content, _SECTIONS)


def write_balance_page(path, content: Content) -> None:
  """Writes balance.html: as `write_page`, of the labelsets and the plan alone.

  It needs neither images nor matplotlib.
  """
  _write(path, content, [x for x in _SECTIONS if x[1] == 'labelsets'])


def _write(path, content, shown) -> None:
  """Writes the page with some of `_SECTIONS`."""
  parts = [f'<h1>{html.text(content.title)}</h1>']
  if content.controls is not None:
    parts += [
      html.lead(beside.describe(content.controls)),
      beside.side_by_side(content.controls),
      beside.of_each_label(content.controls),
      '<h2>This run</h2>',
    ]
  if content.report is not None:
    parts.append(html.lead(scores.describe(content.report)))
    parts += map(html.lead, targets.describe(content.report))
  if content.labelsets is not None:
    parts.append(html.lead(_describe_balance(content)))
  parts.append(html.tiles(_tiles(content)))
  if content.labelsets is not None and content.labelsets.get('sources'):
    inner = sections.sources(content.labelsets)
    parts.append(html.section('Where the images come from', inner))
  if content.labelsets is not None and content.labelsets.get('targets'):
    inner = sections.targets(content.labelsets)
    parts.append(html.section('Rows and unevenness of each target', inner))
  for title, field, task, make in shown:
    if getattr(content, field):
      inner = make(content)
    elif field in _NEVER and content.plan is not None:
      inner = html.soft(_NEVER[field])
    else:
      inner = html.soft(
        f'Not there yet: the task <code>{task}</code> makes it '
        f'(<code>--config.task={task}</code>).'
      )
    parts.append(html.section(title, inner))
    if field == 'report' and content.report is not None:
      parts += targets.sections(content.report)
      parts += learners.sections(content.report)
  if content.settings:
    parts.append(html.settings(content.settings))
  with files.write_atomically(path) as file:
    file.write(html.document(content.title, parts))


def _describe_balance(content) -> str:
  """Returns sentences on the balance: what was done, what came of it; HTML."""
  labelsets, solution, images = (
    content.labelsets,
    content.solution,
    content.images,
  )
  out = (
    f'{html.count(images[0], "training image")} '
    f'{"shows" if images[0] == 1 else "show"} '
    f'{html.count(len(labelsets["label_names"]), "label")} in '
    f'{html.count(labelsets["labelsets"], "combination")}.'
  )
  if content.after is None:
    return out
  changed = list(content.after) != list(labelsets['class_counts'])
  if images[0] == images[1] and not changed:
    out += ' Nothing was added or left out.'
  else:
    out += f' {_change(*images)}'
    before, after = content.mean_irs
    if not any(map(math.isnan, content.mean_irs)):
      out += f'; the mean imbalance ratio went from {before:.2f} to {after:.2f}'
    out += '.'
  out += _method(labelsets.get('plan', {}))
  if solution is None:
    return out
  start, end, whole = (
    html.value(solution[name])
    for name in ('value_start', 'value', 'rounded_value')
  )
  out += (
    f' The objective went from {start} to {end}. The gap, by which a choice '
    'within the limits can be better at most, the price of added images '
    f'counted, is proved to be {_gap(solution["gap"])} for this solution, and '
    f'{_gap(solution["rounded_gap"])} for the whole images made of it '
    f'(objective {whole}).'
  )
  if 'unevenness' in solution:
    return out + _of_targets(solution)
  if list(content.after) != list(solution['class_counts_after']):
    out += (
      ' The plan in this folder is not that choice: it draws as many rows at '
      'random, as a control.'
    )
  return out + _unfinished(solution)


def _of_targets(solution):
  """Returns what is to be said of a solution of several targets."""
  out = (
    ' It is of all targets at once, each about a mean of its own. Their sum is '
    'what is evened out; one of them may be less even than before.'
  )
  return out + _unfinished(solution)


def _unfinished(solution):
  if solution['converged']:
    return ''
  return ' The solver stopped before the gap that was asked for.'


def _method(plan):
  """Returns what plan a method that solves nothing made, HTML."""
  if plan.get('method', 'none') in ('aubal', 'none'):
    return ''
  facts = [f'{html.count(plan["added"], "row")} added']
  if plan['mixed']:
    facts.append(f'{html.number(plan["mixed"])} of them mixed of two')
  if plan['left_out']:
    facts.append(f'{html.count(plan["left_out"], "image")} in no row')
  out = (
    f' The plan is that of <code>{html.text(plan["method"])}</code>: '
    f'{", ".join(facts)}.'
  )
  if plan['epochs'] > 1:
    out += (
      f' It is drawn anew for each of {html.number(plan["epochs"])} epochs, '
      'and its numbers are those of all of them.'
    )
  return out


def _change(before, after):
  """Returns what balancing did to the number of images."""
  if before == after:
    return 'Balancing kept the number of images'
  share = f' ({100 * (after - before) / before:+.0f} %)' if before else ''
  verb = 'added' if after > before else 'left out'
  return f'Balancing {verb} {html.count(abs(after - before), "image")}{share}'


def _gap(gap):
  """Returns a relative gap as a percentage, rounded up, as it is a bound."""
  percent = 100 * max(gap, 0.0)
  if percent == 0:
    return '0 %'
  if percent < 0.001:
    return 'below 0.001 %'
  digits = max(1, -math.floor(math.log10(percent)))
  # 0.2 is 0.2, though 100 times 0.002 may come out above it.
  up = math.ceil(percent * 10**digits * (1 - 1e-9)) / 10**digits
  return f'{up:.{digits}f} %'


def _tiles(content):
  """Yields the main numbers, each with what it is."""
  if content.labelsets is not None:
    before, after = content.images
    if after != before:
      noun = 'image' if abs(after - before) == 1 else 'images'
      yield f'{after - before:+,}', f'{noun} by balancing'
    else:
      noun = 'training image' if before == 1 else 'training images'
      yield html.number(before), noun
    if content.after is not None and not any(map(math.isnan, content.mean_irs)):
      before, after = content.mean_irs
      yield f'{before:.2f} → {after:.2f}', 'MeanIR (1 is balanced)'
  if content.solution is not None:
    yield (
      _gap(content.solution['gap']),
      'certified gap of the solution: how far from the best, at most, price '
      'included',
      f'of the whole images: {_gap(content.solution["rounded_gap"])}',
    )
  if content.report is not None:
    floors = content.report['floors']
    yield (
      f'{content.report["f1_macro"]:.3f}',
      f'F1 macro, {html.text(content.report["split"])}',
      f'floors: {floors["all_positive"]["f1_macro"]:.3f} all positive, '
      f'{floors["all_negative"]["f1_macro"]:.3f} all negative',
    )
    yield from targets.tiles(content.report)
