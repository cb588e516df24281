"""The task inspect: what it finds, says and draws, and what it leaves alone."""

import base64
import os
import random
import re
import time

import cv2
import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.inspection import findings
from aubal_jax.inspection import page as page_lib
from aubal_jax.media import images
from aubal_jax.media import store
from aubal_jax.runs import files
from aubal_jax.runs import workdir
from tests.makers import damage
from tests.makers import fake_data
from tests.report import test_report

SPLITS = ('train', 'train', 'validation', 'test')
NAMES = ('a', 'b <script>', '$c$')


def write_set(folder, num_images=48):
  """Writes a set in which nothing is wrong; returns its lines, head first."""
  rng = np.random.default_rng(0)
  (folder / 'images').mkdir(parents=True)
  lines = [['path', 'split', 'subject', *NAMES]]
  for k in range(num_images):
    pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
    cv2.imwrite(str(folder / f'images/{k}.png'), pixels)
    # All combinations in each split, each subject in one.
    bits = [(k // 4) >> bit & 1 for bit in range(3)]
    split = SPLITS[k % 4]
    lines.append([f'images/{k}.png', split, f'{split}{k // 16}', *bits])
  write_table(folder, lines)
  return lines


def write_table(folder, lines):
  text = '\n'.join(','.join(map(str, line)) for line in lines)
  (folder / 'table.csv').write_text(text + '\n')


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = settings.default()
  c.data.name = 'manifest'
  c.data.path = str(tmp_path / 'data' / 'table.csv')
  c.data.image_size = 32
  c.inspect.near_empty = 2
  c.inspect.images_per_label = 3
  return c


def run(config, path, task='inspect', **options):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter(), **options)
  if task == 'inspect':
    return files.read_json(path / 'inspect.json')
  return None


def words(content, level=None):
  found = content['findings']
  return [x['what'] for x in found if level in (None, x['level'])]


def page_of(path):
  return test_report.Page((path / 'inspect.html').read_text())


def test_nothing_wrong_is_said(config, tmp_path, capsys):
  write_set(tmp_path / 'data')
  content = run(config, tmp_path / 'run')
  assert content['findings'] == []
  assert 'inspect: nothing odd was found\n' in capsys.readouterr().out
  page = page_of(tmp_path / 'run')
  assert (
    '<h1>Nothing odd was found</h1>'
    in (tmp_path / 'run/inspect.html').read_text()
  )
  assert page.tags.count('img') == 4 * 3  # Three labels, and none.
  assert {p.name for p in (tmp_path / 'run').iterdir()} == {
    *workdir.WRITES['inspect'],
    'config.json',
  }


def test_damaged_files_of_the_cache_are_found(config, tmp_path):
  write_set(tmp_path / 'data')
  config.data.cache_dir = str(tmp_path / 'cache')
  data = fake_data.load_manifest(config.data.path)
  pixels = images.Pixels(image_size=16)
  store.open_images(
    data, np.arange(20), pixels, cache_dir=config.data.cache_dir
  )
  content = run(config, tmp_path / 'run')
  assert content['cache'] == {'shards': 1, 'unchecked': 0, 'damaged': []}
  assert content['findings'] == []
  (shard,) = (tmp_path / 'cache').rglob('*.npy')
  rng = random.Random(0)
  for _ in range(3):
    time_ns = shard.stat().st_mtime_ns
    place = 8 * shard.stat().st_size - 1 - rng.randrange(4000)
    held = damage.flip_bit(shard, place)
    os.utime(shard, ns=(time_ns, time_ns))
    content = run(config, tmp_path / 'run')
    (entry,) = content['findings']
    assert (
      entry['what'] == '1 file is damaged of the 1 that hold decoded images.'
    )
    assert entry['names'] == [str(shard)] and entry['level'] == 'wrong'
    shard.write_bytes(held)
  (shard.with_suffix('.json')).unlink()
  assert words(run(config, tmp_path / 'run'), 'note') == [
    '1 file has no checksum of the images in it: of an earlier version.'
  ]


def spoil(folder, lines):
  images = folder / 'images'
  (images / '0.png').unlink()
  (images / '1.png').write_bytes(b'no image')
  (images / '7.png').write_bytes((images / '4.png').read_bytes())
  (images / '12.png').write_bytes((images / '8.png').read_bytes())
  cv2.imwrite(str(images / '5.png'), np.zeros((40, 40), np.uint8))
  deep = np.arange(1600, dtype=np.uint16).reshape(40, 40)
  cv2.imwrite(str(images / '9.png'), deep)
  lines[0] += ['zero', 'again', 'not', 'never']
  for line in lines[1:]:
    line += [0, line[3], 1 - line[3], '']
  lines[21][2] = lines[22][2]  # Train and train; 23 is validation.
  lines[23][2] = lines[22][2]
  write_table(folder, lines)


def test_what_is_wrong_is_said_the_worst_first(config, tmp_path, capsys):
  spoil(tmp_path / 'data', write_set(tmp_path / 'data'))
  content = run(config, tmp_path / 'run')
  assert words(content, 'wrong') == [
    '1 image cannot be read: not an image that can be decoded.',
    '1 of 48 rows cannot be used: no image file.',
    '1 image is in both train and test, byte for byte.',
    '1 image is there more than once with different labels.',
    '1 group (subject, video) has images in more than one split.',
    '1 label is unknown in every row.',
    '1 label is 0 in every row.',
    '1 image is of 16 bits, but with values of at most 1,599: nearly black '
    'once the high 8 bits are taken.',
  ]
  assert words(content, 'odd') == [
    '1 row repeats an image of the same split (1 in train).',
    '1 pair of labels is equal in every row.',
    '2 pairs of labels are opposite in every row.',
    '1 image is of one colour all over.',
    '2 images are nearly black.',
  ]
  levels = [findings.LEVELS.index(x['level']) for x in content['findings']]
  assert levels == sorted(levels)
  assert all(x['mend'] for x in content['findings'])
  assert content['images']['readable'] == 46
  assert content['images']['missing'] == 1
  twice = content['findings'][3]
  assert twice['names'] == ['images/8.png = images/12.png (a, again, not)']
  text = page_of(tmp_path / 'run').whole_text()
  said = capsys.readouterr().out
  assert 'inspect: 8 things to mend, 5 to look at\n' in said
  source = (tmp_path / 'run/inspect.html').read_text()
  assert (
    '<body>\n<main>\n<h1>8 things to mend, 5 to look at<small>1 image cannot '
    'be read; 1 of 48 rows cannot be used; 1 image is in both train and test, '
    'byte for byte; and 10 more.</small></h1>'
  ) in source
  for what in words(content, 'wrong'):
    assert what in text
    assert what in said
  assert 'images/1.png' in text and 'images/0.png' in text


def test_the_headline_counts_what_is_to_do_and_names_the_worst():
  rng = random.Random(0)
  for _ in range(300):
    levels = sorted(
      rng.choices(findings.LEVELS, k=rng.randrange(7)),
      key=findings.LEVELS.index,
    )
    found = [
      {'level': level, 'what': f'{k} <b> are so: for {level}.'}
      for k, level in enumerate(levels)
    ]
    num_wrong, num_odd = (levels.count(level) for level in ('wrong', 'odd'))
    short, told = findings.headline(found)
    counts = [int(word) for word in re.findall(r'\d+', short)]
    assert counts == [n for n in (num_wrong, num_odd) if n]
    assert ('to mend' in short) == bool(num_wrong)
    assert ('to look at' in short) == bool(num_odd)
    assert ('Nothing odd' in short) == (not counts) == (not told)
    assert ('1 thing ' in short) == (counts[:1] == [1])
    total = sum(counts)
    names = [f'{k} <b> are so' for k in range(total)]
    assert told.startswith('; '.join(names[:3]))
    more = re.findall(r'; and (\d+) more\.$', told)
    assert more == ([str(total - 3)] if total > 3 else [])


def test_equal_data_give_equal_files(config, tmp_path):
  spoil(tmp_path / 'data', write_set(tmp_path / 'data'))
  for name in ('one', 'two'):
    run(config, tmp_path / name)
  for name in workdir.WRITES['inspect']:
    first = (tmp_path / 'one' / name).read_bytes()
    assert first == (tmp_path / 'two' / name).read_bytes()


def test_it_looks_again_each_time(config, tmp_path):
  write_set(tmp_path / 'data')
  run(config, tmp_path / 'run')
  (tmp_path / 'data/images/3.png').write_bytes(b'')
  content = run(config, tmp_path / 'run')
  assert words(content) == ['1 image cannot be read: the file is empty.']


def test_a_run_that_drops_what_is_bad_shares_its_folder(config, tmp_path):
  write_set(tmp_path / 'data')
  (tmp_path / 'data/images/0.png').write_bytes(b'no image')
  config.data.unreadable = 'drop'
  run(config, tmp_path / 'run')
  run(config, tmp_path / 'run', 'balance')
  content = run(config, tmp_path / 'run')
  assert content['rows']['dropped'] == 0  # As read, before images are opened.
  run(config, tmp_path / 'run', 'balance')
  config.data.image_size = 64
  with pytest.raises(ValueError, match=r'data\.image_size: 32 there, 64 now'):
    run(config, tmp_path / 'run')


def test_drawn_faces_and_labels_alone(tmp_path):
  config = settings.default()
  config.data.num_train = 30
  config.data.num_validation = config.data.num_test = 10
  config.data.image_size = 32
  content = run(config, tmp_path / 'faces')
  assert content['images']['readable'] == 50
  assert content['groups']['groups'] > 3
  assert page_of(tmp_path / 'faces').tags.count('img') > 8
  table = np.array([[1, 0], [0, 1], [1, 1], [1, 0]] * 30)
  np.savez(tmp_path / 'labels.npz', labels=table, label_names=['x', 'y'])
  config.data.name = 'labels'
  config.data.path = str(tmp_path / 'labels.npz')
  content = run(config, tmp_path / 'labels')
  assert content['images'] is None and content['findings'] == []
  page = page_of(tmp_path / 'labels')
  assert 'There are no images, only labels.' in page.whole_text()
  assert 'img' not in page.tags


def test_the_page_is_self_contained_and_safe(config, tmp_path):
  write_set(tmp_path / 'data')
  run(config, tmp_path / 'run')
  page = page_of(tmp_path / 'run')
  assert 'script' not in page.tags
  assert 'b <script>' in page.whole_text()
  for name in ('src', 'href'):
    assert all(v.startswith(('data:', '#')) for v in page.values(name))
  data = re.search(r'base64,(\S+)', page.values('src')[0])[1]
  pixels = np.frombuffer(base64.b64decode(data), np.uint8)
  assert cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED).shape == (40, 40, 3)


def test_a_page_of_many_labels_stays_small(config, tmp_path):
  lines = write_set(tmp_path / 'data')
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 256, (200, 200, 3), np.uint8)
  for k in range(48):
    noise[0, 0] = k
    cv2.imwrite(str(tmp_path / f'data/images/{k}.png'), noise)
  lines[0][3:] = [f'label{k}' for k in range(20)]
  for line in lines[1:]:
    line[3:] = rng.integers(0, 2, 20)
  write_table(tmp_path / 'data', lines)
  config.inspect.images_per_label = 8
  run(config, tmp_path / 'run')
  assert page_of(tmp_path / 'run').tags.count('img') == 20 * 8
  assert (tmp_path / 'run/inspect.html').stat().st_size < 5e6


def test_a_picture_that_is_gone_is_left_out(config, tmp_path):
  write_set(tmp_path / 'data')
  content = run(config, tmp_path / 'run')
  page_lib.write_page(tmp_path / 'inspect.html', content, {})
  assert 'img' not in page_of(tmp_path).tags


def entry(**fields):
  split = {'positives': 20, 'negatives': 20, 'unknown': 0, 'share': 0.5}
  return {
    'name': 'x',
    'positives': 60,
    'negatives': 60,
    'groups': None,
    'sources': None,
    'known_sources': None,
    'splits': dict.fromkeys(('train', 'validation', 'test'), split),
  } | fields


def without(split):
  splits = entry()['splits']
  return splits | {split: splits[split] | {'positives': 0}}


@pytest.mark.parametrize(
  ('fields', 'what'),
  [
    ({}, None),
    ({'positives': 0, 'negatives': 0}, 'unknown in every row'),
    ({'positives': 0}, '0 in every row'),
    ({'negatives': 0}, '1 in every row'),
    ({'splits': without('train')}, 'never 1 in train, though elsewhere'),
    ({'splits': without('validation')}, 'never 1 in validation'),
    ({'splits': without('test')}, 'never 1 in test'),
    ({'negatives': 9}, 'in fewer than 10 rows'),
    ({'negatives': 10}, None),
    ({'groups': 1}, '1 label has positives in one group only'),
    ({'groups': 2}, None),
    # One positive is in one group whatever the groups are.
    ({'groups': 1, 'positives': 1}, 'in fewer than 10 rows'),
    (
      {'sources': ['s'], 'known_sources': ['s', 't']},
      '1 label has positives in one source only',
    ),
    ({'sources': ['s'], 'known_sources': ['s']}, 'known in one source only'),
    ({'sources': ['s', 't'], 'known_sources': ['s', 't']}, None),
  ],
)
def test_suspicious_labels(config, tmp_path, fields, what):
  write_set(tmp_path / 'data')
  content = run(config, tmp_path / 'run')
  content['labels'] = [entry(**fields)]
  found = findings.find(content)
  assert len(found) == (what is not None)
  if what:
    assert what in found[0]['what']
    assert found[0]['names'] == ['x']


def test_labelsets_never_seen_and_nearly_empty_are_notes(config, tmp_path):
  lines = write_set(tmp_path / 'data')
  for line in lines[1:]:  # The combination of all labels is left to test.
    if line[1] == 'train' and line[3:] == [1, 1, 1]:
      line[5] = 0
  write_table(tmp_path / 'data', lines)
  config.inspect.near_empty = 3
  content = run(config, tmp_path / 'run')
  found = content['labelsets']
  assert found['labelsets'] == 7
  assert found['unseen']['test'] == {'labelsets': 1, 'rows': 1}
  # Of 12 rounds of eight combinations four come twice, in two rows each.
  assert found['near_empty'] == 3
  assert found['near_empty_rows'] == 6
  assert words(content, 'wrong') == words(content, 'odd') == []
  assert len(words(content, 'note')) == 3
