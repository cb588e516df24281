"""Images and clips -> a row for every face of every image and frame.

This form is written where there is a clip, or several inputs, or where
`predict.form` asks for it; one folder of images, a table of them and a split
of the data set have a row for each image, see `predictions`.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import files as files_lib
from aubal_jax.runs import preemption
from aubal_jax.serving import networks

IMAGES = 'images'  # The other form.


def form_of(config) -> str:
  """Returns the form to write: `IMAGES` or one of `face_table.FORMS`.

  Raises:
    UserError: there are several inputs, and the form takes one.
  """
  predict = config.predict
  if predict.form == IMAGES and predict.also:
    raise errors.UserError(
      f'predict.form={IMAGES} takes one folder or table, and here are '
      f'{1 + len(predict.also)} inputs; leave the form out.'
    )
  if predict.form:
    return predict.form
  if not predict.path:
    return IMAGES
  is_parquet = pathlib.Path(predict.out).suffix.lower() == '.parquet'
  if predict.also or is_parquet:
    return 'faces'
  from aubal_jax.serving import inputs

  return 'faces' if inputs.has_clips(predict.path, predict.fps) else IMAGES


def run(config, path, outputs, form, watch, *, overwrite=False) -> None:
  """Predicts every face of `predict.path` and `predict.also`.

  Args:
    config: any configuration.
    path: the folder of the run.
    outputs: of `outputs.find`.
    form: of `form_of`.
    watch: books the time.
    overwrite: predict anew what was predicted before.

  Raises:
    UserError, OSError: the user has to mend something.
    SystemExit: a signal came; what was predicted is kept.
  """
  from aubal_jax.serving import face_counts
  from aubal_jax.serving import face_table
  from aubal_jax.serving import faces_page
  from aubal_jax.serving import outputs as outputs_lib

  members = networks.members(config, path)
  description = networks.describe(path, members)
  reader = _reader(config, description)
  watch.lap('looking for images and clips')
  trained = networks.load(config, path, members)
  job = _Job(
    reader=reader,
    trained=trained,
    thresholds=networks.thresholds(config, trained),
    width=networks.smoothing_width(config, trained),
    form=form,
  )
  watch.lap('reading the checkpoint')
  if overwrite:
    outputs_lib.clear(outputs, path)
  about = files_lib.plain(job.describe(config))
  if not _begin(outputs, about):
    return
  _tell_start(job)
  if not _predict(config, job, outputs.partial):
    preemption.stop_if_requested()
  watch.lap('prediction')
  blocks = face_table.blocks(
    outputs.partial,
    [item.name for item in reader.items],
    job.smooth,
    job.num_values,
  )
  counts = face_counts.Counts(description.label_names, job.thresholds)
  page = faces_page.Page(job.measures())
  face_table.write(
    outputs.rows,
    page.over(counts.over(blocks), reader.items),
    job.columns(),
    raw=config.raw_cells,
  )
  watch.lap('table')
  told = f'Predicted by the {networks.in_words(trained)}.'
  page.write(outputs.page, reader.items, told=told)
  outputs.partial.unlink()
  watch.lap('page')
  counts.tell()
  print(f'predict: written to {outputs.rows}, shown in {outputs.page}')
  if not counts.predicted:
    raise errors.UserError(
      f'Nothing was predicted; the column status of {outputs.rows} says why.'
    )


@dataclasses.dataclass(frozen=True)
class _Job:
  """What predicts what.

  Attributes:
    reader: of the faces.
    trained: a `Bundle` or an `Ensemble`.
    thresholds: float64[L].
    width: frames of a centred mean.
    form: of `face_table.FORMS`.
  """

  reader: object
  trained: object
  thresholds: np.ndarray
  width: int
  form: str

  @property
  def others(self) -> tuple:
    """The heads beside that of the labels."""
    from aubal_jax.serving import target_columns

    return target_columns.others(self.trained.description.heads)

  @property
  def num_values(self) -> int:
    """How many numbers are predicted of a face."""
    return len(self.thresholds) + sum(len(head.names) for head in self.others)

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
    }


def _reader(config, description):
  """Returns the `Reader` of what is named.

  Raises:
    FileNotFoundError, UserError: there is none of it, the network sees no
      image, or a package is not installed.
  """
  from aubal_jax.media import crop
  from aubal_jax.serving import clips
  from aubal_jax.serving import inputs
  from aubal_jax.serving import predict as predict_lib
  from aubal_jax.serving import seen as seen_lib

  predict = config.predict
  if predict.submission:
    raise errors.UserError(
      'predict.submission is written of one folder or table of images; leave '
      'it out for clips and faces.'
    )
  seen = seen_lib.of(description)
  if not predict.path:
    raise errors.UserError(
      f'predict.form={predict.form} is of images and clips that are named: '
      'aubal_jax predict RUN CLIP.mp4 IMAGES.'
    )
  pace = inputs.pace(predict.every)
  items, others = inputs.find(
    [predict.path, *predict.also],
    fps=predict.fps,
    path_column=config.data.path_column,
    image_dir=config.data.image_dir,
  )
  predict_lib.tell_others(others)
  if any(i.kind == inputs.CLIP and not os.path.isdir(i.path) for i in items):
    extras.need('av', 'Reading a clip')
  if seen.crop != 'none':
    crop.make_find(seen.crop)
  return clips.Reader(
    items,
    seen,
    pace,
    detect_every=predict.detect_every,
    fps=predict.fps,
    on_remark=lambda remark: print(f'predict: {remark}', flush=True),
  )


def _begin(outputs, about) -> bool:
  """Returns whether there is anything to do, or to go on with.

  Raises:
    UserError: there are predictions of anything else.
  """
  from aubal_jax.serving import predictions

  if predictions.is_begun(outputs.rows, outputs.partial, outputs.record, about):
    if outputs.partial.exists() or not outputs.rows.exists():
      return True
    print(f'predict: {outputs.rows} was done before.', flush=True)
    return False
  files_lib.write_json(outputs.record, about)
  return True


def _tell_start(job) -> None:
  from aubal_jax.serving import inputs

  kinds = collections.Counter(item.kind for item in job.reader.items)
  what = [
    f'{count:,} {kind}{"s" * (count > 1)}'
    for kind, count in sorted(kinds.items())
  ]
  smooth = f', averaged over {job.width} frames' * (job.width > 1)
  smooth *= inputs.CLIP in kinds
  print(
    f'predict: {" and ".join(what)}, with the '
    f'{networks.in_words(job.trained)}{smooth}',
    flush=True,
  )
  if job.reader.seen.has_mask:
    print(
      'Note: the network saw lines of landmarks in training, which nothing '
      'finds here: that channel is black.',
      flush=True,
    )


def _predict(config, job, partial) -> bool:
  """Predicts what is not in the file yet; returns whether that is all."""
  from aubal_jax.serving import face_counts
  from aubal_jax.serving import face_rows
  from aubal_jax.serving import target_columns

  run, others = job.trained.make_predict(), job.others
  place, size = face_rows.find_place(partial)
  if size:
    names = [item.name for item in job.reader.items[place.item :]]
    where = f'frame {place.frame:,} of ' * (place.frame > 0)
    where += names[0] if names else 'the table'
    print(f'predict: goes on at {where}', flush=True)
  with preemption.deferred():
    return face_rows.predict(
      partial,
      job.reader,
      lambda batch: target_columns.join(run(batch), others),
      batch_size=config.predict.batch_size,
      on_piece=face_counts.Frames(job.reader, place),
      should_stop=preemption.requested,
    )
