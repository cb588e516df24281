"""Plan and images to batches: training by tf.data, evaluation by NumPy.

What a training row looks like depends on (seed, epoch, row) alone, and which
rows a step sees on (seed, step) alone. So neither the number of threads nor a
restart changes anything, and a run resumes from the number of its step.
"""

import contextlib
import functools
import sys
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.batches import augment
from aubal_jax.batches import augment_processes
from aubal_jax.batches import clip_augment
from aubal_jax.batches import draws
from aubal_jax.batches import plan_rows
from aubal_jax.runs import errors

# Finished batches that wait for the training step.
_PREFETCH = 2
_MAY_BE_ZERO = ('num_steps', 'start_step', 'shard_index', 'num_processes')
# Keeps the permutations apart from whatever else is seeded with (seed, epoch).
_ORDER_STREAM = 0x0BDE5
_STRIDE_STREAM, _TARGET_STREAM = 3, 4  # Of draws.hash_rows.


def row_stream(
  num_rows: int, *, batch_size: int, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
  """Returns the function step -> (epoch int64[B], row int64[B]).

  Position p = step * B + j holds row permutation(seed, epoch)[p mod M] of
  epoch p // M, so batches run across the borders of epochs and every epoch
  shows each of the M rows exactly once.

  Raises:
    UserError: num_rows or batch_size below 1, seed below 0.
  """
  for name, value, least in (
    ('num_rows', num_rows, 1),
    ('batch_size', batch_size, 1),
    ('seed', seed, 0),
  ):
    if value < least:
      raise errors.UserError(f'{name} must be at least {least}; got {value}.')

  @functools.lru_cache(maxsize=2)
  def permutation(epoch):
    source = np.random.SeedSequence([seed, epoch, _ORDER_STREAM])
    return np.random.Generator(np.random.PCG64(source)).permutation(num_rows)

  def rows_of(step):
    position = step * batch_size + np.arange(batch_size, dtype=np.int64)
    epoch, offset = np.divmod(position, num_rows)
    row = np.empty_like(position)
    for e in range(epoch[0], epoch[-1] + 1):
      here = epoch == e
      row[here] = permutation(e)[offset[here]]
    return epoch, row

  return rows_of


def train_batches(
  plan,
  streams: Sequence,
  targets: Mapping,
  *,
  batch_size: int,
  seed: int,
  num_steps: int,
  block: int = 1,
  stride: int = 1,
  order: np.ndarray | None = None,
  start_step: int = 0,
  augment_rows: str = 'added',
  frozen: bool = False,
  settings: draws.Settings | None = None,
  num_workers: int = 2,
  num_processes: int = 0,
  pack: Callable | None = None,
  policy: Callable | None = None,
  shard_index: int = 0,
  shard_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the batches of steps start_step .. start_step + num_steps - 1.

  A batch is a dict of fields [B, ...], with B = batch_size / shard_count: each
  stream by its name; each target by its name, and which of it is known as
  NAME_known; and what else a loss takes by the name of a parameter. A row with
  a partner is s + U (ref - s), one U for all of it; then it is augmented. Close
  the iterator (`close()`, or let go of it) to stop early.

  Args:
    plan: a Plan: source int[M], augment bool[M], partner int[M] (-1: none),
      labels uint8[M, L] or None, share float[M] or None.
    streams: what the network sees, each with a `name` and `take`, such as
      `datasets.streams.Stream`. The one called 'image' is augmented, or the
      one called 'clip', see `clip_augment`; without them nothing is.
    targets: name -> what has `values` [N, ...] and bool `known` of that shape,
      such as `datasets.targets.Target`. Those of 'labels' are the plan's where
      it has its own, see `plan_rows`; others are those of the source, or what
      their method `drawn(sources, float[B, 2] in [0, 1))` returns, values and
      known.
    batch_size: rows a step, over all shards.
    seed: of the order and of everything drawn, >= 0.
    num_steps: how many batches.
    block: so many rows of the plan, from its first on, stay together and in
      their order, such as a window of a video; divides the rows and shares.
    stride: k: an epoch has one of each k rows that follow each other, drawn
      from (seed, epoch, which of these groups it is); with a block of 1 alone.
    order: int[M], the rows of the plan as they follow each other, such as
      frames in time; None: as they are.
    start_step: the first batch's step, >= 0.
    augment_rows: 'added' (rows with plan.augment), 'all' or 'none'.
    frozen: draw epoch 0's parameters in every epoch.
    settings: ranges of the augmentations, and how strong they are; None: the
      defaults. Of clips the probability of a flip and the strength alone.
    num_workers: threads that make batches.
    num_processes: processes that augment for these threads; 0: the threads do.
    pack: `augment_device.pack`: images stay as they are, and batches hold
      'augment' uint32[B, P], the parameters for the device. None: they are
      augmented here, as clips are in any case.
    policy: f(images, epochs, rows) -> images, in place of all of `settings`,
      such as `policy.Policy`; not of clips.
    shard_index: which contiguous share of each batch to make.
    shard_count: number of shares; must divide batch_size.

  Raises:
    UserError: on a bad argument, at once. What fails inside a worker is
      raised as it was there, on reaching its batch.
  """
  _check(
    plan,
    targets,
    augment_rows=augment_rows,
    batch_size=batch_size,
    num_steps=num_steps,
    stride=stride,
    start_step=start_step,
    num_workers=num_workers,
    num_processes=num_processes,
    shard_index=shard_index,
    shard_count=shard_count,
  )
  share = batch_size // shard_count
  num_rows = len(plan.source) // block
  rows_of = row_stream(
    -(-num_rows // stride), batch_size=batch_size // block, seed=seed
  )
  rows_of = _in_blocks(rows_of, block)
  if stride > 1:
    order = np.arange(num_rows) if order is None else order
    rows_of = _one_of_each(rows_of, order, stride, seed)
  mine = slice(shard_index * share, (shard_index + 1) * share)
  settings = settings or draws.Settings()
  name = _augmented_of(streams, policy)
  if not name:
    augment_rows = 'none'
  if name != 'image':
    pack = None
  which = {
    'added': plan.augment,
    'all': np.ones_like(plan.augment),
    'none': np.zeros_like(plan.augment),
  }[augment_rows]

  make_drawn = clip_augment.Drawn if name == 'clip' else augment.Drawn
  drawn = make_drawn(settings, seed, plan_rows.growth_of(plan, settings))
  augmented = drawn if policy is None else policy
  stack = contextlib.ExitStack()
  if num_processes and which.any() and pack is None:
    augmented = stack.enter_context(
      augment_processes.start(augmented, num_processes=num_processes)
    )

  def make(step):
    epoch, row = (values[mine] for values in rows_of(step))
    batch = {
      stream.name: plan_rows.inputs_of(plan, stream.take, row, seed=seed)
      for stream in streams
    }
    chosen = which[row]
    epochs = 0 if frozen else epoch[chosen]
    if pack is not None:
      batch['augment'] = pack(
        drawn.parameters(epochs, row[chosen]), share, chosen
      )
    elif chosen.any():
      seen = batch[name]
      seen[chosen] = augmented(seen[chosen], epochs, row[chosen])
    bits = draws.hash_rows(seed, epoch, row, count=2, stream=_TARGET_STREAM)
    return batch | _targets_of(plan, targets, row, draws.to_unit(bits))

  threads = max(num_workers, num_processes)
  return _run(make, start_step, num_steps, threads, stack.close)


def _augmented_of(streams, policy) -> str:
  """Returns the name of the stream that is augmented; '' of none.

  Raises:
    UserError: it is of clips, and a policy is of images.
  """
  names = {stream.name for stream in streams}
  if 'image' in names:
    return 'image'
  if 'clip' in names and policy is not None:
    raise errors.UserError(
      "augment.policy must be '' for a network of clips, which are flipped and "
      'shifted in colour as wholes; a policy of albumentations is of images.'
    )
  return 'clip' if 'clip' in names else ''


def seed_of(seed: int, number: int) -> int:
  """Returns the seed of one of several plans that train side by side."""
  source = np.random.SeedSequence([seed, number, _ORDER_STREAM])
  return int(source.generate_state(1)[0])


def side_by_side(batches: Mapping[str, Iterator]) -> Iterator[dict]:
  """Yields name -> the next batch of it, until one has no more."""
  for each in zip(*batches.values(), strict=False):
    yield dict(zip(batches, each, strict=True))


def _in_blocks(rows_of, size):
  """Returns `row_stream` of rows, given that of their blocks."""
  if size == 1:
    return rows_of

  def rows(step):
    epoch, block = rows_of(step)
    row = block[:, np.newaxis] * size + np.arange(size)
    return np.repeat(epoch, size), row.reshape(-1)

  return rows


def _one_of_each(rows_of, order, stride, seed):
  """Returns `row_stream` of rows, given that of the groups they are one of."""

  def rows(step):
    epoch, group = rows_of(step)
    bits = draws.hash_rows(seed, epoch, group, count=1, stream=_STRIDE_STREAM)
    size = np.minimum(stride, len(order) - group * stride)
    member = (draws.to_unit(bits)[:, 0] * size).astype(np.int64)
    return epoch, order[group * stride + member]

  return rows


def _targets_of(plan, targets, rows, unit):
  """Returns the fields of a batch that are targets of rows of a plan."""
  fields = {}
  for name, target in targets.items():
    if name == 'labels':
      fields[name] = plan_rows.labels_of(plan, target.values, rows)
      fields[f'{name}_known'] = plan_rows.known_of(plan, target.known, rows)
    elif hasattr(target, 'drawn'):
      found = target.drawn(plan.source[rows], unit)
      fields[name], fields[f'{name}_known'] = found
    else:
      fields[name] = target.values[plan.source[rows]]
      fields[f'{name}_known'] = target.known[plan.source[rows]]
  return fields


def eval_batches(
  streams: Sequence, rows: np.ndarray, *, batch_size: int
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
  """Yields (name -> stream [B, ...], mask bool[B]), each row once, in order.

  Where rows run out the last batch is filled with zeros and mask is False.

  Args:
    streams: as in `train_batches`.
    rows: int[R] table rows.
    batch_size: B.

  Raises:
    UserError: batch_size below 1.
  """
  if batch_size < 1:
    raise errors.UserError(f'batch_size must be at least 1; got {batch_size}.')
  rows = np.asarray(rows, np.int64)

  def batches():
    for start in range(0, len(rows), batch_size):
      some = rows[start : start + batch_size]
      batch = {s.name: fill(s.take(some), batch_size) for s in streams}
      yield batch, np.arange(batch_size) < len(some)

  return batches()


def fill(values: np.ndarray, size: int) -> np.ndarray:
  """Returns values [R, ...] with zeros up to `size` of them."""
  missing = size - len(values)
  if not missing:
    return values
  return np.concatenate(
    [values, np.zeros((missing, *values.shape[1:]), values.dtype)]
  )


def _check(plan, targets, *, augment_rows, **numbers):
  """Raises UserError on what train_batches cannot work with."""
  if augment_rows not in ('added', 'all', 'none'):
    raise errors.UserError(
      f"augment_rows must be 'added', 'all' or 'none'; got {augment_rows!r}."
    )
  for name, value in numbers.items():
    least = 0 if name in _MAY_BE_ZERO else 1
    if value < least:
      raise errors.UserError(f'{name} must be at least {least}; got {value}.')
  if numbers['batch_size'] % numbers['shard_count']:
    raise errors.UserError(
      'batch_size must be a multiple of shard_count; got '
      f'{numbers["batch_size"]} and {numbers["shard_count"]}.'
    )
  if numbers['shard_index'] >= numbers['shard_count']:
    raise errors.UserError(
      'shard_index must be below shard_count; got '
      f'{numbers["shard_index"]} and {numbers["shard_count"]}.'
    )
  if not len(plan.source):
    raise errors.UserError('plan must have at least one row; got none.')
  for name, target in targets.items():
    _check_target(plan, name, target)


def _check_target(plan, name, target):
  """Raises UserError where a target is not one of the plan's table."""
  values = target.values
  own = plan.labels if name == 'labels' else None
  if own is not None and own.shape[1:] != values.shape[1:]:
    raise errors.UserError(
      f'plan must have the {values.shape[1]} labels of the table; its own '
      f'labels have shape {list(own.shape)}.'
    )
  last = max(plan.source.max(), plan.partner.max())
  if last >= len(values):
    raise errors.UserError(
      f'plan must name rows of the table, which has {len(values)}; got row '
      f'{last}. Was it made from another table?'
    )


def _run(make, start_step, num_steps, num_workers, close):
  """Returns an iterator over make(step), made ahead by threads of tf.data.

  Once it is done with, or let go of, it calls close().
  """
  tf = _import_tensorflow()
  # The devices are JAX's; TensorFlow would take all their memory.
  tf.config.set_visible_devices([], 'GPU')

  # All that is worth letting go of: TensorFlow keeps `attempt` for ever. It
  # hands on the number of the step alone: what was made, or was raised, is
  # taken from here, whole.
  held = {'make': make, 'made': {}}

  def attempt(step):
    try:
      made = held['make'](int(step))
    except Exception as error:
      made = error
    held.get('made', {})[int(step)] = made
    return step

  @tf.autograph.experimental.do_not_convert  # It has nothing to convert.
  def batch(step):
    return tf.numpy_function(attempt, [step], tf.int64)

  dataset = (
    tf.data.Dataset.range(start_step, start_step + num_steps)
    .map(batch, num_parallel_calls=num_workers, deterministic=True)
    .prefetch(_PREFETCH)
  )
  options = tf.data.Options()
  options.autotune.enabled = False  # All numbers are given.
  # Else no more threads than cores, too few where reading waits for a disk.
  options.threading.private_threadpool_size = num_workers
  held['iterator'] = dataset.with_options(options).as_numpy_iterator()
  batches = _read(held)
  # TensorFlow's iterator must go before the interpreter does, else its threads
  # wait for ever for a dead one.
  weakref.finalize(batches, _end, held, close)
  return batches


def _import_tensorflow():
  """Returns TensorFlow: here, as evaluation need not wait for its seconds.

  It would import Keras, for no name of ours, and go on where it cannot: with
  Keras each of them takes 2 s more. Who asks for Keras later has it all.
  """
  unasked = 'keras.src.optimizers'
  sys.modules.setdefault(unasked, None)
  try:
    import tensorflow
  finally:
    if sys.modules[unasked] is None:
      del sys.modules[unasked]
  return tensorflow


def _end(held, close):
  """Lets go of TensorFlow's iterator, then of what its threads use."""
  held.clear()
  close()


def _read(held):
  """Yields what was made, in the order of steps, or raises its failure."""
  try:
    while (step := next(held['iterator'], None)) is not None:
      made = held['made'].pop(int(step))
      if isinstance(made, Exception):
        raise made
      yield made
  finally:
    held.clear()
