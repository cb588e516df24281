"""The files that a trained network is exported as, and what reads them again.

Every file is read back by what is no part of its making, and compared with the
network on rows of its input, before it is of any use to anybody.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from aubal_jax.network import bundle
from aubal_jax.network import checkpoint_sums
from aubal_jax.network import ensemble
from aubal_jax.network import heads as heads_lib
from aubal_jax.network import inference
from aubal_jax.network import weights
from aubal_jax.network.weights import writing
from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.serving import networks
from aubal_jax.serving import onnx_graph

ARRAYS = 'arrays'  # Whose names they have, in metadata; our own are not told.
LIMIT = 1e-4  # What outputs may differ by, in shares of the largest.


class Format(typing.NamedTuple):
  """A kind of file.

  Attributes:
    suffix: of its name.
    needs: modules, names in `extras.PACKAGES`.
    check: raises UserError for a `Description` that it cannot hold.
    make: (trained, metadata) -> bytes of the file.
    readers: (file, trained) -> name of a reader, and a function from rows of
      the input, [B, ...], to name of output -> float32[B, L]. Of several
      inputs rows are a dict of them, see `networks.named`.
  """

  suffix: str
  needs: tuple[str, ...]
  check: Callable[[bundle.Description], None]
  make: Callable[[typing.Any, Mapping], bytes]
  readers: Callable[[bytes, typing.Any], dict[str, Callable]]


def in_float32(trained):
  """Returns a `Bundle` or an `Ensemble` whose arithmetic is float32."""
  if isinstance(trained, ensemble.Ensemble):
    members = tuple(map(in_float32, trained.members))
    return dataclasses.replace(trained, members=members)
  description = dataclasses.replace(trained.description, dtype='float32')
  return dataclasses.replace(trained, description=description)


def members_of(trained) -> tuple[bundle.Bundle, ...]:
  """Returns the networks whose mean is predicted, or the one."""
  if isinstance(trained, ensemble.Ensemble):
    return trained.members
  return (trained,)


def mean_of(trained) -> str:
  """Returns what the mean of several networks is of."""
  return getattr(trained, 'mean', 'logits')


def weights_of(trained) -> list[dict]:
  """Returns the variables of each network."""
  return [
    {'params': one.params, 'batch_stats': one.batch_stats}
    for one in members_of(trained)
  ]


def forward(trained) -> Callable:
  """Returns f(weights, rows) -> name of output -> float32[B, L], traceable.

  Args:
    trained: a `Bundle` or an `Ensemble`.

  Returns:
    Of `weights_of` and rows of the inputs, see `networks.named`, all outputs
    of `onnx_graph.make`.
  """
  models = [
    bundle.make_network(one.description)[0] for one in members_of(trained)
  ]
  heads, mean = trained.description.heads, mean_of(trained)
  inputs = networks.inputs_of(trained.description)

  def run(weights, rows):
    batch = networks.named(inputs, rows)
    found = [
      model.apply(own, batch, train=False)
      for model, own in zip(models, weights, strict=True)
    ]
    return _combine(heads, found, mean)

  return run


def _combine(heads, found, mean) -> dict:
  """Returns what is predicted of the outputs of networks, and their mean."""

  def average(each):
    return {h.name: sum(x[h.name] for x in each) / len(each) for h in heads}

  if mean == 'probabilities':
    return average([heads_lib.predictions(heads, x) for x in found])
  means = average(found)
  logits = {f'{name}{onnx_graph.OUTPUTS}': x for name, x in means.items()}
  return {**heads_lib.predictions(heads, means), **logits}


def expect(trained, rows) -> dict[str, np.ndarray]:
  """Returns all outputs of `forward`, by the programs that predict."""
  import jax

  devices = jax.local_devices(backend='cpu')[:1]
  heads, found = trained.description.heads, []
  batch = networks.named(networks.inputs_of(trained.description), rows)
  for one in members_of(trained):
    model, _ = bundle.make_network(one.description)
    predict = inference.make_predict(model, heads, devices, outputs=True)
    found.append(predict(one.params, one.batch_stats)(batch))
  return {
    name: np.asarray(x)
    for name, x in _combine(heads, found, mean_of(trained)).items()
  }


def difference(found: Mapping, expected: Mapping) -> float:
  """Returns the largest difference of an output.

  Of outputs of the network it is in shares of the largest of them, and so it is
  of numbers; probabilities are from 0 to 1, and their difference is taken as it
  is.
  """
  shares = []
  for name, wanted in expected.items():
    apart = np.abs(np.asarray(found[name], np.float64) - wanted).max()
    largest = np.abs(wanted).max()
    is_output = name.endswith(onnx_graph.OUTPUTS)
    shares.append(apart / (largest if is_output else max(largest, 1)))
  return float(np.max(shares))  # A NaN is the largest.


def first_of(rows, count: int = 1):
  """Returns the first of rows, or of rows of several inputs."""
  if isinstance(rows, Mapping):
    return {name: x[:count] for name, x in rows.items()}
  return rows[:count]


def compare(readers: Mapping, expected: Mapping, rows, *, window=0) -> dict:
  """Returns reader -> `difference` on rows, the first alone and all at once.

  Args:
    readers: name -> function of rows.
    expected: name of output -> float32[B, L].
    rows: of the inputs.
    window: rows that are seen together, of which B is a multiple; 0: none are.

  Raises:
    UserError: it is above `LIMIT`.
  """
  found, alone = {}, max(window, 1)
  for name, run in readers.items():
    found[name] = max(
      difference(run(rows), expected),
      difference(run(first_of(rows, alone)), first_of(expected, alone)),
    )
    if not found[name] <= LIMIT:
      raise errors.UserError(
        f'export: read by {name}, the file differs from the network by '
        f'{found[name]:.2g} of the largest output, and {LIMIT:g} is allowed; '
        'it is not written. Take another export.format, and tell the authors.'
      )
  return found


def _make_onnx(trained, metadata) -> bytes:
  members = members_of(trained)
  parts = [
    (bundle.make_network(one.description)[0], one.params, one.batch_stats)
    for one in members
  ]
  description = trained.description
  return onnx_graph.make(
    parts,
    description.heads,
    networks.inputs_of(description),
    mean=mean_of(trained),
    metadata=metadata,
  )


def _check_onnx(description) -> None:
  if networks.window_of(description):
    raise errors.UserError(
      'export.format=onnx: no graph is written of recurrent heads '
      '(multitask.heads=gru). Take export.format=stablehlo.'
    )
  model, _ = bundle.make_network(description)
  onnx_graph.check(model.trunk, description.model['name'])
  for head in description.heads:
    if head.kind not in onnx_graph.PREDICTIONS:
      raise errors.UserError(
        f'export.format=onnx: the head {head.name} is of the kind {head.kind}, '
        f'and of {", ".join(onnx_graph.PREDICTIONS)} alone a graph is written. '
        'Take export.format=stablehlo.'
      )


def _read_onnx(content, trained) -> dict[str, Callable]:
  inputs = networks.inputs_of(trained.description)
  readers = {'OpenCV': _by_opencv(content, inputs)}
  if extras.is_there('onnxruntime'):
    readers['ONNX Runtime'] = _by_onnxruntime(content, inputs)
  return readers


def _by_opencv(content, inputs):
  import cv2

  network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
  names = network.getUnconnectedOutLayersNames()

  def run(rows):
    for name, x in networks.named(inputs, rows).items():
      network.setInput(x, name)
    return dict(zip(names, network.forward(names), strict=True))

  return run


def _by_onnxruntime(content, inputs):
  import onnxruntime

  session = onnxruntime.InferenceSession(
    content, providers=['CPUExecutionProvider']
  )
  names = [output.name for output in session.get_outputs()]

  def run(rows):
    found = session.run(names, networks.named(inputs, rows))
    return dict(zip(names, found, strict=True))

  return run


def _make_stablehlo(trained, metadata) -> bytes:
  import jax
  from jax import export

  del metadata  # It has no place for any.
  run, weights = forward(trained), weights_of(trained)
  length = networks.window_of(trained.description)
  (batch,) = export.symbolic_shape(f'{length}*windows' if length else 'batch')
  inputs = networks.inputs_of(trained.description)
  rows = [jax.ShapeDtypeStruct((batch, *x.shape), x.dtype) for x in inputs]
  names = [x.name for x in inputs]
  exported = export.export(
    jax.jit(lambda *rows: run(weights, dict(zip(names, rows, strict=True)))),
    platforms=('cpu', 'cuda', 'tpu'),
  )(*rows)
  return bytes(exported.serialize())


def _read_stablehlo(content, trained) -> dict[str, Callable]:
  import jax
  from jax import export

  inputs = networks.inputs_of(trained.description)
  exported = export.deserialize(bytearray(content))
  device = jax.local_devices(backend='cpu')[0]

  def run(rows):
    with jax.default_device(device):
      return exported.call(*networks.named(inputs, rows).values())

  return {'JAX': run}


def _make_safetensors(trained, metadata) -> bytes:
  from safetensors import numpy as safetensors

  library = metadata.get(ARRAYS, writing.OWN)
  if library == writing.OWN:
    arrays = {
      name: np.ascontiguousarray(x)
      for name, x in checkpoint_sums.flatten(_named(trained)).items()
      if hasattr(x, 'shape')
    }
  else:
    arrays = {
      f'{prefix}{name}': x
      for prefix, one in _prefixed(trained)
      for name, x in writing.state_of(
        library,
        bundle.make_network(one.description)[0],
        *(one.params, one.batch_stats),
      ).items()
    }
  texts = {name: json.dumps(value) for name, value in metadata.items()}
  return safetensors.save(arrays, texts)


def check_names(config, description) -> None:
  """Raises UserError where a file cannot have the names of `export.names`."""
  library = config.export.names
  if library == writing.OWN:
    return
  if config.export.format != 'safetensors':
    raise errors.UserError(
      f'export.names={library} is for export.format=safetensors; it is '
      f'{config.export.format!r}, which has no names of arrays.'
    )
  layers = {head.layers for head in description.heads} - {'dense'}
  if layers:
    raise errors.UserError(
      f'export.names={library}: the heads of this network are of several '
      f'layers each (multitask.heads={layers.pop()}), which {library} has no '
      'names for. Take export.names=own.'
    )
  model, _ = bundle.make_network(description)
  writing.check(library, model, description.model['name'])


def _prefixed(trained):
  """Yields what stands before the names of each network, and the network."""
  every = members_of(trained)
  for k, one in enumerate(every):
    yield f'member{k + 1}.' if len(every) > 1 else '', one


def _named(trained):
  """Returns the variables of one network, or name of member -> those."""
  every = weights_of(trained)
  if len(every) == 1:
    return every[0]
  return {f'member{k + 1}': one for k, one in enumerate(every)}


def _read_safetensors(content, trained) -> dict[str, Callable]:
  from safetensors import numpy as safetensors

  held, library = safetensors.load(content), _library_of(content)
  again = []
  for prefix, one in _prefixed(trained):
    state = {
      name.removeprefix(prefix): x
      for name, x in held.items()
      if name.startswith(prefix)
    }
    found = (
      _nested(state)
      if library == writing.OWN
      else _as_ours(library, state, one)
    )
    own = {'params': {}, 'batch_stats': {}, **found}
    again.append(dataclasses.replace(one, **own))
  again = tuple(again)
  if isinstance(trained, ensemble.Ensemble):
    again = (dataclasses.replace(trained, members=again),)
  return {'JAX': functools.partial(expect, *again)}


def _library_of(content: bytes) -> str:
  """Returns whose names the arrays of a safetensors file have."""
  size = int.from_bytes(content[:8], 'little')
  texts = json.loads(content[8 : 8 + size]).get('__metadata__', {})
  return json.loads(texts.get(ARRAYS, f'"{writing.OWN}"'))


def _as_ours(library: str, state: Mapping, one) -> dict:
  """Returns the variables of a network, as `model.init_from` reads them."""
  model, _ = bundle.make_network(one.description)
  found = weights.take(
    *(state, 'the file', *map(_blank, (one.params, one.batch_stats))),
    trunk=model.trunk,
    heads=model.head_names,
  )
  heads = writing.heads_of(library, model, state)
  params = {**found.params, **heads}
  return {'params': params, 'batch_stats': found.batch_stats}


def _blank(tree):
  """Returns NaN in place of all numbers."""
  import jax

  return jax.tree.map(lambda x: np.full_like(x, np.nan), tree)


def _nested(arrays: Mapping) -> dict:
  """Returns {'a': {'b': x}} of {'a.b': x}."""
  tree = {}
  for name, values in arrays.items():
    *above, last = name.split('.')
    inner = tree
    for key in above:
      inner = inner.setdefault(key, {})
    inner[last] = values
  return tree


FORMATS = types.MappingProxyType(
  {
    'onnx': Format('.onnx', ('onnx',), _check_onnx, _make_onnx, _read_onnx),
    'stablehlo': Format(
      *('.stablehlo', ('flatbuffers',), lambda description: None),
      *(_make_stablehlo, _read_stablehlo),
    ),
    'safetensors': Format(
      *('.safetensors', ('safetensors',), lambda description: None),
      *(_make_safetensors, _read_safetensors),
    ),
  }
)
