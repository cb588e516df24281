"""checkpoints/, or those of several runs -> one file that needs no trainer."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import files
from aubal_jax.runs import workdir
from aubal_jax.serving import networks
from aubal_jax.serving import predict

_FORMAT = 1  # Of the JSON file.
_NUM_RANDOM, _NUM_OWN = 8, 16  # Images that a file is compared on.
_NUM_OF_VIDEOS = 4  # Each, of clips, of which one is as dear as many images.
_VERSIONS = ('aubal_jax', 'jax', 'flax', 'onnx')


def run(config, path, watch, *, overwrite: bool = False) -> None:
  """Writes the network of a run as one file, and a JSON file beside it.

  The file is read back and compared with the network on rows before it gets
  its name; `predict.thresholds` says which thresholds go with it.

  Args:
    config: any configuration.
    path: the folder of the run, with its checkpoints/; or one with an
      ensemble.json; or any, where `ensemble.runs` names the runs.
    watch: books the time.
    overwrite: replace a file that no export wrote.

  Raises:
    UserError, OSError: the user has to mend something.
  """
  from aubal_jax.serving import formats

  path = pathlib.Path(path)
  kind = formats.FORMATS[config.export.format]
  members = networks.members(config, path)
  description = networks.describe(path, members)
  networks.inputs_of(description)  # Or it is told what is none.
  for module in kind.needs:
    extras.need(module, f'export.format={config.export.format}')
  kind.check(description)
  formats.check_names(config, description)
  out = _find_out(config, path, kind)
  record = out.with_name(f'{out.name}.json')
  if not overwrite:
    _refuse_other(out, record)
  trained = formats.in_float32(networks.load(config, path, members))
  thresholds = networks.thresholds(config, trained)
  watch.lap('reading the checkpoint')
  home = path if (path / 'config.json').exists() or not members else members[0]
  rows = _rows(config, home, description)
  about = _describe(config, trained, thresholds)
  if config.export.names != 'own':
    about[formats.ARRAYS] = config.export.names
  content = kind.make(trained, about)
  watch.lap('export')
  found = formats.compare(
    *(kind.readers(content, trained), formats.expect(trained, rows), rows),
    window=networks.window_of(description),
  )
  watch.lap('comparison')
  compared = {'rows': len(next(iter(rows.values()))), 'difference': found}
  with files.write_atomically(out, 'wb') as file:
    file.write(content)
  digest = hashlib.sha256(content).hexdigest()
  files.write_json(record, {**about, 'sha256': digest, 'compared': compared})
  _tell(out, record, content, trained, compared)


def _find_out(config, path, kind) -> pathlib.Path:
  """Returns the file to write: `export.out`, or model.* of the run's folder.

  Raises:
    UserError: it is no file that may be written.
  """
  if not config.export.out:
    return path / f'model{kind.suffix}'
  out = pathlib.Path(config.export.out)
  lead = f'export.out={out}'
  if out.suffix.lower() != kind.suffix:
    raise errors.UserError(
      f'{lead}: a file of export.format={config.export.format} is a '
      f'*{kind.suffix}; name it so.'
    )
  if out.is_dir():
    raise errors.UserError(f'{lead}: that is a folder; name a file in it.')
  if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
    raise errors.UserError(
      f'{lead}: {out.parent} is no folder that may be written to; make it, or '
      'name another file.'
    )
  return out


def _refuse_other(out, record) -> None:
  """Raises UserError where a file would be replaced that no export wrote."""
  try:
    held = files.read_json(record)
  except (FileNotFoundError, errors.UserError):
    held = None
  ours = isinstance(held, dict) and 'sha256' in held
  for file in (out, record):
    if file.exists() and not ours:
      raise errors.UserError(
        f'{file} is there, and no export of ours wrote it. Move it away to '
        'keep it, name another file (export.out), or replace it with '
        '--overwrite.'
      )


def _rows(config, home, description) -> dict[str, np.ndarray]:
  """Returns rows of each input, some drawn and, if at hand, some of the run."""
  rng = np.random.default_rng(0)
  of_videos = networks.sees_videos(description)
  own = predict.some_rows(
    *(config, home, description), _NUM_OF_VIDEOS if of_videos else _NUM_OWN
  )
  count, found = _NUM_OF_VIDEOS if of_videos else _NUM_RANDOM, {}
  if window := networks.window_of(description):  # Rows are whole windows.
    count = 2 * window
    own = {name: x[: len(x) // window * window] for name, x in own.items()}
  for seen in networks.inputs_of(description):
    shape = (count, *seen.shape)
    if seen.dtype == np.uint8:
      drawn = rng.integers(0, 256, shape, np.uint8)
    else:
      moments = description.streams[seen.name]
      place = moments.get('mean', 0), moments.get('std', 1)
      drawn = rng.normal(*place, shape).astype(np.float32)
    found[seen.name] = np.concatenate([drawn, own[seen.name]])
  return found


def _describe(config, trained, thresholds) -> dict:
  """Returns what is told of the file, in plain JSON types."""
  description, versions = trained.description, workdir.versions()
  return {
    'format': _FORMAT,
    'kind': config.export.format,
    **_describe_inputs(description),
    'names': list(description.label_names),
    'thresholds': [float(t) for t in thresholds],
    'thresholds_kind': config.predict.thresholds,
    'heads': [_head(head) for head in description.heads],
    'network': {
      **description.model,
      'dtype': 'float32',
      **networks.identity(trained),
    },
    'versions': {name: versions[name] for name in _VERSIONS},
  }


def _head(head) -> dict:
  """Returns what a head says, in plain JSON types."""
  told = {'name': head.name, 'kind': head.kind, 'names': list(head.names)}
  if head.kind == 'real':
    told |= {'low': head.low, 'high': head.high}
  return told


def _describe_inputs(description) -> dict:
  """Returns what is told of the input of a file; of several, of `inputs`."""
  told = [
    _describe_input(description, seen)
    for seen in networks.inputs_of(description)
  ]
  if not networks.sees_videos(description):
    return {'input': told[0]}
  return {'inputs': told}


def _describe_input(description, seen) -> dict:
  """Returns what is told of an input."""
  about = description.streams.get(seen.name, {})
  window = networks.window_of(description)
  found = {
    'name': seen.name,
    'dtype': np.dtype(seen.dtype).name,
    'shape': [f'{window} * windows' if window else 'batch', *seen.shape],
  }
  if 'columns' in about:
    found['columns'] = [*about['columns']]
  if 'made' in about:
    found['made'] = about['made']
  pixels = about.get('pixels', description.pixels)
  if pixels is None or seen.dtype != np.uint8:
    return found
  channels = 'grey' if pixels.channels == 1 else 'red, green, blue'
  if seen.shape[-1] > pixels.channels:
    channels += ', lines of landmarks'
  prepared = dataclasses.asdict(pixels)
  return {**found, 'channels': channels, 'prepared': prepared}


def _tell(out, record, content, trained, compared) -> None:
  """Prints what was written, and how near it is to the network."""
  told = ', '.join(
    f'{name} {x:.1e}' for name, x in compared['difference'].items()
  )
  print(
    f'export: {out} ({len(content) / 1e6:.1f} MB), the '
    f'{networks.in_words(trained)}. Read back on {compared["rows"]} inputs, '
    f'it differs in shares of the largest output by: {told}. What it takes and '
    f'says: {record}',
    flush=True,
  )
