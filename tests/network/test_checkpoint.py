"""Checkpoints: what is kept, what comes back, and what is refused."""

import errno
import json
import logging
import os
import random
import resource
import shutil
import threading
import time

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aubal_jax.network import checkpoint
from aubal_jax.network import checkpoint_manager
from tests.makers import damage as damage_lib


@flax.struct.dataclass
class State:
  step: jax.Array
  params: dict
  opt_state: tuple


def make_state(step, width=3, optimizer=None):
  """Returns a state whose every leaf depends on the step."""
  params = {
    'dense': {'kernel': jnp.full((2, width), step + 0.1, jnp.float32)},
    'half': jnp.full(4, step + 0.2, jnp.bfloat16),
  }
  optimizer = optimizer or optax.adam(1e-3)
  opt_state = jax.tree.map(lambda x: x + step, optimizer.init(params))
  return State(jnp.asarray(step, jnp.int32), params, opt_state)


def assert_same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def save_all(checkpoints, quality):
  """Saves one state for each step of step -> f1_macro (None: not known)."""
  for step, value in quality.items():
    metrics = None if value is None else {'f1_macro': value}
    assert checkpoint.save(checkpoints, make_state(step), metrics)


@pytest.fixture
def directory(tmp_path):
  return tmp_path / 'checkpoints'


def test_saved_state_comes_back_whole(directory):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {7: None})
    restored = checkpoint.restore(checkpoints, make_state(0))
  assert_same(restored, make_state(7))
  assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(restored))


def test_abstract_state_is_enough_to_restore(directory):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {7: None})
    like = jax.eval_shape(lambda: make_state(0))
    assert_same(checkpoint.restore(checkpoints, like), make_state(7))


@pytest.mark.parametrize(
  ('quality', 'kept', 'best'),
  [
    # The best is older than the newest two.
    ({1: 0.9, 2: 0.1, 3: 0.2, 4: 0.3}, {1, 3, 4}, 1),
    # The best is among the newest.
    ({1: 0.1, 2: 0.2, 3: 0.4, 4: 0.3}, {3, 4}, 3),
    # One that was not evaluated is no candidate, and goes when it is old.
    ({1: 0.5, 2: None, 3: None, 4: None}, {1, 3, 4}, 1),
    # A NaN is the worst, of equals the newest is best.
    ({1: 0.2, 2: 0.2, 3: np.nan, 4: np.nan}, {2, 3, 4}, 2),
    ({1: None, 2: None}, {1, 2}, None),
  ],
)
def test_the_newest_and_the_best_are_kept(directory, quality, kept, best):
  with checkpoint.open_checkpoints(
    directory, keep_checkpoints=2
  ) as checkpoints:
    save_all(checkpoints, quality)
  # A new process finds the same.
  with checkpoint.open_checkpoints(
    directory, keep_checkpoints=2
  ) as checkpoints:
    assert {int(p.name) for p in directory.iterdir()} == kept
    assert checkpoint.find_step(checkpoints) == max(quality)
    assert checkpoint.find_step(checkpoints, which='best') == best
    latest = checkpoint.restore(checkpoints, make_state(0), which='latest')
    assert_same(latest, make_state(max(quality)))
    if best is None:
      with pytest.raises(FileNotFoundError, match='No best checkpoint in'):
        checkpoint.restore(checkpoints, make_state(0), which='best')
    else:
      restored = checkpoint.restore(checkpoints, make_state(0), which='best')
      assert_same(restored, make_state(best))


def test_metrics_live_with_their_checkpoint(directory):
  metrics = {'f1_macro': 0.25, 'thresholds': [0.5, 0.125], 'name': {'AU06': 1}}
  with checkpoint.open_checkpoints(directory) as checkpoints:
    checkpoint.save(checkpoints, make_state(1), metrics)
  (path,) = (directory / '1').glob('metrics/metrics')
  assert json.loads(path.read_text()) == metrics


def test_state_of_four_devices_restores_onto_one(directory):
  spread = jax.pmap(
    lambda state, x: jax.tree.map(lambda leaf: leaf, state),
    in_axes=(None, 0),
    out_axes=None,
    devices=jax.local_devices()[:4],
  )(make_state(5), np.zeros(4))
  assert len(spread.step.devices()) == 4
  with checkpoint.open_checkpoints(directory) as checkpoints:
    checkpoint.save(checkpoints, spread)
    restored = checkpoint.restore(checkpoints, make_state(0))
  placed = jax.device_put(restored, jax.local_devices()[0])
  assert_same(placed, make_state(5))


def test_a_state_goes_from_one_device_to_four_to_two(directory):
  state = make_state(1)
  with checkpoint.open_checkpoints(directory) as checkpoints:
    for step, num_devices in enumerate((1, 4, 2), start=1):
      devices = jax.local_devices()[:num_devices]
      mesh = jax.sharding.Mesh(np.array(devices), ('devices',))
      whole = jax.NamedSharding(mesh, jax.P())
      placed = jax.device_put(state.replace(step=np.int32(step)), whole)
      assert len(placed.params['half'].devices()) == num_devices
      checkpoint.save(checkpoints, placed)
      state = checkpoint.restore(checkpoints, make_state(0))
      assert_same(state, make_state(1).replace(step=np.int32(step)))


def test_a_save_goes_on_in_the_background_from_a_copy(directory, monkeypatch):
  gate = threading.Event()
  finalize = checkpoint.ocp.CheckpointManager._finalize

  def wait_for_gate(manager, *arguments):
    assert gate.wait(60)
    finalize(manager, *arguments)

  monkeypatch.setattr(
    checkpoint.ocp.CheckpointManager, '_finalize', wait_for_gate
  )
  state = jax.tree.map(np.array, make_state(1))
  donate = jax.jit(
    lambda x: jax.tree.map(lambda leaf: leaf + 1, x), donate_argnums=0
  )
  with checkpoint.open_checkpoints(directory) as checkpoints:
    placed = jax.device_put(state, jax.local_devices()[0])
    checkpoint.save(checkpoints, placed)
    donate(placed)  # The device's memory is another's now.
    threading.Timer(0.1, gate.set).start()
    assert_same(checkpoint.restore(checkpoints, state), make_state(1))
    assert gate.is_set()  # It was waited for.
    checkpoint.save(checkpoints, state.replace(step=np.int32(2)))
    jax.tree.map(lambda x: x.fill(7) if x.ndim else None, state)
  with checkpoint.open_checkpoints(directory) as checkpoints:
    assert_same(
      checkpoint.restore(checkpoints, state),
      make_state(1).replace(step=np.int32(2)),
    )


def settle(directory):
  """Waits for threads of this process that still write what has failed."""
  before = None
  while before != (before := sorted(directory.rglob('*'))):
    time.sleep(0.5)


@pytest.mark.parametrize('then', ['save', 'find', 'end'])
def test_what_could_not_be_written_is_one_error_later(directory, capfd, then):
  """By the kernel: no file may be larger than some."""
  noise = np.random.default_rng(0).random(500_000, np.float32)
  state = make_state(1).replace(params={'x': noise})
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: 0.1, 2: 0.2})
  resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
  try:
    with (
      pytest.raises(OSError, match='File too large') as caught,
      checkpoint.open_checkpoints(directory) as checkpoints,
    ):
      large = state.replace(step=np.int32(3))
      assert checkpoint.save(checkpoints, large, {'f1_macro': 0.3})
      if then == 'save':
        checkpoint.save(checkpoints, make_state(4), {'f1_macro': 0.4})
      elif then == 'find':
        checkpoint.find_step(checkpoints)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert caught.value.errno == errno.EFBIG
  assert caught.value.filename == f'{directory}/3'
  assert capfd.readouterr().err == ''
  settle(directory)
  with checkpoint.open_checkpoints(directory) as checkpoints:
    assert checkpoints.all_steps() == [1, 2]  # None of them made room for it.
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(2))
    save_all(checkpoints, {3: 0.3})


def test_an_error_of_the_work_is_told_and_not_that_of_a_save(directory):
  noise = np.random.default_rng(0).random(500_000, np.float32)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
  try:
    with (
      pytest.raises(FloatingPointError, match='loss is nan'),
      checkpoint.open_checkpoints(directory) as checkpoints,
    ):
      checkpoint.save(checkpoints, make_state(1).replace(params={'x': noise}))
      raise FloatingPointError('loss is nan')
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_an_interrupted_save_left_is_no_checkpoint(directory):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: 0.5})
  # Orbax writes to a directory of such a name, and renames it at the end.
  remains = directory / '3.orbax-checkpoint-tmp'
  remains.mkdir()
  (remains / 'half').write_text('a state')
  with checkpoint.open_checkpoints(directory) as checkpoints:
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(1))
    save_all(checkpoints, {3: 0.6})
    checkpoint.wait(checkpoints)
    # Removed in the background, and at the latest before the next save.
    assert not remains.exists()
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(3))


def test_read_only_leaves_everything_as_it_is(directory):
  with (
    pytest.raises(FileNotFoundError, match=r'no checkpoints at .*train first'),
    checkpoint.open_checkpoints(directory, read_only=True),
  ):
    pass
  assert not directory.exists()
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: 0.5, 2: 0.4})
  saving = directory / '3.orbax-checkpoint-tmp'  # By another process.
  saving.mkdir()
  with checkpoint.open_checkpoints(
    directory, keep_checkpoints=1, read_only=True
  ) as checkpoints:
    restored = checkpoint.restore(checkpoints, make_state(0), which='best')
    assert not checkpoint.save(checkpoints, make_state(3))
  assert_same(restored, make_state(1))
  assert {p.name for p in directory.iterdir()} == {'1', '2', saving.name}


def test_the_same_step_is_saved_once_and_an_earlier_one_never(directory):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {4: None})
    other = make_state(4).replace(params=make_state(9).params)
    assert not checkpoint.save(checkpoints, other)
    assert_same(checkpoint.restore(checkpoints, other), make_state(4))
    with pytest.raises(ValueError, match='latest checkpoint, 4, got 3: go on'):
      checkpoint.save(checkpoints, make_state(3))


@pytest.mark.parametrize(
  ('like', 'detail'),
  [
    (
      make_state(0, width=5),
      r'kernel is float32\[2, 3\] there and float32\[2, 5\] here',
    ),
    (
      make_state(0).replace(step=np.float32(0)),
      r'step is int32\[\] there and float32\[\] here',
    ),
    (make_state(0, optimizer=optax.sgd(1.0)), 'opt_state.0 is absent there'),
    (make_state(0).replace(params={'dense': {}}), 'params.dense is absent'),
  ],
)
def test_checkpoint_of_another_model_is_refused(directory, like, detail):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: None, 2: None})
    with pytest.raises(ValueError, match='of another model') as caught:
      checkpoint.restore(checkpoints, like)
    assert checkpoints.all_steps() == [1, 2]  # None is taken for damaged.
  assert caught.match(f'(?s){detail}')


def largest(files):
  return max(files, key=lambda path: path.stat().st_size)


def small_arrays(step):
  """Returns the file that all small arrays of a checkpoint are in."""
  return largest((step / 'default' / 'd').iterdir())


DAMAGES = {
  'metadata of no bytes': lambda step: (
    step / 'default' / '_METADATA'
  ).write_bytes(b''),
  'metadata of nothing': lambda step: (
    step / 'default' / '_METADATA'
  ).write_bytes(b'[]'),
  'metadata gone': lambda step: (step / 'default' / '_METADATA').unlink(),
  'index of no bytes': lambda step: (
    step / 'default' / 'manifest.ocdbt'
  ).write_bytes(b''),
  'index gone': lambda step: (step / 'default' / 'manifest.ocdbt').unlink(),
  'arrays of no bytes': lambda step: small_arrays(step).write_bytes(b''),
  'arrays cut': lambda step: os.truncate(small_arrays(step), 99),
  'arrays gone': lambda step: shutil.rmtree(step / 'default' / 'd'),
  'state gone': lambda step: shutil.rmtree(step / 'default'),
}


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_the_one_before_a_damaged_checkpoint_is_taken(directory, capfd, damage):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: None, 2: 0.1, 3: 0.2})
  damage(directory / '3')
  capfd.readouterr()
  for read_only in (True, False):
    with checkpoint.open_checkpoints(
      directory, read_only=read_only
    ) as checkpoints:
      restored = checkpoint.restore(checkpoints, make_state(0))
      assert_same(restored, make_state(2))
      said = capfd.readouterr().err
      assert said.startswith(
        'Warning: the checkpoint of step 3 is damaged ('
        if read_only
        else 'Warning: the checkpoint of step 3, now 3.damaged, is damaged ('
      )
      assert said.endswith('step 2 is taken instead.\n')
      assert said.count('\n') == 1
      aside = {p.name for p in directory.iterdir()} & {'3', '3.damaged'}
      assert aside == ({'3'} if read_only else {'3.damaged'})
  with checkpoint.open_checkpoints(directory) as checkpoints:
    assert checkpoint.find_step(checkpoints) == 2
    save_all(checkpoints, {3: 0.3})  # Going on comes by here again.
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(3))
  # And that it is damaged again stops nobody.
  damage(directory / '3')
  with checkpoint.open_checkpoints(directory) as checkpoints:
    restored = checkpoint.restore(checkpoints, make_state(0))
    assert_same(restored, make_state(2))
    save_all(checkpoints, {3: 0.3})


def test_a_lost_large_array_is_found_before_orbax_trips_over_it(
  directory, capfd, monkeypatch
):
  """Large ones are in files of their own, which the index says nothing of."""
  noise = np.random.default_rng(0).random((64, 10_000), np.float32)
  states = [make_state(i).replace(params={'x': noise + i}) for i in (1, 2)]
  with checkpoint.open_checkpoints(directory) as checkpoints:
    for state in states:
      checkpoint.save(checkpoints, state)
  largest((directory / '2').rglob('d/*')).write_bytes(b'')
  asked = []
  with checkpoint.open_checkpoints(directory, read_only=True) as checkpoints:
    real = checkpoints.restore
    monkeypatch.setattr(
      checkpoints,
      'restore',
      lambda step, args: (asked.append(step), real(step, args=args))[1],
    )
    capfd.readouterr()
    assert_same(checkpoint.restore(checkpoints, states[0]), states[0])
  assert asked == [1]
  assert capfd.readouterr().err.count('\n') == 1


def make_noisy(step):
  """Returns a state of which most bytes are numbers that nothing repeats."""
  noise = np.random.default_rng(step).random((40, 50), np.float32)
  return make_state(step).replace(params={'x': noise})


# Orbax leaves a coroutine behind where a file of its own is damaged.
@pytest.mark.filterwarnings('ignore:coroutine .NumpyHandler')
@pytest.mark.filterwarnings('ignore:Exception ignored in. <coroutine')
def test_no_flipped_bit_of_any_file_is_another_state(directory):
  metrics = {'f1_macro': 0.25, 'thresholds': [0.5, 0.125]}
  with checkpoint.open_checkpoints(directory) as checkpoints:
    checkpoint.save(checkpoints, make_noisy(1), metrics)
  rng, told = random.Random(0), 0
  paths = [p for p in sorted(directory.rglob('*')) if p.is_file()]
  heaviest = largest(paths)
  # Names are drawn by Orbax, so each in turn: some hold nothing that is read.
  for k in range(80):
    path = heaviest if k % 2 else paths[k // 2 % len(paths)]
    held = damage_lib.flip_bit(path, damage_lib.draw_bit(path, rng))
    with checkpoint.open_checkpoints(directory, read_only=True) as checkpoints:
      found = checkpoints.metrics(1)
      assert found in (metrics, None)
      try:
        assert_same(
          checkpoint.restore(checkpoints, make_noisy(0)), make_noisy(1)
        )
      except ValueError as error:
        assert f'delete the folder {directory}' in str(error)
        told += 1
    path.write_bytes(held)
  assert told > 30


def test_a_flipped_bit_in_the_newest_is_told_and_the_one_before_taken(
  directory, capfd
):
  states = [make_noisy(step) for step in (1, 2)]
  with checkpoint.open_checkpoints(directory) as checkpoints:
    for state in states:
      checkpoint.save(checkpoints, state)
  path, rng = largest((directory / '2').rglob('*')), random.Random(1)
  for _ in range(5):
    middle = 4 * path.stat().st_size + rng.randrange(8000)
    held = damage_lib.flip_bit(path, middle)
    capfd.readouterr()
    with checkpoint.open_checkpoints(directory, read_only=True) as checkpoints:
      assert_same(checkpoint.restore(checkpoints, states[0]), states[0])
    said = capfd.readouterr().err
    assert 'of step 2 is damaged (' in said and said.count('\n') == 1
    path.write_bytes(held)


def test_checkpoints_of_a_release_without_sums_are_read_with_a_note(
  directory, capfd
):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: 0.1, 2: 0.2})
  damage_lib.without_sums(directory)
  capfd.readouterr()
  with checkpoint.open_checkpoints(directory) as checkpoints:
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(2))
    said = capfd.readouterr().err
    assert said.startswith('Note: the checkpoint of step 2 in')
    assert said.count('\n') == 1
    save_all(checkpoints, {3: 0.3})
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(3))
  assert capfd.readouterr().err == ''


def test_a_state_that_is_not_finite_is_not_saved(directory):
  rng = random.Random(0)
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: 0.1})
    for _ in range(20):
      leaves, tree = jax.tree.flatten(make_state(2))
      real = [k for k, x in enumerate(leaves) if x.dtype.kind in 'fV']
      spoilt = rng.choice(real)
      leaf = np.array(leaves[spoilt]).reshape(-1)
      leaf[rng.randrange(leaf.size)] = rng.choice([np.nan, np.inf, -np.inf])
      leaves[spoilt] = leaf.reshape(leaves[spoilt].shape)
      with pytest.raises(ValueError, match='step 2 must be finite'):
        checkpoint.save(checkpoints, jax.tree.unflatten(tree, leaves))
    assert checkpoints.all_steps() == [1]


def test_where_none_is_whole_the_folder_to_delete_is_named(directory):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: None, 2: 0.1})
  for step in ('1', '2'):
    small_arrays(directory / step).write_bytes(b'')
  with checkpoint.open_checkpoints(directory) as checkpoints:
    with pytest.raises(
      ValueError, match=f'delete the folder {directory} and'
    ) as all_of_them:
      checkpoint.restore(checkpoints, make_state(0))
    with pytest.raises(
      ValueError, match=f'delete the folder {directory}/2, and'
    ) as best:
      checkpoint.restore(checkpoints, make_state(0), which='best')
  for caught in (all_of_them, best):
    assert 'another model' not in str(caught.value)
  assert {p.name for p in directory.iterdir()} == {'1', '2'}


@pytest.mark.parametrize('content', ['', '{"f1_m', '[]', '{}', '{"f1_macro":'])
def test_damaged_metrics_cost_a_candidate_for_the_best_alone(
  directory, capfd, content
):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    save_all(checkpoints, {1: 0.1, 2: 0.2})
  (directory / '2' / 'metrics' / 'metrics').write_text(content)
  capfd.readouterr()
  with checkpoint.open_checkpoints(directory, read_only=True) as checkpoints:
    assert checkpoint.find_step(checkpoints, which='best') == 1
    assert_same(checkpoint.restore(checkpoints, make_state(0)), make_state(2))
  said = capfd.readouterr().err
  assert f'the metrics of {directory}/2 are damaged' in said
  assert said.count('\n') == 1


def test_nothing_to_restore_is_said(directory):
  with checkpoint.open_checkpoints(directory) as checkpoints:
    assert checkpoint.find_step(checkpoints) is None
    with pytest.raises(FileNotFoundError, match='train first'):
      checkpoint.restore(checkpoints, make_state(0))


def test_bad_arguments_are_refused(directory):
  with (
    pytest.raises(ValueError, match='keep_checkpoints must be at least 1'),
    checkpoint.open_checkpoints(directory, keep_checkpoints=0),
  ):
    pass
  with checkpoint.open_checkpoints(directory) as checkpoints:
    with pytest.raises(ValueError, match="'latest' or 'best', got 'newest'"):
      checkpoint.find_step(checkpoints, which='newest')
    with pytest.raises(ValueError, match="hold 'f1_macro'"):
      checkpoint.save(checkpoints, make_state(1), {'f1': 0.5})


def test_orbax_is_quiet_and_others_are_not(directory, caplog):
  from absl import logging as absl_logging

  before = absl_logging.get_verbosity()
  absl_logging.set_verbosity(absl_logging.INFO)
  try:
    # Orbax speaks when it is not silenced, or this test could not fail.
    with caplog.at_level(logging.INFO, logger='absl'):
      logger = logging.getLogger('absl')
      logger.removeFilter(checkpoint_manager._is_worth_seeing)
      checkpoint.ocp.CheckpointManager(directory).close()
      assert caplog.records
      caplog.clear()
      with checkpoint.open_checkpoints(directory) as checkpoints:
        save_all(checkpoints, {1: 0.1, 2: 0.2, 3: None, 4: 0.1, 5: None})
        checkpoint.restore(checkpoints, make_state(0), which='best')
      absl_logging.info('somebody else')
      assert [r.getMessage() for r in caplog.records] == ['somebody else']
  finally:
    absl_logging.set_verbosity(before)
