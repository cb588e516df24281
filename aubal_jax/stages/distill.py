"""checkpoints/ -> students/0, students/1, ...: distilled from the teacher.

The teacher is the network of the run, as it is evaluated. A student is a
network like it, begun anew from a seed of its own, that learns what the
teacher says of every row beside what is known of it; see
`network.distillation`. Each is a run in a folder of its own, which a stop
loses nothing of, and their mean is what is evaluated.
"""

from __future__ import annotations

import dataclasses
import pathlib

from aubal_jax.runs import errors
from aubal_jax.runs import hosts
from aubal_jax.runs import preemption
from aubal_jax.runs import workdir
from aubal_jax.stages import train


def wanted(config) -> bool:
  """Whether there are students."""
  return config.distill.students > 0


def check(config) -> None:
  """Raises UserError where there are no students."""
  if not wanted(config):
    raise errors.UserError(
      'distill.students is 0; say how many networks learn from that of the '
      'run, such as 5.'
    )


def folders(config, path: pathlib.Path) -> list[pathlib.Path]:
  """Returns the folders of the students of a run in the folder `path`."""
  return [
    path / 'students' / str(place) for place in range(config.distill.students)
  ]


def run(run) -> None:
  """Trains the students that are not done yet.

  Raises:
    UserError: nothing is trained yet, the network is another than the settings
      say, or the students have learnt from another one.
  """
  from aubal_jax.network import step as step_lib
  from aubal_jax.stages import train_parts

  if not run.is_done('train', alone=True):
    raise errors.UserError(
      f'{run.path} has no checkpoints of a whole training to learn from; run '
      'the train task there first (--config.task=train, or --config.task=run '
      'for all stages).'
    )
  teacher = hosts.from_first(lambda: load_teacher(run))
  students = [
    _make_run(run, place, teacher)
    for place in range(run.config.distill.students)
  ]
  hosts.from_first(lambda: _refuse_other(run, students))
  run.begin('distill')
  parts = train_parts.make_parts(students[0], run.path, teacher=teacher)
  _check_alike(run.path, teacher.description, parts.description)
  variables = {'params': teacher.params, 'batch_stats': teacher.batch_stats}
  variables = parts.step.place(variables)
  for place, student in enumerate(students):
    preemption.stop_if_requested()
    if student.is_done('train', alone=True):
      continue
    print(
      f'distill: student {place + 1} of {len(students)}, of the '
      f'{teacher.which} checkpoint, in {student.path}',
      flush=True,
    )
    config = student.config
    own = parts._replace(
      step=step_lib.taught(parts.step, variables, seed=config.seed),
      policy=train_parts.load_policy(config),
    )
    with student.locked():
      train.run(student, parts=own, tells_short=False, booked='distilling')
  run.finish('distill')
  run.watch.lap('distilling')


def load_teacher(run):
  """Returns the `Bundle` of the teacher: the best, or as published the last.

  Raises:
    FileNotFoundError, UserError: as `bundle.load`.
  """
  from aubal_jax.network import bundle

  last = run.config.multitask.recipe == 'published'
  return bundle.load(
    run.path / 'checkpoints', which='latest' if last else 'best'
  )


def _make_run(run, place, teacher):
  """Returns the `Run` of a student."""
  config = run.config.copy_and_resolve_references()
  config.task = 'run'
  config.seed += place
  config.controls.methods = ()
  config.distill.students = 0
  config.train.num_steps = config.distill.num_steps or run.num_steps
  own = run.within(run.path / 'students' / str(place), config)
  own.pinned['train'].update(
    {
      'the teacher': teacher.digest(),
      'distill.temperature': config.distill.temperature,
      'distill.own': config.distill.own,
    }
  )
  opened = run.images_seen()
  return dataclasses.replace(own, opened=opened)


def _refuse_other(run, students) -> None:
  """Raises UserError where students are of another teacher than now."""
  if not workdir.has_begun(run.path, 'distill'):
    # Of a teacher that is no more.
    workdir.clear(run.path, workdir.STUDENTS)
  for student in students:
    student.refuse_other()


def _check_alike(path, theirs, mine) -> None:
  """Raises UserError where the teacher is not what students would be."""

  def heads_of(description):
    return {head.name: [*head.names] for head in description.heads}

  if heads_of(theirs) != heads_of(mine):
    raise errors.UserError(
      f'The teacher in {path / "checkpoints"} has the heads '
      f'{heads_of(theirs)}, but these settings and this data set make '
      f'students with {heads_of(mine)}; train it with them, in a folder of '
      'its own.'
    )
  if theirs != mine:
    names = (f.name for f in dataclasses.fields(mine))
    name = next(n for n in names if getattr(theirs, n) != getattr(mine, n))
    raise errors.UserError(
      f'The teacher in {path / "checkpoints"} has {name} '
      f'{getattr(theirs, name)}, but these settings make students with '
      f'{getattr(mine, name)}; train it with them, in a folder of its own.'
    )
