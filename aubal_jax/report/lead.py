"""The top of the page: what was done and what came of it, in words."""

import math

from aubal_jax.report import html
from aubal_jax.report import scores
from aubal_jax.tables import labelsets as labelsets_lib


def describe_balance(labelsets, solution, after, images):
  """Returns sentences on the balance, HTML.

  Args:
    labelsets: labelsets.json.
    solution: solution.json, or None.
    after: L class counts of the plan, or None.
    images: (before, after) images.
  """
  out = (
    f'{html.count(images[0], "training image")} '
    f'{"shows" if images[0] == 1 else "show"} '
    f'{html.count(len(labelsets["label_names"]), "label")} in '
    f'{html.count(labelsets["labelsets"], "combination")}.'
  )
  if after is None:
    return out
  changed = list(after) != list(labelsets['class_counts'])
  if images[0] == images[1] and not changed:
    out += ' Nothing was added or left out.'
  else:
    out += f' {_change(images)}'
    ratios = _mean_irs(labelsets, after)
    if not any(map(math.isnan, ratios)):
      out += (
        f'; the mean imbalance ratio went from {ratios[0]:.2f} to '
        f'{ratios[1]:.2f}'
      )
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
  if list(after) != list(solution['class_counts_after']):
    out += (
      ' The plan in this folder is not that choice: it draws as many rows at '
      'random, as a control.'
    )
  if not solution['converged']:
    out += ' The solver stopped before the gap that was asked for.'
  return out


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


def _mean_irs(labelsets, after):
  """Returns MeanIR before and after; NaN where no label has a positive."""
  counts = labelsets['class_counts'], after
  return tuple(map(labelsets_lib.mean_ir, counts))


def _change(images):
  """Returns what balancing did to the number of images, (before, after)."""
  before, after = images
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


def describe_scores(report):
  """Returns sentences on the scores and what they are worth, HTML."""
  interval = report.get('f1_macro_interval')
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  f1 = report['f1_macro']
  yes = report['floors']['all_positive']['f1_macro']
  no = report['floors']['all_negative']
  noun = f'{html.text(report["split"])} image'
  out = (
    f'On {html.count(report["num_images"], noun)} the '
    f'network reaches F1 macro <b>{f1:.3f}</b>'
  )
  if not scores.has_positives(report):
    return (
      f'{out}: no label has a positive among them, so F1 is 0 by definition '
      'and says nothing.'
    )
  if interval:
    out += f' ({level} interval {interval[0]:.3f} to {interval[1]:.3f})'
  out += (
    f', {report["tuned"]["f1_macro"]:.3f} with tuned thresholds. Saying yes '
    f'to everything would score {yes:.3f}, no to everything '
    f'{no["f1_macro"]:.3f}: '
  )
  if f1 <= yes:
    out += (
      'at threshold 0.5 it is <b>no better than that floor</b>, so these '
      'scores show nothing learnt.'
    )
  elif interval and interval[0] <= yes:
    out += (
      'it is above both floors, but the interval still reaches down to one.'
    )
  elif interval:
    out += 'it is above both floors, and so is the whole interval.'
  else:
    out += 'it is above both floors.'
  out += (
    f' Accuracy is {report["accuracy"]:.3f}, where no to everything already '
    f'has {no["accuracy"]:.3f}.'
  )
  return out


def tiles(labelsets, solution, after, images, report):
  """Returns the main numbers, large."""
  out = []

  def tile(value, *notes):
    lines = ''.join(f'<span>{note}</span>' for note in notes)
    out.append(f'<div class="tile"><b>{value}</b>{lines}</div>')

  if labelsets is not None:
    added = images[1] - images[0]
    if added:
      noun = 'image' if abs(added) == 1 else 'images'
      tile(f'{added:+,}', f'{noun} by balancing')
    else:
      noun = 'training image' if images[0] == 1 else 'training images'
      tile(html.number(images[0]), noun)
    if after is not None:
      before, now = _mean_irs(labelsets, after)
      if not math.isnan(before) and not math.isnan(now):
        tile(f'{before:.2f} → {now:.2f}', 'MeanIR (1 is balanced)')
  if solution is not None:
    tile(
      _gap(solution['gap']),
      'certified gap of the solution: how far from the best, at most, price '
      'included',
      f'of the whole images: {_gap(solution["rounded_gap"])}',
    )
  if report is not None:
    floors = report['floors']
    tile(
      f'{report["f1_macro"]:.3f}',
      f'F1 macro, {html.text(report["split"])}',
      f'floors: {floors["all_positive"]["f1_macro"]:.3f} all positive, '
      f'{floors["all_negative"]["f1_macro"]:.3f} all negative',
    )
  return f'<div class="tiles">{"".join(out)}</div>' if out else ''
