"""The bench of tables in parts, on a table of a few rows."""

import argparse
import pathlib
import runpy

import pytest
from pyarrow import parquet

from aubal_jax.runs import executors

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def bench():
  return runpy.run_path(str(ROOT / 'scripts/bench_cluster.py'))


@pytest.mark.parametrize('rows', [1, 999, 1000, 1001, 2500])
def test_the_table_has_the_rows_asked_for(bench, tmp_path, rows):
  args = argparse.Namespace(rows=rows, part_rows=1000, labels=3, processes=1)
  with executors.open('local') as executor:
    row = bench['make_table'](tmp_path, executor, args)
  files = sorted(tmp_path.iterdir())
  sizes = [parquet.read_metadata(path).num_rows for path in files]
  assert sum(sizes) == rows and len(sizes) == row['parts']
  assert all(size == 1000 for size in sizes[:-1])
  again = bench['make_part'](tmp_path / 'again', 0, sizes[0], 3)
  assert again == files[0].stat().st_size


def test_it_is_counted_solved_planned_and_checked(bench, tmp_path, capsys):
  args = argparse.Namespace(rows=2500, part_rows=1000, labels=4, processes=1)
  with executors.open('local') as executor:
    row = bench['make_table'](tmp_path, executor, args)
    bench['measure_plan'](tmp_path, executor, row)
  assert row['plan_rows'] >= 2500 and 1 < row['labelsets'] <= 16
  paper = bench['on_paper'](row)
  both = row['count_cpu_seconds'] + row['plan_cpu_seconds']
  assert paper['minutes'] == pytest.approx(1e10 / 2500 * both / 60 / 100)
  bench['tell'](row)
  assert '| plan rows |' in capsys.readouterr().out
