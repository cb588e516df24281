"""compare.html, and what a comparison prints."""

from __future__ import annotations

from aubal_jax import files
from aubal_jax.report import conclusions
from aubal_jax.report import page

TITLES = {
  'f1_macro': 'F1 macro',
  'f1_macro_tuned': 'F1 macro tuned',
  'f1_micro': 'F1 micro',
  'f1_micro_tuned': 'F1 micro tuned',
  'auc_macro': 'AUC macro',
  'map': 'mAP',
  'awc': 'AWC',
  'awc_tuned': 'AWC tuned',
}


def write_page(path, record) -> None:
  """Writes compare.html: the answer in words, tables and pictures.

  Args:
    path: of the page, written whole or not at all.
    record: from comparison.record.make_record, or the content of compare.json.
  """
  with files.write_atomically(path) as file:
    file.write(page.document('Comparison', []))


def lines(record) -> list[str]:
  """Returns the tables over all data sets as text, and what they come to."""
  return [*conclusions.conclude(record)]
