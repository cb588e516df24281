"""The short form of the command, `aubal_jax TASK [INPUT ...]`, and its help.

What runs is the long form that it stands for, `python -m aubal_jax.main
--config=...`. Help comes from `settings`.
"""

from __future__ import annotations

import pathlib
import re
import shlex
import types
import typing
from collections.abc import Iterable
from collections.abc import Sequence

from aubal_jax import settings
from aubal_jax.runs import errors
from aubal_jax.runs import setting as setting_lib
from aubal_jax.runs import text


class Task(typing.NamedTuple):
  """How the short form of a task is written.

  Attributes:
    meaning: what it does, for its line in the help.
    inputs: what may stand behind it, for people.
    config: the packaged configuration where there is no input.
    with_input: that with one.
    data: the kind of `data.name` that an input is read as; '': the config's.
  """

  meaning: str
  inputs: str = '[TABLE]'
  config: str = 'quickstart'
  with_input: str = 'manifest'
  data: str = ''


TASKS = types.MappingProxyType(
  {
    'run': Task(
      'Every stage not done yet: balance, train, evaluate, ... report.'
    ),
    'balance': Task(
      'The plan: which rows to train on, how often. Certified.',
      config='balance',
      with_input='balance',
    ),
    'keep': Task(
      'The rows to keep: a share of them, with even labels. Certified.',
      config='keep',
      with_input='keep',
    ),
    'inspect': Task('A page on the data: what is odd, rare, damaged, doubled.'),
    'train': Task('The network, on the plan of balance.'),
    'distill': Task('Students that learn from the network of a run.'),
    'evaluate': Task('Scores of the best checkpoint, with intervals.'),
    'controls': Task('The same training on other plans, to compare with.'),
    'report': Task('The page on a run.'),
    'predict': Task(
      'Images and clips, by the network of a run, or the mean of several.',
      'RUN[,RUN...] [INPUT ...]',
    ),
    'export': Task(
      'The network of a run, or the mean of several, as one file.',
      'RUN[,RUN...]',
    ),
    'compare': Task(
      'Methods of balancing, with folds and seeds, and their ranks.',
      '[TABLE ...]',
      'compare',
      'compare',
    ),
    'search': Task(
      'A recipe before any plan: rates, first weights, losses.',
      config='search',
      with_input='search',
      data='manifest',
    ),
    'frontier': Task(
      'Evenness against the size of the plan.',
      config='balance',
      with_input='balance',
    ),
    'optimizers': Task(
      'The solver and its rivals, on one problem.',
      config='optimizers',
      with_input='optimizers',
      data='labels',
    ),
  }
)

# Tables without images; `inspect` and others read them as such.
_LABELS = re.compile(r'(tfds:.*|.*\.(npz|npy|arff))', re.I)
_OWN = ('--workdir', '--overwrite', '--nooverwrite', '--config')
_RUNS = '--config.ensemble.runs='
_WIDTH = 78


def expand(arguments: Sequence[str]) -> list[str]:
  """Returns the long form of `TASK [INPUT ...] [--KEY=VALUE ...]`.

  Args:
    arguments: those of the command line; the first names a task.

  Raises:
    UserError: there is no such task or setting, or too many inputs.

  Examples:
    >>> expand(['balance', 'labels.csv', '--balance.upper=5'])
    ... # doctest: +NORMALIZE_WHITESPACE
    ['--config=balance', '--config.task=balance',
     '--config.data.path=labels.csv', '--config.balance.upper=5',
     '--workdir=runs/balance-labels']
  """
  name, *rest = arguments
  if name not in TASKS:
    raise errors.UserError(
      f'There is no task {name!r}.{text.suggest(name, TASKS)} The tasks are '
      f'{", ".join(TASKS)}; --help tells what they do.'
    )
  inputs, given = _parted(name, rest)
  config, flags, workdir = _of_inputs(name, inputs)
  long = [_long(name, flag) for flag in given]
  own = {flag.partition('=')[0] for flag in long}
  # The configuration comes first: the settings after it are of it.
  files = [flag for flag in long if flag.startswith('--config=')]
  if files and not inputs:  # What that file is of.
    workdir = f'runs/{name}-{_stem(files[-1].partition("=")[2])}'
  out = files or [f'--config={config}']
  out += [f'--config.task={name}', *flags]
  out += [flag for flag in long if flag not in files]
  for flag in out:
    if flag.startswith(_RUNS):
      workdir = _of_ensemble(flag.removeprefix(_RUNS))
  if '--workdir' not in own:
    out.append(f'--workdir={workdir}')
  return out


def _parted(task, arguments) -> tuple[list[str], list[str]]:
  """Returns the inputs and the flags; `--key value` becomes one."""
  inputs, flags = [], []
  rest = iter(arguments)
  for argument in rest:
    if not argument.startswith('-'):
      inputs.append(argument)
      continue
    name = argument.lstrip('-').partition('=')[0]
    is_switch = name in ('overwrite', 'nooverwrite') or _is_bool(task, name)
    if '=' not in argument and not is_switch:
      value = next(rest, None)
      if value is None:
        raise errors.UserError(f'{argument} has no value: {argument}=VALUE.')
      argument = f'{argument}={value}'
    flags.append(argument)
  return inputs, flags


def _is_bool(task: str, name: str) -> bool:
  name = _whole(task, name.removeprefix('config.'))
  return name in settings.SETTINGS and settings.SETTINGS[name].kind is bool


def _whole(task: str, name: str) -> str:
  """Returns the name of a setting; of the task's own the key alone will do."""
  own = f'{task}.{name}'
  return own if own in settings.SETTINGS else name


def _long(task: str, flag: str) -> str:
  """Returns a flag of the short form as the long one has it."""
  name, equals, value = flag.partition('=')
  name = f'--{name.lstrip("-")}'
  if name in _OWN or name.startswith('--config.'):
    return f'{name}{equals}{value}'
  found = settings.find(_whole(task, name.removeprefix('--')))
  return f'--config.{found.name}{equals}{value}'


def _of_inputs(name, inputs) -> tuple[str, list[str], str]:
  """Returns the configuration, flags for the inputs, and the folder."""
  task = TASKS[name]
  if name in ('predict', 'export'):
    return _of_trained(name, inputs)
  if not inputs:
    return task.config, [], f'runs/{name}-{task.config}'
  workdir = f'runs/{name}-{_stem(inputs[0])}'
  if name == 'compare':
    return (
      task.with_input,
      [f'--config.compare.data={",".join(inputs)}'],
      (workdir),
    )
  if len(inputs) > 1:
    raise errors.UserError(
      f'{name} takes one table, not {len(inputs)}: {text.listing(inputs)}. A '
      'table for each split is named by --data.validation_path and '
      '--data.test_path.'
    )
  data = 'labels' if _LABELS.fullmatch(inputs[0]) else task.data
  flags = [f'--config.data.name={data}'] if data else []
  flags.append(f'--config.data.path={inputs[0]}')
  return task.with_input, flags, workdir


def _of_trained(name, inputs) -> tuple[str, list[str], str]:
  """Returns the same for what takes a run that is trained."""
  if name == 'export' and len(inputs) != 1:
    raise errors.UserError(
      'export takes the folder of a run: aubal_jax export RUN '
      f'--export.format=onnx; here are {len(inputs)}.'
    )
  if not inputs:
    raise errors.UserError(
      'predict takes the folder of a run, and images, their folders or tables, '
      'and clips: aubal_jax predict RUN IMAGES CLIP.mp4.'
    )
  flags = [f'--config.predict.path={path}' for path in inputs[1:2]]
  if inputs[2:]:
    flags.append(f'--config.predict.also={(*inputs[2:],)!r}')
  if ',' in inputs[0] and not pathlib.Path(inputs[0]).exists():
    flags.append(f'{_RUNS}{inputs[0]}')
  return 'manifest', flags, inputs[0]


def _of_ensemble(runs: str) -> str:
  """Returns the folder of an ensemble, whose runs are 'a,b' in any order."""
  names = sorted({_stem(run.strip()) for run in runs.split(',') if run.strip()})
  return f'runs/ensemble-{"-".join(names)}'


def _stem(path: str) -> str:
  """Returns what a table is called, for the name of a folder."""
  name = pathlib.PurePath(path.rstrip('/')).name.partition('.')[0]
  return re.sub(r'[^\w-]+', '-', name) or 'table'


def in_words(arguments: Iterable[str]) -> str:
  """Returns the long form as one would type it."""
  return shlex.join(['python', '-m', 'aubal_jax.main', *arguments])


def help_text(task: str = '') -> str:
  """Returns the help of a task: its settings; or of all: what they do.

  Args:
    task: a name in TASKS, or '' for all.
  """
  if not task:
    lines = [f'  {f"{n} {t.inputs}":21} {t.meaning}' for n, t in TASKS.items()]
    return '\n'.join(
      [
        'Usage: aubal_jax TASK [INPUT ...] [--workdir=DIR] [--KEY=VALUE ...]',
        '   or: aubal_jax --config=FILE_OR_NAME --workdir=DIR '
        '[--config.KEY=VALUE ...]',
        '',
        *lines,
        '',
        '--workdir=DIR   where it writes; else runs/TASK-NAME',
        '--overwrite     delete what an earlier run wrote there',
        '--KEY=VALUE     a setting; of a section called like the task, its key '
        'alone will do',
        '--config=NAME   a packaged configuration, or a file of your own:',
        f'                {", ".join(packaged())}',
        '',
        'aubal_jax TASK --help lists the settings of a task.',
      ]
    )
  used = [
    s
    for s in settings.SETTINGS.values()
    if s.name != 'task' and settings.reads(task, s)
  ]
  own = TASKS[task]
  lines = [f'aubal_jax {task} {own.inputs}', f'  {own.meaning}', '']
  section = None
  for one in used:
    if one.name.rpartition('.')[0] != section:
      section = one.name.rpartition('.')[0]
      lines.append(f'{section}:' if section else 'of all:')
    lines += _setting_lines(one)
  return '\n'.join(lines)


def _setting_lines(setting: setting_lib.Setting) -> list[str]:
  """Returns a setting, its default, meaning and rule, in lines."""
  default = setting.default
  shown = ','.join(map(str, default)) if isinstance(default, tuple) else default
  lines = [f'  --{setting.name}={shown}', f'      {setting.meaning}']
  rule = setting.rule()
  if setting.registry:
    rule += f' ({setting.registry.partition(":")[2].lower()})'
  if rule not in ('a text', 'True or False'):
    lines.append(f'      {rule[:1].upper()}{rule[1:]}.')
  return lines


def packaged() -> list[str]:
  """Returns the names of the packaged configurations."""
  return sorted(path.stem for path in _folder().glob('*.py'))


def find_config(name: str) -> str:
  """Returns the file of a configuration: a path, or a packaged one by name."""
  path = _folder() / f'{name}.py'
  if re.fullmatch(r'\w+', name) and not pathlib.Path(name).exists():
    if path.exists():
      return str(path)
    raise errors.UserError(
      f'--config={name}: there is no configuration of that name.'
      f'{text.suggest(name, packaged())} Those that are packaged are '
      f'{", ".join(packaged())}; or name a file.'
    )
  return name


def _folder() -> pathlib.Path:
  return pathlib.Path(__file__).parent / 'configs'
