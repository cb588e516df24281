"""What the compiled training step is said to be made of."""

import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / 'scripts/inspect_step.py'
SMALL = (
  '--config=configs/quickstart.py',
  '--config.model.name=resnet8_16',
  '--config.data.image_size=32',
  '--config.train.batch_size=8',
)
PARAMETERS = 78_264
NORM_LAYERS = 9
TENSORS = 10 + 2 * NORM_LAYERS + 1  # Convolutions, norms, logits' two.


def run(*arguments):
  return subprocess.run(
    [sys.executable, SCRIPT, *arguments],
    cwd=SCRIPT.parent.parent,
    capture_output=True,
    text=True,
    check=False,
  )


def total(rows, word, field):
  return sum(row[field] for name, row in rows.items() if word in name)


@pytest.mark.long
def test_a_small_step_on_two_devices(tmp_path):
  done = run(*SMALL, '--devices=2', f'--json={tmp_path / "step.json"}')
  assert done.returncode == 0, done.stderr
  row = json.loads((tmp_path / 'step.json').read_text())
  asked, compiled = row['asked'], row['compiled']
  for direction in ('forward', 'backward'):
    assert total(asked, f'norm, {direction}', 'number') == NORM_LAYERS
    assert total(asked, f'loss sums, {direction}', 'number') > 0
  assert row['norm_layers'] == NORM_LAYERS
  # Each parameter is reduced once, as float32.
  assert total(asked, 'gradients', 'number') == TENSORS
  assert total(asked, 'gradients', 'bytes') == 4 * PARAMETERS
  assert not total(asked, 'other', 'number')
  # Two norm layers share an all-reduce with that of their shortcut.
  assert total(compiled, 'norm, forward', 'number') <= NORM_LAYERS
  assert total(compiled, 'gradients', 'number') <= 3
  assert row['collective_bytes'] <= total(asked, '', 'bytes')
  # The rest is norms, the pool, the loss and Adam: much in so small a network.
  assert 1 < row['flops'] / row['convolution_flops'] < 1.5
  # Parameters and Adam's two moments are donated.
  assert row['donated'] == pytest.approx(12 * PARAMETERS, rel=0.01)
  for name in ('A100', 'H100', 'TPU v5e'):
    assert f'{name} (estimate)' in done.stdout
    parts = row['estimates'][name]
    assert parts['seconds'] >= max(parts['flops'], parts['memory']) > 0


@pytest.mark.parametrize(
  ('arguments', 'word'),
  [
    (['--devices=2'], '--config is missing'),
    ([*SMALL, '--devices=3'], '--devices=3'),
  ],
)
def test_a_wrong_argument_is_told_at_once(arguments, word):
  done = run(*arguments)
  assert done.returncode != 0
  assert word in done.stdout + done.stderr
  assert 'Traceback' not in done.stderr
