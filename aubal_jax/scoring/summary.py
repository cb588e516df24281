"""What predictions are worth: the content of report.json.

Confidence intervals come from resampling whole groups (subjects, videos), since
the images of one subject are not independent of each other.
"""

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import metrics

# The scores of a set of labels, as Confusion calls them.
SUMMARY = ('f1_macro', 'f1_macro_present', 'f1_micro', 'accuracy', 'awc')


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
):
  """Scores predictions: the content of report.json.

  F1 at threshold 0.5 is the result; F1 at tuned thresholds stands beside it.
  Intervals are percentiles of a bootstrap over groups, or over images where
  there are no groups, with the thresholds held fixed; a single group has none.

  Args:
    probability: float[N, L].
    label: 0/1 [N, L].
    known: bool[N, L], or None.
    thresholds: float[L] tuned on other images (validation); None: tuned on
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

  Returns:
    A dict of plain JSON types, scores rounded to 6 digits and thresholds to 9
    significant ones; None where a score is not defined. `per_label[name]` and
    `pooled` hold tp fp fn tn precision recall f1 ... at 0.5, and the same at
    tuned thresholds under `tuned`. `*_interval` is [low, high].

  Raises:
    UserError: shapes differ, no image, or label names repeat.
  """
  probability, label, known = metrics.check_entries(probability, label, known)
  names = [str(name) for name in label_names]
  _check_summary(label, names, groups)
  unit = bootstrap.units(len(label), groups)
  fitted = None  # float[2, L], where the thresholds are cross-fitted.
  if thresholds is None:
    half = bootstrap.halves(unit, seed)
    fitted = _fit_halves(probability, label, known, half)
    thresholds = metrics.tune_thresholds(probability, label, known)
  used = thresholds if fitted is None else fitted[half]
  decided = [
    metrics.decisions(probability, label, known, t) for t in (0.5, used)
  ]
  resampled = bootstrap.resample(decided, unit, num_resamples, seed)
  plain, tuned = (metrics.Confusion(*(x.sum(0) for x in d)) for d in decided)
  tails = (1 - confidence) / 2, (1 + confidence) / 2
  per_label = _per_label(plain, resampled[0], tails)
  for entry, beside in zip(
    per_label, _per_label(tuned, resampled[1], tails), strict=True
  ):
    entry['tuned'] = beside
  _add_thresholds(per_label, thresholds, fitted)
  _add_ranking(per_label, probability, label, known)
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
    'cross_fitted': fitted is not None,
    'bootstrap': {
      'unit': 'image' if groups is None else 'group',
      'num_units': int(unit.max()) + 1,
      'num_resamples': num_resamples if resampled[0] else 0,
      'confidence': confidence,
    },
    **_summary(plain, resampled[0], tails),
    'tuned': _summary(tuned, resampled[1], tails),
    'floors': {
      'all_negative': _summary(plain.all_negative()),
      'all_positive': _summary(plain.all_positive()),
    },
    'pooled': _pooled(plain, tuned, probability, label, known),
    'per_label': dict(zip(names, per_label, strict=True)),
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


def _fit_halves(probability, label, known, half):
  """Returns float64[2, L]: for each half the thresholds of the other."""
  return np.stack(
    [
      metrics.tune_thresholds(
        probability[half != h], label[half != h], known[half != h]
      )
      for h in (0, 1)
    ]
  )


def _number(x):
  """Returns a score as a float of 6 digits, None if it is not defined."""
  return None if x is None or np.isnan(x) else round(float(x), 6) + 0.0


def _threshold(x):
  """Returns a threshold with 9 significant digits: it may be tiny."""
  return float(f'{float(x):.9g}')


def _interval(samples, tails):
  """Returns [low, high] of float[R], the percentiles at `tails`."""
  return [_number(x) for x in np.quantile(samples, tails)]


def _summary(confusion, resampled=None, tails=()):
  """Returns the scores of all labels together, with intervals if resampled."""
  entry = {name: _number(getattr(confusion, name)) for name in SUMMARY}
  if resampled is not None:
    for name in SUMMARY:
      samples = getattr(resampled, name)
      entry[f'{name}_interval'] = _interval(samples, tails)
  return entry


def _counts(confusion, i):
  """Returns counts and the scores made of them, for label number i."""
  return {
    **{k: int(getattr(confusion, k)[i]) for k in ('tp', 'fp', 'fn', 'tn')},
    **{
      k: _number(getattr(confusion, k)[i])
      for k in ('precision', 'recall', 'f1', 'f1_skew_normalised')
    },
  }


def _per_label(confusion, resampled, tails):
  """Returns a dict of counts and scores for each label."""
  entries = [_counts(confusion, i) for i in range(len(confusion.tp))]
  if resampled is not None:
    for entry, samples in zip(entries, resampled.f1.T, strict=True):
      entry['f1_interval'] = _interval(samples, tails)
  return entries


def _add_thresholds(per_label, thresholds, fitted):
  """Writes into each entry which threshold made it.

  Cross-fitted ones are two; `threshold` is then that of all images together,
  the one to use on new images.
  """
  for i, entry in enumerate(per_label):
    entry['threshold'] = 0.5
    entry['tuned']['threshold'] = _threshold(thresholds[i])
    if fitted is not None:
      entry['tuned']['thresholds_of_halves'] = [
        _threshold(x) for x in fitted[:, i]
      ]


def _add_ranking(per_label, probability, label, known):
  """Writes into each entry what depends on no threshold, and the floor."""
  for entry, auc, ap in zip(
    per_label,
    metrics.roc_auc(probability, label, known),
    metrics.average_precision(probability, label, known),
    strict=True,
  ):
    positives = entry['tp'] + entry['fn']
    entries = positives + entry['fp'] + entry['tn']
    entry['auc'], entry['ap'] = _number(auc), _number(ap)
    entry['positives'], entry['known'] = positives, entries
    # Of a predictor that says yes to everything; one that says no has 0.
    entry['f1_all_positive'] = _number(
      2 * positives / (positives + entries) if positives else 0.0
    )


def _pooled(plain, tuned, probability, label, known):
  """Returns the entry of all known entries taken as one label."""
  flat = [x[known][:, None] for x in (probability, label)]
  entry = _counts(plain.pooled(), 0)
  entry['tuned'] = _counts(tuned.pooled(), 0)
  entry['threshold'] = 0.5
  entry['auc'] = _number(metrics.roc_auc(*flat)[0])
  entry['ap'] = _number(metrics.average_precision(*flat)[0])
  return entry
