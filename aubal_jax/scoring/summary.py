"""The list of scores, and what predictions are worth: report.json.

Confidence intervals come from resampling whole groups (subjects, videos), since
the images of one subject are not independent of each other.
"""

import typing
from collections.abc import Callable

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import metrics
from aubal_jax.scoring import thresholds as thresholds_lib

# Where a score is a column: report.json; report.html; what validation finds
# (metrics.jsonl, checkpoints, the table of a search); compare.csv and its page.
PLACES = ('report.json', 'report.html', 'validation', 'comparison')


class Score(typing.NamedTuple):
  """A score, and where it stands.

  Attributes:
    name: in files; of one at a threshold that of the property of `Confusion`.
    title: on pages.
    places: of PLACES.
    of_label: whether each label has one; else all labels together.
    ranking: function of (probability, label, known) that returns L scores,
      None where undefined, of which that of all labels is the mean. None: the
      score is one of decisions at a threshold.
  """

  name: str
  title: str
  places: tuple[str, ...] = PLACES
  of_label: bool = False
  ranking: Callable | None = None


# In order of the columns. What ranks all labels has neither the intervals nor
# the floors of a report: it is in comparisons, and mAP in validation.
SCORES = (
  Score('f1_macro', 'F1 macro'),
  Score('f1_macro_present', 'F1 macro, labels with a positive', PLACES[:1]),
  Score('f1_micro', 'F1 micro'),
  Score('accuracy', 'accuracy', PLACES[:3]),
  Score('auc_macro', 'AUC macro', PLACES[3:], ranking=metrics.roc_auc),
  Score('map', 'mAP', PLACES[2:], ranking=metrics.average_precision),
  Score('awc', 'AWC'),
  Score('precision', 'precision', of_label=True),
  Score('recall', 'recall', of_label=True),
  Score('f1', 'F1', of_label=True),
  Score('f1_skew_normalised', 'F1, skew-normalised', PLACES[:1], of_label=True),
  Score('auc', 'AUC', of_label=True, ranking=metrics.roc_auc),
  Score('ap', 'AP', of_label=True, ranking=metrics.average_precision),
)


def scores_in(place: str, *, of_label: bool = False) -> list[Score]:
  """Returns the scores that stand in one of PLACES, in order."""
  return [s for s in SCORES if place in s.places and s.of_label == of_label]


def of_validation(probability, label, known) -> dict[str, float]:
  """Returns name -> score of all that stand in 'validation', at threshold 0.5.

  A mean over labels is of those where it is defined, or 0 where it is of none.

  Args:
    probability, label, known: as of `metrics.check_entries`.
  """
  entries = metrics.check_entries(probability, label, known)
  counts = metrics.Confusion.from_decisions(metrics.decisions(*entries))
  found = {}
  for score in scores_in('validation'):
    if score.ranking:
      defined = [x for x in score.ranking(*entries) if x is not None]
      found[score.name] = float(np.mean(defined or [0.0]))
    else:
      found[score.name] = float(getattr(counts, score.name))
  return found


def summarise(
  probability,
  label,
  known,
  *,
  thresholds,
  label_names,
  groups=None,
  split='test',
  num_dropped=0,
  num_resamples=1000,
  confidence=0.95,
  seed=0,
  published=False,
):
  """Scores predictions: the content of report.json.

  F1 at threshold 0.5 is the result; F1 at shrunk and at tuned thresholds stands
  beside it.
  Intervals are percentiles of a bootstrap over groups, or over images where
  there are no groups, with the thresholds held fixed; a single group has none.

  Args:
    probability: float[N, L].
    label: 0/1 [N, L].
    known: bool[N, L], or None.
    thresholds: `Thresholds` tuned on other images (validation); None: tuned on
      these by halves (of groups), each half scored with the thresholds of the
      other, and marked `cross_fitted`.
    label_names: L distinct names.
    groups: N values, the subject or video of each image; or None. An image
      with '' is of no group that is known, and one of its own.
    split: name of the split these images are, for the report.
    num_dropped: images the reader left out, for the report.
    num_resamples: bootstrap samples.
    confidence: level of the intervals.
    seed: int, of the bootstrap and of the halves.
    published: with break-even thresholds among the others, and under
      `same_images` what each kind scores on the images that it is tuned on.

  Returns:
    A dict of plain JSON types, scores rounded to 6 digits and thresholds to 9
    significant ones; None where a score is not defined. `per_label[name]` and
    `pooled` hold tp fp fn tn precision recall f1 ... at 0.5, and the same at
    other thresholds under `tuned` and, unless unknown, `shrunk`.
    `threshold_positives` are those behind them. `*_interval` is [low, high].

  Raises:
    UserError: shapes differ, no image, or label names repeat.
  """
  probability, label, known = metrics.check_entries(probability, label, known)
  names = [str(name) for name in label_names]
  _check_summary(label, names, groups)
  unit = bootstrap.units(len(label), groups)
  entries = probability, label, known
  whole = thresholds or thresholds_lib.find(*entries)
  kinds = (*thresholds_lib.BESIDE, *('break_even',) * published)
  used, told = _thresholds(entries, thresholds, whole, unit, seed, kinds)
  decided = [metrics.decisions(*entries, t) for t in (0.5, *used.values())]
  resampled = bootstrap.resample(decided, unit, num_resamples, seed)
  plain, *beside = map(metrics.Confusion.from_decisions, decided)
  beside = dict(zip(used, zip(beside, resampled[1:], strict=True), strict=True))
  tails = (1 - confidence) / 2, (1 + confidence) / 2
  per_label = _per_label(plain, resampled[0], tails)
  for kind, found in beside.items():
    others = zip(_per_label(*found, tails), told[kind], strict=True)
    for entry, (scores, at) in zip(per_label, others, strict=True):
      entry |= {kind: {**scores, **at}, 'threshold': 0.5}
  _add_positives(per_label, whole)
  _add_ranking(per_label, entries)
  return {
    'split': split,
    'num_images': len(label),
    'num_images_dropped': int(num_dropped),
    'num_images_without_known_label': int((~known.any(axis=1)).sum()),
    'label_names': names,
    'labels_without_positives': [
      n for n, p in zip(names, plain.positives, strict=True) if not p
    ],
    'zero_division': 0,
    'cross_fitted': thresholds is None,
    'bootstrap': {
      'unit': 'image' if groups is None else 'group',
      'num_units': int(unit.max()) + 1,
      'num_resamples': num_resamples if resampled[0] else 0,
      'confidence': confidence,
    },
    **_summary(plain, resampled[0], tails),
    **{kind: _summary(*found, tails) for kind, found in beside.items()},
    **({'same_images': _same_images(entries, kinds)} if published else {}),
    'threshold_of_all': _threshold(whole.of_all),
    'floors': {
      'all_negative': _summary(plain.all_negative()),
      'all_positive': _summary(plain.all_positive()),
    },
    'pooled': _pooled(plain, beside, entries),
    'per_label': dict(zip(names, per_label, strict=True)),
  }


def _same_images(entries, kinds):
  """Returns kind -> scores on the images that its thresholds are tuned on."""
  found = _kinds(thresholds_lib.find(*entries), kinds)
  return {
    kind: _summary(
      metrics.Confusion.from_decisions(metrics.decisions(*entries, found[kind]))
    )
    for kind in thresholds_lib.KINDS
    if kind in found
  }


def _check_summary(label, names, groups):
  """Raises UserError where `summarise` has no meaning."""
  if not len(label):
    raise errors.UserError(
      'label must hold at least one image, but has none: choose a split '
      'that has images.'
    )
  if len(names) != label.shape[1] or len(set(names)) != len(names):
    raise errors.UserError(
      f'label_names must be {label.shape[1]} distinct names, one for each '
      f'column of label, but is {names}.'
    )
  if groups is not None and len(groups) != len(label):
    raise errors.UserError(
      f'groups must name the group of each of the {len(label)} images, but '
      f'has {len(groups)} entries.'
    )


def used_thresholds(probability, label, known, thresholds, unit, seed):
  """Returns the thresholds that scores are at, beside 0.5.

  Args:
    probability, label, known: as of `summarise`.
    thresholds: `Thresholds` tuned on other images; None: fitted to halves of
      these.
    unit: int64[N], of what is halved as a whole; see `bootstrap.units`.
    seed: int, of the halves.

  Returns:
    'tuned' -> float[L], or float[N, L] where each half has those of the other;
    and 'shrunk' likewise, unless it is not known what from.
  """
  entries = metrics.check_entries(probability, label, known)
  whole = thresholds or thresholds_lib.find(*entries)
  return _thresholds(entries, thresholds, whole, unit, seed)[0]


def _thresholds(entries, given, whole, unit, seed, kinds=thresholds_lib.BESIDE):
  """Returns the thresholds beside 0.5, and what is told of them.

  Args:
    entries: probability, label, known.
    given: tuned on other images; None: they are fitted to halves of these.
    whole: those to use on new images.
    unit, seed: of the halves.
    kinds: of thresholds.

  Returns:
    kind -> float[L], or [N, L] where they are fitted to halves; and kind -> L
    dicts of `threshold`, and `thresholds_of_halves` where there are such.
  """
  new = _kinds(whole, kinds)
  told = {k: [{'threshold': _threshold(x)} for x in t] for k, t in new.items()}
  if given is not None:
    return new, told
  half = bootstrap.halves(unit, seed)
  fitted = [
    _kinds(thresholds_lib.find(*(x[half != h] for x in entries)), kinds)
    for h in (0, 1)
  ]
  fitted = {k: np.stack([one[k] for one in fitted]) for k in new}
  for kind, both in fitted.items():
    for entry, two in zip(told[kind], both.T, strict=True):
      entry['thresholds_of_halves'] = [*map(_threshold, two)]
  return {k: both[half] for k, both in fitted.items()}, told


def _kinds(found, kinds):
  """Returns kind -> float[L]; those that are not known are left out."""
  each = {kind: found.of_kind(kind) for kind in kinds}
  return {kind: t for kind, t in each.items() if t is not None}


def _add_positives(per_label, whole):
  """Writes into each entry how many positives its thresholds rest on."""
  behind = whole.positives
  for i, entry in enumerate(per_label):
    entry['threshold_positives'] = None if behind is None else int(behind[i])


def rounded(x):
  """Returns a score as a float of 6 digits, None if it is not defined."""
  return None if x is None or np.isnan(x) else round(float(x), 6) + 0.0


def _threshold(x):
  """Returns a threshold with 9 significant digits: it may be tiny."""
  return None if x is None else float(f'{float(x):.9g}')


def percentiles(samples, tails):
  """Returns [low, high] of float[R], the percentiles at `tails`."""
  return [rounded(x) for x in np.quantile(samples, tails)]


def _summary(confusion, resampled=None, tails=()):
  """Returns the scores of all labels together, with intervals if resampled."""
  names = [score.name for score in scores_in('report.json')]
  entry = {name: rounded(getattr(confusion, name)) for name in names}
  if resampled is not None:
    entry |= {
      f'{name}_interval': percentiles(getattr(resampled, name), tails)
      for name in names
    }
  return entry


def _counts(confusion, i):
  """Returns counts and the scores made of them, for label number i."""
  scores = [s.name for s in _of_label() if not s.ranking]
  return {
    **{k: int(getattr(confusion, k)[i]) for k in ('tp', 'fp', 'fn', 'tn')},
    **{k: rounded(getattr(confusion, k)[i]) for k in scores},
  }


def _of_label():
  return scores_in('report.json', of_label=True)


def _per_label(confusion, resampled, tails):
  """Returns a dict of counts and scores for each label."""
  entries = [_counts(confusion, i) for i in range(len(confusion.tp))]
  if resampled is not None:
    for entry, samples in zip(entries, resampled.f1.T, strict=True):
      entry['f1_interval'] = percentiles(samples, tails)
  return entries


def _add_ranking(per_label, entries):
  """Writes into each entry what depends on no threshold, and the floor."""
  ranked = {s.name: s.ranking(*entries) for s in _of_label() if s.ranking}
  for i, entry in enumerate(per_label):
    positives = entry['tp'] + entry['fn']
    known = positives + entry['fp'] + entry['tn']
    entry |= {name: rounded(values[i]) for name, values in ranked.items()}
    entry |= {'positives': positives, 'known': known}
    # Of a predictor that says yes to everything; one that says no has 0.
    entry['f1_all_positive'] = rounded(
      2 * positives / (positives + known) if positives else 0.0
    )


def _pooled(plain, beside, entries):
  """Returns the entry of all known entries taken as one label."""
  *values, known = entries
  flat = [x[known][:, None] for x in (*values, known)]
  return {
    **_counts(plain.pooled(), 0),
    **{kind: _counts(c.pooled(), 0) for kind, (c, _) in beside.items()},
    'threshold': 0.5,
    **{s.name: rounded(s.ranking(*flat)[0]) for s in _of_label() if s.ranking},
  }
