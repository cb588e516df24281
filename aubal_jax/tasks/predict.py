"""checkpoints/ and new images -> predictions.csv."""

from __future__ import annotations


def run(config, path, watch) -> None:
  """Predicts every image of a folder, a manifest or a split."""
