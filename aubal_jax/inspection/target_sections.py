"""The section of inspect.html on targets beside the labels."""

from aubal_jax.report import html

_SPLITS = ('train', 'validation', 'test')


def targets(content) -> str:
  """What each target beside the labels holds; '' where there is none."""
  parts = [_target(entry) for entry in content.get('targets', ())]
  return html.section('Other targets', '\n'.join(parts)) if parts else ''


def _target(entry) -> str:
  """Returns a table, with what is known above it."""
  known = entry['known']
  splits = ', '.join(
    f'{html.number(known[split])} {split}' for split in _SPLITS if known[split]
  )
  words = f'{html.count(known["all"], "row")} known'
  words += f' ({splits}).' if splits else '.'
  if 'groups' in entry:
    words += f' {_groups(entry["groups"])}'
  table = _numbers(entry) if entry['kind'] == 'real' else _counts(entry)
  return f'<h3>{html.text(entry["name"])}</h3>\n{html.soft(words)}\n{table}'


def _groups(found) -> str:
  """Returns which groups there are, in a sentence."""
  parts = ', '.join(f'{html.number(found[s])} {s}' for s in _SPLITS)
  clean = html.number(found['clean'])
  return f'Groups: {parts}; {clean} of those that validate train in no task.'


def _counts(entry) -> str:
  """Returns the table of classes."""
  splits = [split for split in _SPLITS if entry['known'][split]]
  splits = splits if len(splits) > 1 else []
  most = max([x['all'] for x in entry['counts']], default=0) or 1
  total = entry['known']['all'] or 1
  rows = [
    [
      html.text(x['name']),
      html.number(x['all']),
      f'{100 * x["all"] / total:.3g} %',
      html.bar(('', 0, x['all'] / most)),
      *(html.number(x[split]) for split in splits),
    ]
    for x in entry['counts']
  ]
  what = 'class' if entry['kind'] == 'class' else 'label'
  columns = [what, 'rows with it', 'share', '', *splits]
  return html.table('Shares are of the rows known.', columns, rows)


def _numbers(entry) -> str:
  """Returns the table of columns of numbers, with their histograms."""
  rows = [
    [
      html.text(x['name']),
      html.number(x['known']),
      *(
        html.NONE if x[name] is None else f'{x[name]:.3g}'
        for name in ('min', 'mean', 'max', 'std')
      ),
      _histogram(x['histogram'], entry),
    ]
    for x in entry['numbers']
  ]
  columns = ('', 'rows', 'least', 'mean', 'largest', 'deviation', 'spread')
  caption = f'Numbers in [{entry["low"]:g}, {entry["high"]:g}].'
  return html.table(caption, columns, rows)


def _histogram(counts, entry) -> str:
  """Returns bars of equal width, each from the bottom."""
  most, width = max(counts) or 1, 6
  bars = ''.join(
    f'<rect x="{width * k}" y="{30 * (1 - n / most):.1f}" width="{width - 1}" '
    f'height="{30 * n / most:.1f}" fill="currentColor"/>'
    for k, n in enumerate(counts)
  )
  what = f'{entry["low"]:g} to {entry["high"]:g}, in {len(counts)} equal bins'
  return (
    f'<svg width="{width * len(counts)}" height="30" role="img" '
    f'aria-label="{what}"><title>{what}</title>{bars}</svg>'
  )
