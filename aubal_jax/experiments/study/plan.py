"""What a study asks: its questions, and the trainings that answer them."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from collections.abc import Sequence

OVER = ('all', 'rare', 'middle', 'frequent')  # Labels that are averaged over.
KINDS = ('f1', 'f1_shrunk', 'ap')  # F1 at .5, at shrunk thresholds; AP.
# Of several targets: F1 of the labels and of expressions, concordance of
# valence and arousal, and the sum that decides, see `scoring.overall`.
TARGET_KINDS = ('f1', 'expression', 'valence_arousal', 'overall')


class Entry(typing.NamedTuple):
  """A way to train on a table of features.

  Attributes:
    method: a name of `resampling.RESAMPLERS`, 'aubal:OBJECTIVE', 'loss:NAME'.
    fraction: rows added, as a share of those there are; None: as is usual.
    share: rows kept, likewise.
    upper: largest growth of a labelset; None: the method's own.
    diversity: what bounds growth, a name of `diversity.KINDS`.
    spread: whether what keeps rows is told when in its video a row is.
    model: a name of `models.tabular.MODELS`.
    num_steps: of training.
    rates: times the learning rate; validation chooses one for each trial.
  """

  method: str
  fraction: float | None = None
  share: float | None = None
  upper: float | None = None
  diversity: str = 'none'
  spread: bool = True
  model: str = 'logistic'
  num_steps: int = 300
  rates: tuple[float, ...] = (1.0, 4.0)

  @property
  def name(self) -> str:
    """Short, and no other's: what differs from the usual is told."""
    parts = [self.method]
    for form, value in (
      ('f{:g}', self.fraction),
      ('share{:g}', self.share),
      ('u{:g}', self.upper),
    ):
      if value is not None:
        parts.append(form.format(value))
    usual = Entry._field_defaults
    for field in ('diversity', 'spread', 'model', 'num_steps', 'rates'):
      if getattr(self, field) != usual[field]:
        parts.append(f'{field}={_word(getattr(self, field))}')
    return ' '.join(parts)


class Training(typing.NamedTuple):
  """A way to train a network on images, as a run of the program.

  Attributes:
    settings: (setting, value), which differ from those of the set.
    pretrained: whether it starts from weights that other drawn faces made.
    rates: times the learning rate; validation chooses one for each trial.
  """

  settings: tuple[tuple[str, typing.Any], ...] = ()
  pretrained: bool = False
  rates: tuple[float, ...] = (1.0, 4.0)

  @property
  def name(self) -> str:
    """Short, and no other's: what differs from the usual is told."""
    parts = [f'{key}={_word(value)}' for key, value in self.settings]
    parts += ['pretrained'] * self.pretrained
    if self.rates != Training._field_defaults['rates']:
      parts.append(f'rates={_word(self.rates)}')
    return f'run {" ".join(parts)}'.strip()


def _word(value) -> str:
  if isinstance(value, tuple):
    return ','.join(
      one if isinstance(one, str) else f'{one:g}' for one in value
    )
  return 'no' if value is False else str(value)


class Contrast(typing.NamedTuple):
  """One entry less another.

  Attributes:
    says: what the entry is, beside what it is held against.
    entry: the one, an `Entry` or a `Training`.
    reference: the other, likewise.
    view: of the entry: '' as it predicts, 'averaged': the mean of the logits of
      two seeds, 'adjusted': without the prior of its plan.
    kinds: of `KINDS` or `TARGET_KINDS`, what is told of it: entry's -> that of
      the reference.
    primary: the one that decides, with all labels.
  """

  says: str
  entry: Entry | Training
  reference: Entry | Training
  view: str = ''
  kinds: Mapping[str, str] = dict(zip(KINDS, KINDS, strict=True))
  primary: str = 'ap'


class Question(typing.NamedTuple):
  """A question, and what is held against what to answer it.

  Attributes:
    name: of it, one word.
    asks: the sentence.
    contrasts: tests that are adjusted together.
    sets: names of those that are screened on; of the plan's where ().
    confirms: whether what gains is asked again of other sets.
    note: what was changed in it since it was asked first, and why; sentences.
  """

  name: str
  asks: str
  contrasts: Sequence[Contrast]
  sets: Sequence[str] = ()
  confirms: bool = True
  note: str = ''


class Folds(typing.NamedTuple):
  """How a set is divided: `repeats` times into `folds`, with so many seeds."""

  repeats: int = 5
  folds: int = 2
  seeds: int = 3


class Plan(typing.NamedTuple):
  """A study, fixed before it ran.

  Attributes:
    questions: all of them.
    screening: names of sets on which each question is asked.
    confirmation: names of sets, on which what gained there is asked again.
    gain: the least mean difference in what is primary that is called a gain.
    folds: name of set -> its `Folds`; others have the usual.
    reads: how the page is to be read, paragraphs of Markdown.
    not_run: what else should be asked, and why it was not, likewise.
  """

  questions: Sequence[Question]
  screening: Sequence[str]
  confirmation: Sequence[str]
  gain: float
  folds: Mapping[str, Folds]
  reads: str = ''
  not_run: str = ''


class Cell(typing.NamedTuple):
  """A training on a set: a line of the results.

  Attributes:
    data: name of the set.
    entry: how it is trained.
    folds: how the set is divided.
  """

  data: str
  entry: Entry | Training
  folds: Folds

  @property
  def name(self) -> str:
    """What the line is called; another training has another name."""
    parts = self.data, self.entry.name, 'x'.join(map(str, self.folds))
    return ' | '.join(parts)


def sets_of(plan: Plan, question: Question) -> tuple[str, ...]:
  """Returns the names of the sets that a question is screened on."""
  return tuple(question.sets or plan.screening)


def screening(plan: Plan) -> list[Cell]:
  """Returns the cells of all questions, each once, in order."""
  return _cells(
    plan,
    (
      (data, entry)
      for question in plan.questions
      for contrast in question.contrasts
      for entry in (contrast.reference, contrast.entry)
      for data in sets_of(plan, question)
    ),
  )


def confirmation(plan: Plan, chosen: Sequence[Contrast]) -> list[Cell]:
  """Returns the cells that ask again, of the contrasts that gained."""
  return _cells(
    plan,
    (
      (data, entry)
      for contrast in chosen
      for entry in (contrast.reference, contrast.entry)
      for data in plan.confirmation
    ),
  )


def _cells(plan, pairs) -> list[Cell]:
  return [
    Cell(data, entry, plan.folds.get(data, Folds()))
    for data, entry in dict.fromkeys(pairs)
  ]
