"""What README and docs/ show is so."""

import difflib
import functools
import importlib
import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib

import click
import ml_collections
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import aubal_jax as aubal
from aubal_jax import settings
from aubal_jax import short_form
from aubal_jax.runs import errors

ROOT = pathlib.Path(__file__).parents[1]
PAGES = {
  str(path.relative_to(ROOT)): path.read_text()
  for path in [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
}
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
FENCE = re.compile(r'^( *)```(\w*)\n(.*?)^ *```$', re.S | re.M)


def blocks_of(text, language):
  """The blocks of code in a language."""
  return [code for _, name, code in FENCE.findall(text) if name == language]


def spans_of(text):
  """What stands in the prose as code."""
  text = FENCE.sub('', text)
  spans = re.findall(r'`([^`]+)`', text)
  return [' '.join(span.replace('\\|', '|').split()) for span in spans]


# Python.


def python_of(text):
  """The Python shown, with what its section begins with: (first, code)."""
  for section in re.split(r'^## ', text, flags=re.M):
    shown = blocks_of(section, 'python')
    yield from ((shown[0], code) for code in shown)


PYTHON = [
  pytest.param(name, *shown, id=f'{name}-{i}')
  for name, text in PAGES.items()
  for i, shown in enumerate(python_of(text))
]


@pytest.mark.parametrize(('page', 'first', 'code'), PYTHON)
def test_python_runs(page, first, code):
  if 'import torch' in code:
    pytest.importorskip(
      'torch', reason='PyTorch is 200 MB, and only this example needs it.'
    )
  names = {}
  exec(compile(first, page, 'exec'), names)
  if code != first:
    exec(compile(code, page, 'exec'), names)
  if 'batches' in names:
    # Whoever's loader it is, it goes over the rows of the plan.
    found = [
      (x.tolist(), y.tolist())
      for batch in names['batches']
      for x, y in zip(*map(np.asarray, batch), strict=True)
    ]
    rows = names['plan'].source
    features, labels = names['features'][rows], names['labels'][rows]
    expected = zip(features.tolist(), labels.tolist(), strict=True)
    assert sorted(found) == sorted(expected)


def test_others_are_shown():
  shown = '\n'.join(
    code for _, code in python_of(PAGES['docs/only-the-plan.md'])
  )
  for name in ('torch', 'tensorflow', 'grain', 'imblearn'):
    assert re.search(rf'^(import|from) {name}\b', shown, re.M), name


# Commands.


def commands_of(text):
  """The commands of a page, each a list of words, those in quotes as well."""
  lines = [
    line
    for block in blocks_of(text, 'bash')
    for line in block.replace('\\\n', ' ').splitlines()
  ]
  ours = r'(\w+=\S+ )?(\S*aubal_jax|scripts/\w+|python3?|pip|mkdocs) \S'
  lines += [span for span in spans_of(text) if re.match(ours, span)]
  for line in lines:
    yield from _split(shlex.split(line, comments=True))


def _split(words):
  nested = [word for word in words if ' scripts/' in word]
  if nested:
    yield from _split(shlex.split(nested[0].partition('=')[2]))
    return
  while '&&' in words:
    at = words.index('&&')
    yield words[:at]
    words = words[at + 1 :]
  if words:
    yield words


def check(words):
  """Raises an error unless these are the words of a command that parses."""
  while '=' in words[0]:
    name, _, extras = words[0].partition('=')
    assert name in ('AUBAL_EXTRAS', 'PYTHON') or name[:7] == 'SBATCH_', name
    if name == 'AUBAL_EXTRAS':
      _check_extras(extras)
    words = words[1:]
  if words[0] == 'srun':
    words = words[[w.startswith('-') for w in words[1:]].index(False) + 1 :]
  program, *rest = words
  rest = [word for word in rest if word != '...']
  if program in ('aubal_jax', '.venv/bin/aubal_jax', 'scripts/run'):
    _check_run(rest)
  elif program == 'scripts/test':
    assert {*rest} <= {'--long'}, rest
  elif program == 'python' and rest[:2] == ['-m', 'aubal_jax.main']:
    _check_run(rest[2:])
  elif program == 'python':
    _check_script(*rest)
  elif program == 'dask':
    _check_dask(*rest)
  elif program == 'pip':
    assert rest[0] == 'install', rest
    _check_extras(rest[1].partition('[')[2].rstrip(']'))
    assert rest[1][0] == '.', rest
  else:
    assert [program, *rest] in (['mkdocs', 'serve'], ['cd', 'aubal_jax'])


def _check_extras(names):
  for name in names.split(',') if names else ():
    assert name in PROJECT['optional-dependencies'], name


def _check_dask(what, *rest):
  module = importlib.import_module(f'distributed.cli.dask_{what}')
  try:
    module.main.make_context(what, [*rest])
  except click.ClickException as error:
    raise AssertionError(str(error)) from error


def _check_script(path, *rest):
  source = (ROOT / path).read_text()
  known = re.findall(r"add_argument\(\s*'(--\w+)'", source)
  known += [
    f'--{name}' for name in re.findall(r"DEFINE_\w+\(\s*'(\w+)'", source)
  ]
  passes_on = 'parse_known_args' in source  # To the command.
  for flag in rest:
    name = flag.partition('=')[0]
    if passes_on and name.startswith('--config.'):
      settings.find(name.removeprefix('--config.'))
      continue
    assert name in (*known, '--help') or not name.startswith('-'), flag


def _check_run(arguments):
  """Checks the arguments of the command, in the short form or the long one."""
  if 'TASK' in arguments or '--help' in arguments:
    assert {*arguments} <= {'TASK', '--help', '[INPUT', '[--KEY=VALUE', '...]'}
    return
  if not arguments:
    return
  if not arguments[0].startswith('-'):
    arguments = short_form.expand(arguments)
  arguments = [re.sub(r'\$\w+', '0', word) for word in arguments]
  own = dict(word.partition('=')[::2] for word in arguments)
  own.pop('--workdir', None)
  own.pop('--overwrite', None)
  config = _config(own.pop('--config', 'configs/quickstart.py'))
  for flag, value in own.items():
    assert flag.startswith('--config.'), flag
    set_to(config, flag.removeprefix('--config.'), value)
  settings.check(config)


@functools.cache
def _file_of(name):
  return runpy.run_path(str(ROOT / short_form.find_config(name)))


def _config(name):
  if name == '...' or name.endswith('/best.py'):  # Which a search writes.
    return settings.default()
  return _file_of(name)['get_config']()


def set_to(config, name, value):
  """Sets a setting to what a text stands for, and checks it alone."""
  setting = settings.find(name)
  value = setting.parse(value)
  setting.check(value, look_up=True)
  section, _, key = name.rpartition('.')
  with config.unlocked():
    (config[section] if section else config)[key] = value


COMMANDS = [
  pytest.param(words, id=f'{name}-{i}')
  for name, text in PAGES.items()
  for i, words in enumerate(commands_of(text))
]


@pytest.mark.parametrize('words', COMMANDS)
def test_commands_parse(words):
  check(words)


FLAGS = [
  (words, i)
  for words in (param.values[0] for param in COMMANDS)
  for i, word in enumerate(words)
  if word.startswith('--') and words[0] != 'srun'  # Its own are not ours.
]


@given(st.sampled_from(FLAGS), st.integers(2, 100))
def test_a_flag_with_a_slip_is_found(flag, at):
  words, i = flag
  name, equals, value = words[i].partition('=')
  at = 2 + at % (len(name) - 2)
  slip = name[:at] + 'x' + name[at:]
  with pytest.raises((AssertionError, errors.UserError)):
    check([*words[:i], slip + equals + value, *words[i + 1 :]])


@pytest.mark.parametrize('page', PAGES)
def test_settings_in_the_prose_exist(page):
  sections = {key.split('.')[0] for key in settings.SETTINGS if '.' in key}
  config = ml_collections.ConfigDict(settings.default().to_dict())
  for span in spans_of(PAGES[page]):
    found = re.match(r'(?:c\.|--)?(([a-z_]\w+)\.[a-z]\w+)(?:=(.*))?$', span)
    files = ('py', 'csv', 'png', 'json', 'html', 'md', 'yml')
    if not found or found[2] not in sections:
      continue
    name, value = found[1], found[3]
    if name.rpartition('.')[2] in files:
      continue
    assert name in settings.SETTINGS, span
    if value and not value.isupper():
      set_to(config, name, value)


def test_settings_of_tables_exist():
  text = PAGES['docs/your-data.md'].partition('behind `--data.`')[2]
  config = ml_collections.ConfigDict(settings.default().to_dict())
  given = [
    word.partition('=')
    for span in spans_of(text)
    if not span.startswith('--')
    for word in shlex.split(span)
    if re.match(r'[a-z_]+=', word)
  ]
  assert len(given) > 10
  for name, _, value in given:
    set_to(config, f'data.{name}', value)


# Files and links.


def slugs_of(text):
  headings = re.findall(r'^#+ (.*)$', FENCE.sub('', text), re.M)
  plain = [re.sub(r'[^\w -]', '', heading.lower()) for heading in headings]
  return {heading.replace(' ', '-') for heading in plain} | {
    *re.findall(r'<a id="([^"]+)"></a>', text)
  }


def links_of(text):
  text = re.sub(r'`[^`]*`', '', FENCE.sub('', text))
  return re.findall(r'\]\(((?!http)[^)\s]+)\)', text)


def check_link(page, link):
  """Raises AssertionError unless a link of a page leads somewhere."""
  path, _, anchor = link.partition('#')
  target = (ROOT / page).parent / path if path else ROOT / page
  assert target.exists(), link
  if page != 'README.md':  # The site has the folder docs/ alone.
    assert target.parent == ROOT / 'docs', link
  assert not anchor or anchor in slugs_of(target.read_text()), link


LINKS = [(page, link) for page, t in PAGES.items() for link in links_of(t)]


def test_links_lead_somewhere():
  assert len(LINKS) > 40
  for page, link in LINKS:
    check_link(page, link)


@given(st.sampled_from(LINKS), st.integers(0, 1000))
def test_a_link_with_a_slip_is_found(link, at):
  page, target = link
  at %= len(target)
  at += target[:at].endswith('/') or target[at] == '.'
  with pytest.raises(AssertionError):
    check_link(page, target[:at] + 'x' + target[at:])


def test_all_pages_are_reached():
  links = [link.partition('#')[0] for link in links_of(PAGES['docs/index.md'])]
  linked = {link for link in links if not link.endswith('.png')}
  pages = {path.name for path in (ROOT / 'docs').glob('*.[mi][dp]*')}
  assert linked | {'index.md'} == pages


@pytest.mark.parametrize('page', PAGES)
def test_files_exist(page):
  named = r'(?:configs|scripts|requirements)/[\w.]+'
  for path in re.findall(named, PAGES[page]):
    assert (ROOT / path.rstrip('.')).exists(), path


def test_readme_is_read_to_the_end():
  assert len(PAGES['README.md'].splitlines()) <= 120


def build(folder, site):
  """Builds the site of a folder with mkdocs.yml; returns how it ended."""
  return subprocess.run(
    [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', str(site)],
    cwd=folder,
    env=os.environ | {'NO_MKDOCS_2_WARNING': '1'},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def test_the_site_builds_and_tells_what_leads_nowhere(tmp_path):
  done = build(ROOT, tmp_path / 'site')
  assert done.returncode == 0, done.stderr
  shutil.copy(ROOT / 'mkdocs.yml', tmp_path)
  shutil.copytree(ROOT / 'docs', tmp_path / 'docs')
  page = tmp_path / 'docs/scale-out.md'
  page.write_text(page.read_text().replace('.md#exit', '.md#exits'))
  assert 'exits-statuses' in build(tmp_path, tmp_path / 'other').stderr


# Pages made from the code, and what quotes it.


@pytest.fixture(scope='module')
def make_docs():
  return runpy.run_path(str(ROOT / 'scripts/make_docs.py'))


@pytest.mark.parametrize('name', ['settings.md', 'python.md'])
def test_made_pages_are_what_the_script_writes(make_docs, name):
  made, held = make_docs['PAGES'][name](), PAGES[f'docs/{name}']
  changes = difflib.unified_diff(held.splitlines(), made.splitlines(), n=0)
  assert made == held, '\n'.join(['scripts/make_docs.py writes:', *changes])


def test_every_setting_is_there_with_its_default():
  rows = re.findall(
    r'^\| `([\w.]+)` = `(.*?)` \|', PAGES['docs/settings.md'], re.M
  )
  assert [name for name, _ in rows] == [*settings.SETTINGS]
  for name, shown in rows:
    shown = '' if shown == "''" else shown
    setting = settings.SETTINGS[name]
    assert setting.parse(shown) == setting.default, name


def test_every_public_name_is_there():
  names = re.findall(r'^## (\w+)', PAGES['docs/python.md'], re.M)
  assert names == aubal.__all__


@functools.cache
def source():
  """The code, texts that are in several pieces put together."""
  files = [*(ROOT / 'aubal_jax').rglob('*.py'), ROOT / 'scripts/setup_env']
  text = '\n'.join(path.read_text() for path in files)
  text = re.sub(r"""(['"])\s*\n\s*[rf]*(['"])""", '', text)
  return text.replace("\\'", "'")


def is_said(message):
  """Whether the code has all parts of a message, whose rest stands at …."""
  parts = [part.strip() for part in message.split('…')]
  return all(part in source() for part in parts)


def messages():
  _, _, text = PAGES['docs/troubleshooting.md'].partition('## Installing')
  cells = re.findall(r'^\| (`.*?`) \| ', text, re.M)
  return [message for cell in cells for message in re.findall('`(.*?)`', cell)]


def test_messages_are_those_of_the_code():
  assert len(messages()) > 30
  assert not [message for message in messages() if not is_said(message)]


@given(st.sampled_from(messages()), st.integers(0, 1000))
def test_a_message_of_nobody_is_found(message, at):
  part = max(message.split('…'), key=len).strip()
  at %= len(part)
  assert not is_said(part[:at] + '@~' + part[at:])


def test_the_citation_names_this_software_and_the_paper():
  cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
  assert cited['cff-version'] == '1.2.0'
  assert (cited['title'], cited['type']) == (PROJECT['name'], 'software')
  assert cited['version'] == PROJECT['version'] == aubal.__version__
  assert cited['license'] == PROJECT['license']
  [paper] = cited['references']
  for entry in (cited, paper):
    assert {'title', 'authors', 'type'} <= {*entry}
  readme = ' '.join(PAGES['README.md'].split())
  assert paper['title'] in readme
  names = [author['family-names'] for author in paper['authors']]
  assert f'{names[0]}, {names[1]} and {names[2]}' in readme
  number = paper['identifiers'][0]['value'].partition(':')[2]
  assert f'[arXiv {number}]({paper["url"]})' in readme


def test_nothing_is_left_to_fill_in():
  for name in ('README.md', 'BUILD_NOTES.md', 'CHANGELOG.md'):
    assert '@@' not in (ROOT / name).read_text(), name
