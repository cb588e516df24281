"""What predicts the faces of a stream: a reader of them, and a network."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from aubal_jax.serving import networks


@dataclasses.dataclass(frozen=True)
class Job:
  """What reads, sees and says what.

  Attributes:
    reader: of the faces.
    trained: a `Bundle` or an `Ensemble`.
    thresholds: float64[L].
    width: frames of a centred mean.
    form: of `face_table.FORMS`.
    batch_size: rows a step.
    parts: of `in_parts.make`: of a network that sees windows of a face.
  """

  reader: object
  trained: object
  thresholds: np.ndarray
  width: int
  form: str
  batch_size: int
  parts: object = None

  @property
  def others(self) -> tuple:
    """The heads beside that of the labels."""
    from aubal_jax.serving import target_columns

    return target_columns.others(self.trained.description.heads)

  @property
  def num_values(self) -> int:
    """How many numbers are predicted of a face."""
    return len(self.thresholds) + sum(len(head.names) for head in self.others)

  @property
  def num_kept(self) -> int:
    """How many numbers are kept of a face until its clip is through."""
    return self.num_values if self.parts is None else self.parts.size

  @property
  def window(self) -> int:
    """Rows of a face that are seen together; 0: each alone."""
    return networks.window_of(self.trained.description)

  @functools.cached_property
  def run(self) -> Callable:
    """Name of stream -> [B, ...], to float32[B, `num_kept`]."""
    from aubal_jax.serving import target_columns

    if self.parts is not None:
      return self.parts.see
    predict, others = self.trained.make_predict(), self.others
    return lambda batch: target_columns.join(predict(batch), others)

  def say(self, rows, kept) -> np.ndarray:
    """Returns float32[R, K] of one image or clip, NaN where nothing is said.

    Args:
      rows: R of them.
      kept: float32[R, `num_kept`]; NaN of a row of which nothing is said.
    """
    if self.parts is None:
      return self.smooth(rows, kept)
    there = np.flatnonzero([row.is_predicted for row in rows])
    values = np.full((len(rows), self.num_values), np.nan, np.float32)
    values[there] = self.parts.predict(
      kept[there],
      [str(rows[k].face) for k in there],  # A window is of one face.
      [rows[k].frame or 0 for k in there],
      batch_size=self.batch_size,
    )
    return self.smooth(rows, values)

  def columns(self) -> list:
    """Returns the columns of the table."""
    from aubal_jax.serving import face_table

    names = self.trained.description.label_names
    return face_table.columns(self.form, names, self.thresholds, self.others)

  def measures(self) -> list:
    """Returns what the page shows."""
    from aubal_jax.serving import faces_page

    names = self.trained.description.label_names
    return faces_page.measures(names, self.thresholds, self.others)

  def smooth(self, rows, values) -> np.ndarray:
    """Returns float32[R, K] of one clip, each face averaged over time."""
    from aubal_jax.scoring import smoothing

    faces = [
      -1 if np.isnan(v).any() else r.face
      for r, v in zip(rows, values, strict=True)
    ]
    values = values.copy()
    for face in {*faces} - {-1}:
      of = np.flatnonzero(np.array(faces) == face)
      frames = [rows[k].frame for k in of]
      if self.width > 1 and None not in frames:
        values[of] = smoothing.moving_average(values[of], frames, self.width)
    return values

  def describe(self, config) -> dict:
    """Returns all that the table depends on, in plain JSON types."""
    from aubal_jax.serving import inputs

    predict, reader = config.predict, self.reader
    return {
      'inputs': {
        'named': [predict.path, *predict.also],
        'count': len(reader.items),
        'fingerprint': inputs.fingerprint(reader.items),
      },
      'form': self.form,
      'columns': [column.name for column in self.columns()],
      'thresholds': [float(t) for t in self.thresholds],
      'smooth': self.width,
      'every': predict.every,
      'detect_every': predict.detect_every,
      'fps': predict.fps,
      'batch_size': predict.batch_size,
      'raw_cells': config.raw_cells,
      'checkpoint': networks.identity(self.trained),
      'seen': dataclasses.asdict(reader.seen),
      **({} if self.parts is None else {'parts': self.parts.describe()}),
    }
