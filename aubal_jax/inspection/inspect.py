"""The data set -> inspect.json, inspect.html."""

from __future__ import annotations

from aubal_jax.datasets import codes
from aubal_jax.runs import files

_SIDE = 112  # Pixels of a picture on the page.
_PICTURES = 640  # On the page, so that it can be sent around.
_PRINTED = 10  # Findings that are printed.


def run(run) -> None:
  """Looks at every image and label, and writes what is odd.

  It is done anew each time: image files may have changed unnoticed.
  """
  from aubal_jax.inspection import findings
  from aubal_jax.inspection import page as page_lib
  from aubal_jax.inspection import survey

  config, data, path = run.config, run.dataset, run.path
  run.watch.lap('other')
  seen = survey.look(data)
  run.watch.lap('looking at images')
  content = _content(config, data, seen)
  content['findings'] = findings.find(content)
  pictures = survey.thumbnails(
    data, {row for entry in content['examples'] for row in entry['rows']}, _SIDE
  )
  run.begin('inspect')
  files.write_json(path / 'inspect.json', content)
  page_lib.write_page(path / 'inspect.html', content, pictures)
  run.finish('inspect')
  _print(content, path / 'inspect.html')
  run.watch.lap('inspect')


def _content(config, data, seen) -> dict:
  """Returns inspect.json but for the findings."""
  from aubal_jax.inspection import image_survey
  from aubal_jax.inspection import label_survey
  from aubal_jax.inspection import survey
  from aubal_jax.inspection import target_survey
  from aubal_jax.media import store

  has_images = data.load_images is not None
  content = {
    'settings': {
      name: config.data[name]
      for name in ('name', 'path', 'image_size', 'channels', 'resize', 'crop')
    },
    'rows': data.num_rows(),
    'label_names': list(data.label_names),
    'notes': list(data.notes),
    'images': None,
    'drops': image_survey.describe_drops(data),
    'duplicates': None,
    'statistics': None,
    'codes': codes.as_json(data.counts),
    'labels': label_survey.labels(data),
    'pairs': label_survey.pairs(data),
    'groups': label_survey.groups(data),
    'labelsets': label_survey.labelsets(data, config.inspect.near_empty),
    'examples': [],
    'cache': None,
  }
  others = target_survey.targets(data)
  if others:
    content['targets'] = others
  if has_images:
    if config.data.cache_dir:
      content['cache'] = store.check(config.data.cache_dir)
    content['images'] = image_survey.describe_failures(data, seen)
    content['duplicates'] = image_survey.duplicates(data, seen)
    content['statistics'] = image_survey.statistics(
      data, seen, image_size=config.data.image_size
    )
    num_strips = survey.num_strips(data)
    count = min(config.inspect.images_per_label, _PICTURES // num_strips)
    content['examples'] = survey.examples(
      data, seen, count=count, seed=config.seed
    )
  return content


def _print(content, page) -> None:
  """Prints the counts, the findings but for mere notes, and the page."""
  from aubal_jax.inspection import findings

  rows, images = content['rows'], content['images']
  parts = [f'{rows[name]:,} {name}' for name in rows if rows[name]]
  seen = ''
  if images:
    seen = f'{images["readable"]:,} of {images["images"]:,} images readable, '
  print(
    f'inspect: {seen}{", ".join(parts)} rows, '
    f'{len(content["label_names"]):,} label(s), '
    f'{content["labelsets"]["labelsets"]:,} labelset(s) in train'
  )
  for entry in content.get('targets', ()):
    print(
      f'inspect: target {entry["name"]}, {entry["kind"]}: known in '
      f'{entry["known"]["all"]:,} rows'
    )
  short, _ = findings.headline(content['findings'])
  print(f'inspect: {short[0].lower()}{short[1:]}')
  found = [x for x in content['findings'] if x['level'] != 'note']
  for entry in found[:_PRINTED]:
    names = [*entry['names'][:2], *['...'] * (len(entry['names']) > 2)]
    some = f' ({", ".join(names)})' if names else ''
    print(f'  {entry["level"]}: {entry["what"]}{some}')
  if len(found) > _PRINTED:
    print(f'  and {len(found) - _PRINTED} more, see the page')
  print(f'inspect: {page}', flush=True)
