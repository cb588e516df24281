"""The top of the page: what was done and what came of it, in words."""

import math

from aubal_jax import labelsets as labelsets_lib
from aubal_jax.report import page


def describe_balance(labelsets, solution, after, images):
  """Returns sentences on the balance, HTML.

  Args:
    labelsets: labelsets.json.
    solution: solution.json, or None.
    after: L class counts of the plan, or None.
    images: (before, after) images.
  """
  out = (
    f'{page.number(images[0])} training images show '
    f'{len(labelsets["label_names"])} labels in '
    f'{page.number(labelsets["labelsets"])} combinations.'
  )
  added = images[1] - images[0]
  if after is None or not (added or solution):
    return f'{out} Nothing was added or left out.'
  share = f' ({100 * added / images[0]:+.0f} %)' if images[0] else ''
  ratios = _mean_irs(labelsets, after)
  if not any(map(math.isnan, ratios)):
    out += (
      f' Balancing added {page.number(added)} images{share}; the mean '
      f'imbalance ratio went from {ratios[0]:.2f} to {ratios[1]:.2f}.'
    )
  if solution is None:
    return out
  start, end, whole = (
    page.value(solution[name])
    for name in ('value_start', 'value', 'rounded_value')
  )
  out += (
    f' The objective went from {start} to {end}, and it is proved '
    'that, counting the price of added images, no choice within the limits is '
    f'better by more than {_gap(solution["gap"])} of it; in whole images it is '
    f'{whole}, at most {_gap(solution["rounded_gap"])} from the best.'
  )
  if list(after) != list(solution['class_counts_after']):
    out += (
      ' The plan in this folder is not that choice: it draws as many rows at '
      'random, as a control.'
    )
  if not solution['converged']:
    out += ' The solver stopped before the gap that was asked for.'
  return out


def _mean_irs(labelsets, after):
  """Returns MeanIR before and after; NaN where no label has a positive."""
  counts = labelsets['class_counts'], after
  return tuple(map(labelsets_lib.mean_ir, counts))


def _gap(gap):
  """Returns a relative gap as a percentage that shows its size."""
  if gap <= 0:
    return '0 %'
  digits = max(1, -math.floor(math.log10(100 * gap)))
  return f'{100 * gap:.{digits}f} %'


def describe_scores(report):
  """Returns sentences on the scores and what they are worth, HTML."""
  interval = report.get('f1_macro_interval')
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  f1 = report['f1_macro']
  yes = report['floors']['all_positive']['f1_macro']
  no = report['floors']['all_negative']
  out = (
    f'On {page.number(report["num_images"])} '
    f'{page.text(report["split"])} images the network reaches F1 macro '
    f'<b>{f1:.3f}</b>'
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
    if after is not None:
      tile(f'{images[1] - images[0]:+,}', 'images by balancing')
      before, now = _mean_irs(labelsets, after)
      if not math.isnan(before) and not math.isnan(now):
        tile(f'{before:.2f} → {now:.2f}', 'MeanIR (1 is balanced)')
    else:
      tile(page.number(images[0]), 'training images')
  if solution is not None:
    tile(
      _gap(solution['gap']),
      'certified gap: how far from the best, at most, price included',
    )
  if report is not None:
    floors = report['floors']
    tile(
      f'{report["f1_macro"]:.3f}',
      f'F1 macro, {page.text(report["split"])}',
      f'floors: {floors["all_positive"]["f1_macro"]:.3f} all positive, '
      f'{floors["all_negative"]["f1_macro"]:.3f} all negative',
    )
  return f'<div class="tiles">{"".join(out)}</div>' if out else ''
