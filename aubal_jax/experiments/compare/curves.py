"""How a method stands to plain training on the way: validation mAP by step."""

from __future__ import annotations

from aubal_jax.experiments.compare import paired
from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.compare import verdicts


def differences(cells, data, entries) -> list[dict]:
  """Returns what each entry has more than none at each step that both tell.

  Trials are matched and averaged as those of tests are, see `paired`.

  Args:
    cells: (data, entry) -> content of result.json.
    data: names; the means are over all of them.
    entries: names.

  Returns:
    dicts of `entry`, `step`, `difference` and `half_width`, in order of steps.
  """
  rows = []
  for entry in entries:
    if entry in ('none', verdicts.AVERAGED):
      continue
    if any((d, e) not in cells for d in data for e in (entry, 'none')):
      continue
    sides = [
      [_by_step(cells[d, e]['trials']) for d in data] for e in (entry, 'none')
    ]
    common = set.intersection(*(set(one) for side in sides for one in side))
    for step in sorted(common):
      found = [
        paired.estimate(
          {
            key: mine[step][key] - theirs[step][key]
            for key in theirs[step]
            if key in mine[step]
          },
          cells[d, entry]['trials'],
        )
        for d, mine, theirs in zip(data, *sides, strict=True)
      ]
      if None not in found:
        over = significance.average(found)
        rows.append(
          {
            'entry': entry,
            'step': step,
            'difference': over.mean,
            'half_width': over.half_width(),
          }
        )
  return rows


def _by_step(trials) -> dict:
  """Returns step -> (seed, repeat, fold) -> mAP of the validation rows."""
  found = {}
  for trial in trials:
    place = trial['seed'], trial['repeat'], trial['fold']
    for step, score in trial.get('course', ()):
      if score is not None:
        found.setdefault(step, {})[place] = score
  return found
