"""The public names have types that mypy knows."""

import inspect
import os
import pathlib
import subprocess
import sys
import typing

import pytest

import aubal_jax as aubal

# Uses every public name; each line that ends in a comment must be refused.
SCRIPT = """
import numpy as np

import aubal_jax as aubal

labels = np.eye(3, dtype=np.uint8)
found: aubal.Labelsets = aubal.find_labelsets(labels)
counts: np.ndarray = found.counts
uneven: dict[str, object] = aubal.imbalance(found)
solution: aubal.Solution = aubal.solve(
  found.patterns, found.counts, lam=0.0, upper=[1.0, 2.0, 3.0], budget=9,
  on_progress=lambda entry: print(entry['gap']),
)
growth: np.ndarray = solution.growth
plan, solved = aubal.balance(labels, seed=1, label_names=['a', 'b', 'c'])
plan, solved = aubal.balance_targets({'a': labels, 'b': [0, 1, -1]}, lam=0.0)
plan, solved = aubal.keep(labels, share=0.5, groups=[0, 0, 1])
paths, solved = aubal.balance_parts('parts', 'plan', seed=1, lam=0.0)
plan = aubal.resample(labels, 'mlsmote', features=np.eye(3), neighbours=2)
rows: np.ndarray = plan.take(np.eye(3), np.random.default_rng(0))
points: np.ndarray = aubal.frontier(found, num_points=3, lam=1.0).images
resampler = aubal.Resampler('lp_ros', fraction=0.5).fit(labels, labels)
made: aubal.Plan = resampler.plan_
version: str = aubal.__version__
probability: np.ndarray = aubal.load('runs/a', thresholds='half').predict([])
try:
  plan.save('plan.npz')
except aubal.UserError as error:
  caught: ValueError = error
aubal.solve(labels)  # call-arg
aubal.solve(labels, [1, 1, 1], lamb=1.0)  # call-arg
aubal.solve(labels, [1, 1, 1], objective=3)  # arg-type
aubal.resample(labels)  # call-arg
aubal.balance(labels)[1].growht  # attr-defined
aubal.find_labelset(labels)  # attr-defined
aubal.Resampler(fraction='a')  # arg-type
wrong: aubal.Solution = aubal.resample(labels, 'none')  # assignment
"""

# What others' packages hold need not be read for it.
CONFIG = """
[mypy]
strict = true
follow_imports = silent
error_summary = false
show_error_context = false
[mypy-jax.*,optax.*,scipy.*,sklearn.*]
follow_imports = skip
"""


@pytest.mark.long
def test_a_script_with_every_public_name_passes_mypy(tmp_path):
  for name in aubal.__all__:
    assert f'aubal.{name}' in SCRIPT
  (tmp_path / 'script.py').write_text(SCRIPT)
  (tmp_path / 'mypy.ini').write_text(CONFIG)
  done = subprocess.run(
    [sys.executable, '-m', 'mypy', 'script.py'],
    capture_output=True,
    text=True,
    check=False,
    cwd=tmp_path,
    env=os.environ | {'MYPYPATH': str(pathlib.Path(aubal.__file__).parents[1])},
  )
  assert not done.stderr
  expected = [
    (number, line.split('# ')[1])
    for number, line in enumerate(SCRIPT.splitlines(), 1)
    if '# ' in line
  ]
  refused = []
  for line in done.stdout.splitlines():
    _, number, kind, text = line.split(':', 3)
    if kind == ' error':
      refused.append((int(number), text.rpartition('[')[2].rstrip(']')))
  assert refused == expected, done.stdout


@pytest.mark.parametrize('name', aubal.__all__)
def test_every_argument_of_a_public_name_has_a_type(name):
  public = getattr(aubal, name)
  members = [public]
  if inspect.isclass(public):
    members = [
      member
      for key, member in vars(public).items()
      if inspect.isfunction(member) and not key.startswith('_')
    ]
  for member in members:
    hints = typing.get_type_hints(member)
    taken = {*inspect.signature(member).parameters} - {'self'}
    assert {*hints} == taken | {'return'}, member
