"""Images and clips -> a row for every face of every image and frame.

This form is written where there is a clip, or several inputs, or where
`predict.form` asks for it; one folder of images, a table of them and a split
of the data set have a row for each image, see `predictions`.
"""

from __future__ import annotations

import collections
import os
import pathlib

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
  from aubal_jax.serving import face_job
  from aubal_jax.serving import in_parts
  from aubal_jax.serving import outputs as outputs_lib

  members = networks.members(config, path)
  description = networks.describe(path, members)
  eye = in_parts.find_eye(config, path, members, description)
  reader = _reader(config, in_parts.seen_by(description, eye))
  watch.lap('looking for images and clips')
  trained = networks.load(config, path, members)
  job = face_job.Job(
    reader=reader,
    trained=trained,
    thresholds=networks.thresholds(config, trained),
    width=networks.smoothing_width(config, trained),
    form=form,
    batch_size=config.predict.batch_size,
    parts=in_parts.make(trained, eye),
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
  counts, page = _write_table(config, job, outputs)
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
  if networks.window_of(description):
    pace = inputs.Pace()  # Windows are of all frames; some have a row.
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


def _write_table(config, job, outputs):
  """Writes the rows of what was predicted; returns their counts and page."""
  from aubal_jax.serving import face_counts
  from aubal_jax.serving import face_table
  from aubal_jax.serving import faces_page
  from aubal_jax.serving import inputs

  items = job.reader.items
  blocks = face_table.blocks(
    outputs.partial, [item.name for item in items], job.say, job.num_kept
  )
  if job.window:
    blocks = _chosen(blocks, inputs.pace(config.predict.every))
  names = job.trained.description.label_names
  counts = face_counts.Counts(names, job.thresholds)
  page = faces_page.Page(job.measures())
  face_table.write(
    outputs.rows,
    page.over(counts.over(blocks), items),
    job.columns(),
    raw=config.raw_cells,
  )
  return counts, page


def _chosen(blocks, pace):
  """Yields blocks with the rows of those frames that `pace` takes."""
  from aubal_jax.media import video

  for block in blocks:
    choice = video.Choice(pace.every, pace.every_seconds, 0)
    taken = {None: True}  # What is of no frame.
    for row in block.rows:
      if row.frame not in taken:
        taken[row.frame] = choice(row.frame, row.time)
    held = [k for k, row in enumerate(block.rows) if taken[row.frame]]
    rows = [block.rows[k] for k in held]
    if rows:
      yield block._replace(rows=rows, values=block.values[held])


def _tell_start(job) -> None:
  from aubal_jax.serving import inputs

  kinds = collections.Counter(item.kind for item in job.reader.items)
  what = [
    f'{count:,} {kind}{"s" * (count > 1)}'
    for kind, count in sorted(kinds.items())
  ]
  smooth = f', averaged over {job.width} frames' * (job.width > 1)
  smooth *= inputs.CLIP in kinds
  windows = f', in windows of {job.window} frames' * (job.window > 0)
  print(
    f'predict: {" and ".join(what)}, with the '
    f'{networks.in_words(job.trained)}{windows}{smooth}',
    flush=True,
  )
  if job.window and inputs.IMAGE in kinds:
    print(
      'Note: an image is a clip of one frame, which fills its window of '
      f'{job.window}; --fps=30 takes folders of images as clips.',
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
      job.run,
      batch_size=config.predict.batch_size,
      on_piece=face_counts.Frames(job.reader, place),
      should_stop=preemption.requested,
    )
