"""What the lines of a study say: differences, how sure they are, what gained.

Splits are the observations (a line has the mean of the seeds), with Nadeau and
Bengio's variance; sets are averaged with equal weight and taken as given; Holm
over the contrasts of a question. See `compare.significance`.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from collections.abc import Sequence

from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.study import plan as plan_lib


class Difference(typing.NamedTuple):
  """How much more an entry scores than what it is held against.

  Attributes:
    mean: over sets.
    half: half of the 95 % interval; None: not known.
    p: two-sided, of a mean of 0; None: not known.
    num_sets: sets that have both.
    num_above: sets in which the entry is above.
    each: (name, mean, half) of the sets, in their order.
  """

  mean: float
  half: float | None
  p: float | None
  num_sets: int
  num_above: int
  each: tuple[tuple[str, float, float | None], ...] = ()


class Answer(typing.NamedTuple):
  """What became of a contrast on some sets.

  Attributes:
    contrast: it.
    sets: those whose cells are both there.
    missing: those of the plan of which one is not.
    differences: kind of the entry -> of `plan.OVER` -> `Difference`, or None
      where no label has the score.
    p_holm: of what is primary, adjusted for the question; None: not known.
    gains: whether it is a gain as the plan has fixed it.
  """

  contrast: plan_lib.Contrast
  sets: tuple[str, ...]
  missing: tuple[str, ...]
  differences: Mapping[str, Mapping[str, Difference | None]]
  p_holm: float | None = None
  gains: bool = False

  @property
  def primary(self) -> Difference | None:
    """The difference that decides; None where nothing is there."""
    return self.differences.get(self.contrast.primary, {}).get('all')


def of_question(
  plan: plan_lib.Plan,
  contrasts: Sequence[plan_lib.Contrast],
  sets: Sequence[str],
  lines: Mapping[str, dict],
) -> list[Answer]:
  """Returns the answers of contrasts that are adjusted together.

  Args:
    plan: the study.
    contrasts: in their order.
    sets: names of those to average over.
    lines: name of cell -> its line.
  """
  found = [_answer(plan, contrast, sets, lines) for contrast in contrasts]
  adjusted = significance.holm(
    [answer.primary.p if answer.primary else None for answer in found]
  )
  return [
    answer._replace(p_holm=p, gains=_gains(plan, answer, p))
    for answer, p in zip(found, adjusted, strict=True)
  ]


def _gains(plan, answer, p) -> bool:
  if answer.primary is None or p is None:
    return False
  return p < significance.ALPHA and answer.primary.mean >= plan.gain


def screened(plan: plan_lib.Plan, lines: Mapping[str, dict]) -> dict:
  """Returns name of question -> its answers on the sets it is screened on."""
  return {
    question.name: of_question(
      plan, question.contrasts, plan_lib.sets_of(plan, question), lines
    )
    for question in plan.questions
  }


def unconverged(
  plan: plan_lib.Plan, question: plan_lib.Question, lines: Mapping[str, dict]
) -> tuple[str, ...]:
  """Returns the sets on which what is held against may want a larger rate.

  There validation chose the largest of its rates in most trials; of several
  references, of one of them.

  Args:
    plan: the study.
    question: of it.
    lines: name of cell -> its line.
  """
  found = []
  for data in plan_lib.sets_of(plan, question):
    folds = plan.folds.get(data, plan_lib.Folds())
    references = {
      contrast.reference
      for contrast in question.contrasts
      if len(contrast.reference.rates) > 1
    }
    names = [plan_lib.Cell(data, one, folds).name for one in references]
    shares = [lines[name]['at_largest'] for name in names if name in lines]
    if max(shares, default=0.0) > 0.5:
      found.append(data)
  return tuple(found)


def chosen(plan: plan_lib.Plan, lines: Mapping[str, dict]) -> dict:
  """Returns name of question -> contrasts that gained and are asked again."""
  found = screened(plan, lines)
  return {
    question.name: [
      answer.contrast for answer in found[question.name] if answer.gains
    ]
    for question in plan.questions
    if question.confirms
  }


def confirmed(plan: plan_lib.Plan, lines: Mapping[str, dict]) -> dict:
  """Returns name of question -> answers of `chosen` on the other sets."""
  return {
    name: of_question(plan, contrasts, plan.confirmation, lines)
    for name, contrasts in chosen(plan, lines).items()
  }


def _answer(plan, contrast, sets, lines) -> Answer:
  pairs = {}
  for data in sets:
    folds = plan.folds.get(data, plan_lib.Folds())
    pair = [
      lines.get(plan_lib.Cell(data, entry, folds).name)
      for entry in (contrast.entry, contrast.reference)
    ]
    if None not in pair and contrast.view in pair[0]['scores']:
      pairs[data] = pair
  differences = {
    kind: {
      over: _difference(contrast.view, kind, other, over, pairs)
      for over in plan_lib.OVER
    }
    for kind, other in contrast.kinds.items()
  }
  missing = tuple(data for data in sets if data not in pairs)
  return Answer(contrast, tuple(pairs), missing, differences)


def _difference(view, kind, other, over, pairs) -> Difference | None:
  """Returns entry's `kind` less the reference's `other`, over sets.

  Args:
    view: of the entry.
    kind: of its scores.
    other: kind of the scores it is held against.
    over: of `plan.OVER`.
    pairs: set -> (line of the entry, line of the reference).
  """
  found = {}
  for data, (mine, its) in pairs.items():
    scores = mine['scores'][view].get(kind, {}).get(over)
    others = its['scores'][''].get(other, {}).get(over)
    if scores is None or others is None:
      continue
    paired = [
      a - b
      for a, b in zip(scores, others, strict=True)
      if a is not None and b is not None
    ]
    if paired:
      # Splits that were drawn apart share no row to correct for.
      apart = mine.get('apart', False)
      ratio = 0.0 if apart else mine['num_test'] / mine['num_train']
      found[data] = significance.estimate(paired, ratio)
  if not found:
    return None
  over_sets = significance.average([*found.values()])
  return Difference(
    over_sets.mean,
    over_sets.half_width(),
    over_sets.p_value(),
    len(found),
    sum(one.mean > 0 for one in found.values()),
    tuple((data, one.mean, one.half_width()) for data, one in found.items()),
  )
