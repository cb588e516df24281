"""Ways of balancing several targets, trained and compared with paired seeds."""

import json
import pathlib

import numpy as np
import pytest
from scipy import stats

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch):
  monkeypatch.syspath_prepend(ROOT / 'scripts')
  import compare_target_balances

  return compare_target_balances


@pytest.mark.parametrize('num_seeds', [1, 2, 7])
def test_differences_are_paired_by_seed(script, num_seeds):
  rng = np.random.default_rng(num_seeds)
  seeds = rng.normal(0, 1, num_seeds)  # Of which some are far easier.
  found = {
    balance: [
      {'overall': x, 'other': -x}
      for x in seeds + shift + rng.normal(0, 0.01, num_seeds)
    ]
    for shift, balance in enumerate(script.BALANCES)
  }
  summary = script.summarise(found)
  none = np.array([x['overall'] for x in found['none']])
  for shift, balance in enumerate(script.BALANCES):
    mean, difference, half = summary[balance]['overall']
    own = np.array([x['overall'] for x in found[balance]])
    assert mean == pytest.approx(own.mean())
    assert difference == pytest.approx(shift, abs=0.05)
    assert summary[balance]['other'][1] == pytest.approx(-difference)
    if num_seeds == 1:
      assert half is None
    elif shift:
      test = stats.ttest_rel(own, none).confidence_interval()
      assert half == pytest.approx((test.high - test.low) / 2)
  table = script.table(summary)
  assert table.count('\n') == 1 + len(script.BALANCES)


@pytest.mark.long
def test_every_balance_is_trained(script, tmp_path, monkeypatch, capfd):
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  flags = (
    *('--config.data.num_train=90', '--config.data.num_validation=24'),
    *('--config.data.num_test=24', '--config.train.num_steps=2'),
    *('--config.train.batch_size=12', '--config.data.image_size=32'),
  )
  arguments = [f'--workdir={tmp_path}', '--seeds=1', *flags]
  script.main(arguments)
  record = json.loads((tmp_path / 'balances.json').read_text())
  assert {*record['summary']} == {*script.BALANCES}
  for balance in script.BALANCES:
    report = json.loads((tmp_path / f'{balance}-0/report.json').read_text())
    assert record['runs'][balance] == [script.scores_of(report)]
  assert '| `joint` |' in capfd.readouterr().out
