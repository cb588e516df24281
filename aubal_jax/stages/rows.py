"""What became of every row: rows.csv, plan.csv, counts of each merged set."""

from __future__ import annotations

import numpy as np

from aubal_jax.runs import csv_files


def tell_sources(dataset) -> dict:
  """Prints the left half of the paper's Table I for merged sets; returns it."""
  from aubal_jax.datasets import merged

  found = merged.table_of_sources(dataset)
  total = {
    'images': sum(entry['images'] for entry in found.values()),
    'class_counts': np.sum([e['class_counts'] for e in found.values()], axis=0),
  }
  columns = [*found.items(), ('together', total)]
  wide = max(len(name) for name in (*dataset.label_names, 'images'))
  print(f'{"":{wide}} ' + ' '.join(f'{name:>11}' for name, _ in columns))
  for k, name in enumerate(dataset.label_names):
    counts = (f'{entry["class_counts"][k]:>11,}' for _, entry in columns)
    print(f'{name:{wide}} ' + ' '.join(counts))
  counts = (f'{entry["images"]:>11,}' for _, entry in columns)
  print(f'{"images":{wide}} ' + ' '.join(counts), flush=True)
  return found


def write(path, dataset, *, raw: bool = False) -> None:
  """Writes rows.csv: the split of every row, and why it was dropped.

  Where targets have their own splits these stand beside, and whether a row is
  clean: its group trains in none.

  Args:
    path: of the file.
    dataset: whose rows it is of.
    raw: see `csv_files`.
  """
  columns = {'row': np.arange(len(dataset)).astype(str), 'id': dataset.ids}
  for name in ('sources', 'groups'):
    if getattr(dataset, name) is not None:
      columns[name.removesuffix('s')] = getattr(dataset, name)
  columns['split'] = dataset.split
  for target in dataset.splits:
    columns[f'split of {target}'] = dataset.split_of(target)
  if dataset.splits:
    columns['clean'] = dataset.clean().astype(int)
  if dataset.reasons is not None:
    columns['reason'] = dataset.reasons
  rows = zip(*(values.tolist() for values in columns.values()), strict=True)
  csv_files.write(path, columns, rows, raw=raw)


def write_plan(path, plan, dataset, *, raw: bool = False) -> None:
  """Writes plan.csv: the rows to train on, in the plan's order, by name.

  Args:
    path: of the file.
    plan: the `Plan`.
    dataset: whose rows it names.
    raw: see `csv_files`.
  """
  columns = {
    'row': plan.source,
    'id': dataset.ids[plan.source],
    'augment': plan.augment.astype(int),
  }
  if (plan.partner >= 0).any():
    columns['partner'] = plan.partner
  rows = zip(*(values.tolist() for values in columns.values()), strict=True)
  csv_files.write(path, columns, rows, raw=raw)
