"""The command: runs one task of a configuration in a folder of its own.

python -m aubal_jax.main --config=configs/quickstart.py --workdir=runs/quick

`aubal_jax run` is short for it, see `short_form`.
"""

import errno
import logging
import os
import runpy
import sys
import time
import traceback

_STARTED = time.perf_counter()

from absl import app  # noqa: E402
from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from aubal_jax import settings  # noqa: E402
from aubal_jax import short_form  # noqa: E402
from aubal_jax.runs import errors  # noqa: E402
from aubal_jax.runs import extras  # noqa: E402
from aubal_jax.runs import preemption  # noqa: E402
from aubal_jax.runs import programs  # noqa: E402
from aubal_jax.runs import quiet  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Python file with get_config(), such as configs/paper.py.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Delete what an earlier run wrote into the folder.'
)


def main(argv) -> None:
  """Runs the task; a user's error is one message and exit status 2."""
  if len(argv) > 1:
    _fail(f'Unexpected argument {argv[1]!r}; settings are --config.KEY=VALUE.')
  for name, value in (('config', _CONFIG.value), ('workdir', _WORKDIR.value)):
    if not value:
      _fail(f'--{name} is missing. See --help, or README.md for examples.')
  file = config_flags.get_config_filename(flags.FLAGS['config']).split(':')[0]
  if not os.path.exists(file):
    _fail(f'--config={file}: there is no such file in {os.getcwd()}.')
  _prepare_environment()
  from aubal_jax import commands
  from aubal_jax.runs import hosts

  with hosts.ending_together():
    try:
      commands.run_task(
        _CONFIG.value,
        _WORKDIR.value,
        overwrite=_OVERWRITE.value,
        started=_STARTED,
      )
    except FloatingPointError as error:
      _fail(str(error))
    except OSError as error:
      _fail(_describe(error))
    except errors.UserError as error:
      _fail(str(error))
    except ModuleNotFoundError as error:
      package = (error.name or '').partition('.')[0]
      if package not in extras.PACKAGES:
        raise
      _fail(str(extras.missing(package, f'config.task={_CONFIG.value.task}')))


def _describe(error: OSError) -> str:
  """Returns what is wrong with a disk, and that nothing is lost."""
  if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
    return str(error)
  return (
    f'{error.filename or "a file"}: {error.strerror}. When that is mended, '
    'the same command goes on.'
  )


def _prepare_environment() -> None:
  """Quiets libraries, and keeps compiled programs between runs."""
  for name in ('jax', 'matplotlib'):
    logging.getLogger(name).setLevel(logging.WARNING)
  quiet.tensorflow()
  cache = programs.folder()
  if cache:
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', cache)
    os.environ.setdefault(
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', str(programs.LEAST_SECONDS)
    )


def _fail(message: str) -> None:
  print(f'Error: {message}', file=sys.__stderr__)  # Of other hosts as well.
  raise SystemExit(2)


def _parse_flags(argv: list[str]) -> list[str]:
  """Parses flags; what is wrong with them is one message, exit status 2."""
  flags.FLAGS.set_default('verbosity', -1)  # Warnings, and what is worse.
  try:
    argv = [argv[0], *_written_out(argv[1:])]
    sys.argv[:] = argv  # Where the flags of --config look for settings.
    argv = [argv[0], *_read_settings(argv[1:])]
    return app.parse_flags_with_usage(argv)
  except errors.UserError as error:
    _fail(str(error))
  except SystemExit as error:  # --help ends well; absl ends the rest with 1.
    if preemption.requested():
      raise
    wrong = error.code and not any(a.startswith('--help') for a in argv)
    raise SystemExit(2 if wrong else 0) from None
  except BrokenPipeError:
    raise SystemExit(0) from None


def _written_out(arguments: list[str]) -> list[str]:
  """Returns the arguments in the long form; tells it, or the help.

  Raises:
    SystemExit: help was asked for.
    UserError: the short form is wrong.
  """
  task = arguments[0] if arguments[:1] and arguments[0][:1] != '-' else ''
  if {*arguments} & {'--help', '-h', '-help'} or arguments == ['help']:
    known = task if task in short_form.TASKS else ''
    print(short_form.help_text(known))
    raise SystemExit(0)
  if not task:
    return arguments
  arguments = short_form.expand(arguments)
  print(f'Stands for: {short_form.in_words(arguments)}', flush=True)
  return arguments


def _read_settings(arguments: list[str]) -> list[str]:
  """Returns the arguments, settings among them as ConfigDict reads them.

  Raises:
    UserError: there is no such setting, it cannot be that, or the file of
      --config does not give a configuration.
  """
  read, given = [], iter(arguments)
  for argument in given:
    flag, equals, text = argument.partition('=')
    flag = '--' + flag.lstrip('-')
    if flag == '--config':
      text = short_form.find_config(text if equals else next(given, ''))
      _try_config(text.split(':')[0])
      argument = f'--config={text}'
    elif flag.startswith('--config.'):
      setting = settings.find(flag.removeprefix('--config.'))
      if not equals and setting.kind is not bool:
        text = next(given, '')
      value = setting.parse(text if equals or text else 'true')
      argument = f'{flag}={value}'
    read.append(argument)
  return read


def _try_config(file: str) -> None:
  """Raises UserError, with the line, where a file gives no configuration."""
  if not os.path.isfile(file):
    return  # That is told when all flags are known.
  try:
    runpy.run_path(file)['get_config']()
  except Exception as error:  # It may raise anything.
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.lineno for step in steps if step.filename == file]
    where = f'{file}, line {lines[-1]}' if lines else file
    told = settings.tell_assignment(error)
    raise errors.UserError(f'--config={where}: {told}') from error


def run() -> None:
  """Entry point of `aubal_jax` and of `python -m aubal_jax`."""
  preemption.install()
  app.run(main, flags_parser=_parse_flags)


if __name__ == '__main__':
  run()
