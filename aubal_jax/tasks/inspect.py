"""The data set -> inspect.json, inspect.html."""

from __future__ import annotations


def run(inputs) -> None:
  """Looks at every image and label, and writes what is odd."""
