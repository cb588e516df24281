"""Writes the pages of docs/ that are made from the code.

  python scripts/make_docs.py           # docs/settings.md and docs/python.md

Settings come from their declarations, Python from the docstrings of the public
names. A test compares the files with what is written here.
"""

import argparse
import dataclasses
import importlib
import inspect
import pathlib
import re
import sys
import textwrap

DOCS = pathlib.Path(__file__).resolve().parents[1] / 'docs'
sys.path.insert(0, str(DOCS.parent))  # This tree, whatever is installed.

import aubal_jax as aubal  # noqa: E402
from aubal_jax import settings  # noqa: E402

_SETTINGS = """\
# Settings

Every setting, with its default, from `aubal_jax/settings.py`. On the command
line of `aubal_jax TASK` it is `--NAME=VALUE`, in the long form
`--config.NAME=VALUE`, in a configuration file `c.NAME = VALUE`. Values of a
tuple stand between commas. `aubal_jax TASK --help` lists those of a task.
"""

_PYTHON = """\
# Python

The public names of `import aubal_jax as aubal`, from their docstrings. N
images, L labels, S labelsets, M rows of a plan. Nothing here needs TensorFlow.
What methods there are: [Compare methods](compare.md#the-methods); objectives
and solvers: [The certificate](certificate.md).
"""

# What stands in a docstring, in the order of Google's style.
_SECTIONS = ('Args', 'Attributes', 'Returns', 'Raises', 'Examples')


def settings_page() -> str:
  """Returns docs/settings.md: a table for each section."""
  lines = [_SETTINGS]
  by_section = {}
  for setting in settings.SETTINGS.values():
    section = setting.name.rpartition('.')[0]
    by_section.setdefault(section, []).append(setting)
  for section, declared in by_section.items():
    lines += [f'## {section or "Of all"}\n', '| setting | what | may be |']
    lines += ['|---|---|---|', *map(_row, declared), '']
  return '\n'.join(lines).rstrip('\n') + '\n'


def _row(setting) -> str:
  """Returns the line of a setting."""
  default = setting.default
  shown = ','.join(map(str, default)) if isinstance(default, tuple) else default
  if shown == '':
    shown = '()' if default == () else "''"
  cells = (f'`{setting.name}` = `{shown}`', setting.meaning, _rule(setting))
  return f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |'


def _rule(setting) -> str:
  """Returns what a setting may be, the same on every machine."""
  if setting.registry:
    module, _, name = setting.registry.partition(':')
    choices = [*getattr(importlib.import_module(module), name)]
  else:
    choices = [*setting.choices]
  if choices:
    lead = 'several of ' if isinstance(setting.default, tuple) else ''
    return lead + ', '.join(
      f'`{one}`' if one != '' else "`''`" for one in choices
    )
  if callable(setting.most):
    rule = dataclasses.replace(setting, most=None).rule()
    return f'{rule}, at most four a core (or 16)'
  return setting.rule()


def python_page() -> str:
  """Returns docs/python.md: a section for each public name."""
  parts = [_PYTHON]
  for name in aubal.__all__:
    entry = getattr(aubal, name)
    parts += [f'## {name}\n', _signature(f'aubal.{name}', entry)]
    parts.append(_as_markdown(inspect.getdoc(entry)))
    owner, shown = name, entry
    if found := _returned(entry):
      owner, shown = found.__name__, found
      parts += [f'### {owner}\n', _as_markdown(inspect.getdoc(found))]
    for member, value in _members(shown).items():
      parts.append(f'### {owner}.{member}\n')
      if inspect.isfunction(value):
        parts.append(_signature(member, value))
      parts.append(_as_markdown(inspect.getdoc(value)))
  return '\n'.join(parts).rstrip('\n') + '\n'


def _returned(entry):
  """Returns the class of ours that a function returns, if not public itself."""
  if not inspect.isfunction(entry):
    return None
  name = inspect.signature(entry).return_annotation
  found = vars(sys.modules[entry.__module__]).get(name)
  is_ours = inspect.isclass(found) and found.__module__ == entry.__module__
  return found if is_ours and name not in aubal.__all__ else None


def _members(entry):
  """Returns the documented public methods and properties of a class."""
  if not inspect.isclass(entry) or issubclass(entry, Exception):
    return {}
  found = {}
  for owner in entry.__mro__:
    if not owner.__module__.startswith('aubal_jax'):
      continue
    for name, value in vars(owner).items():
      is_shown = inspect.isfunction(value) or isinstance(value, property)
      if is_shown and not name.startswith('_') and inspect.getdoc(value):
        found.setdefault(name, value)
  return found


def _signature(name: str, entry) -> str:
  """Returns how a function is called, in a block; of results and errors ''."""
  if dataclasses.is_dataclass(entry) or not callable(entry):
    return ''
  if inspect.isclass(entry) and issubclass(entry, Exception):
    return ''
  signature = inspect.signature(entry)
  shown = [
    parameter.replace(annotation=parameter.empty)
    for parameter in signature.parameters.values()
    if parameter.name != 'self'
  ]
  words = str(signature.replace(parameters=shown, return_annotation=str))
  line = name + words.rpartition(' -> ')[0]
  return f'```py\n{_wrapped(line)}\n```\n'


def _wrapped(line: str) -> str:
  """Returns a call in lines of at most 80 columns."""
  if len(line) <= 80:
    return line
  start, _, rest = line.partition('(')
  inner = textwrap.fill(
    rest.removesuffix(')'), 76, break_long_words=False, break_on_hyphens=False
  )
  return f'{start}(\n{textwrap.indent(inner, "    ")},\n)'


def _as_markdown(doc: str) -> str:
  """Returns a docstring of Google's style as Markdown."""
  parts = re.split(rf'^({"|".join(_SECTIONS)}):\n', doc, flags=re.M)
  out = [_prose(parts[0])]
  for title, body in zip(parts[1::2], parts[2::2], strict=True):
    body = textwrap.dedent(body).strip('\n')
    out.append(f'**{title}**\n')
    if title == 'Examples':
      out.append(f'```pycon\n{body}\n```\n')
    elif title == 'Returns':
      out.append(_prose(body))
    else:
      out += [*map(_entry, re.split(r'\n(?=\S)', body)), '']
  return '\n'.join(out)


def _entry(text: str) -> str:
  """Returns 'name: what it is' as a line of a list."""
  name, colon, meaning = ' '.join(text.split()).partition(': ')
  if not colon or not re.fullmatch(r'\**\w+', name):
    return f'* {name}{colon}{meaning}'
  return f'* `{name}`: {meaning}'


def _prose(text: str) -> str:
  """Returns paragraphs; those that are set in are blocks of text."""
  blocks = []
  for paragraph in re.split(r'\n{2,}', text.strip('\n')):
    if all(line.startswith('  ') for line in paragraph.splitlines()):
      paragraph = f'```text\n{textwrap.dedent(paragraph)}\n```'
    blocks.append(paragraph + '\n')
  return '\n'.join(blocks)


PAGES = {'settings.md': settings_page, 'python.md': python_page}


def main():
  """Writes both pages."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.parse_args()
  for name, make in PAGES.items():
    (DOCS / name).write_text(make(), encoding='utf-8')
    print(DOCS / name)


if __name__ == '__main__':
  main()
