import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from aubal_jax.balancing import incidence as incidence_lib

pytestmark = pytest.mark.usefixtures('x64')


def random_patterns(seed=0, num_sets=90, num_labels=70):
  """Rows of 1 to 70 labels, some labels in nearly all rows, one in none."""
  rng = np.random.default_rng(seed)
  likely = np.linspace(0.95, 0.0, num_labels)
  patterns = rng.random((num_sets, num_labels)) < likely * rng.random(
    (num_sets, 1)
  )
  patterns[0, :-1] = True
  patterns[np.arange(num_sets), rng.integers(0, 3, num_sets)] = True
  return sparse.csr_array(patterns.astype(np.uint8))


LAYOUTS = {
  'dense': (1 << 17, None),
  'tables': (0, None),
  'devices': (0, 4),
}


@pytest.fixture(name='laid_out', params=LAYOUTS)
def fixture_laid_out(request, monkeypatch):
  most_dense, num_devices = LAYOUTS[request.param]
  monkeypatch.setattr(incidence_lib, 'MOST_DENSE', most_dense)
  patterns = random_patterns()
  devices = num_devices and jax.devices()[:num_devices]
  found, place = incidence_lib.lay_out(
    patterns, with_pairs=True, devices=devices
  )
  assert (found.dense is not None) == (request.param == 'dense')
  return patterns.toarray().astype(float), found, place


def test_places_are_different_and_there_is_room(laid_out):
  patterns, found, place = laid_out
  assert len(np.unique(place)) == len(patterns)
  assert place.max() < found.num_places


def test_sums_equal_the_dense_products(laid_out):
  patterns, found, place = laid_out
  rng = np.random.default_rng(1)
  v = rng.normal(size=patterns.shape[1])
  x = rng.normal(size=len(patterns))
  sums = jax.jit(lambda i, v: i.over_labels(v))(found, jnp.asarray(v))
  np.testing.assert_allclose(np.asarray(sums)[place], patterns @ v, atol=1e-12)
  placed = incidence_lib.placed(found, place, x)
  np.testing.assert_array_equal(np.asarray(placed)[place], x)
  sums = jax.jit(lambda i, x: i.over_labelsets(x))(found, placed)
  np.testing.assert_allclose(sums, x @ patterns, atol=1e-12)
  table = jax.jit(lambda i, x: i.pair_table(x))(found, placed)
  np.testing.assert_allclose(
    table, (patterns.T * x[None]) @ patterns, atol=1e-11
  )


def test_what_stands_at_empty_places_does_not_count(laid_out):
  patterns, found, place = laid_out
  full = np.full(found.num_places, np.pi)
  full[place] = 1.0
  sums = jax.jit(lambda i, x: i.over_labelsets(x))(found, jnp.asarray(full))
  np.testing.assert_allclose(sums, patterns.sum(axis=0), atol=1e-12)


def test_single_precision_stays_single(laid_out):
  _, found, _ = laid_out
  labels = jax.ShapeDtypeStruct((found.num_labels,), jnp.float32)
  places = jax.ShapeDtypeStruct((found.num_places,), jnp.float32)
  assert jax.eval_shape(found.over_labels, labels).dtype == jnp.float32
  assert jax.eval_shape(found.over_labelsets, places).dtype == jnp.float32


def test_labelsets_of_one_label_each_have_no_pairs(monkeypatch):
  monkeypatch.setattr(incidence_lib, 'MOST_DENSE', 0)
  found, place = incidence_lib.lay_out(
    sparse.csr_array(np.eye(5, dtype=np.uint8)), with_pairs=True
  )
  y = incidence_lib.placed(found, place, np.arange(5.0))
  np.testing.assert_array_equal(found.pair_table(y), np.diag(np.arange(5.0)))


def test_a_group_longer_than_the_widest_table_is_cut(monkeypatch):
  monkeypatch.setattr(incidence_lib, 'MOST_DENSE', 0)
  patterns = np.ones((1000, 2), np.uint8)
  found, place = incidence_lib.lay_out(
    sparse.csr_array(patterns), with_pairs=True
  )
  x = np.random.default_rng(2).normal(size=1000)
  placed = incidence_lib.placed(found, place, x)
  sums, pairs = jax.jit(lambda i, x: (i.over_labelsets(x), i.pair_table(x)))(
    found, placed
  )
  np.testing.assert_allclose(sums, [x.sum()] * 2)
  np.testing.assert_allclose(pairs, np.full((2, 2), x.sum()))
  assert max(len(t[0]) for t in found.columns.tables) == 32


@pytest.mark.parametrize(
  ('size', 'up'),
  [(0, 1), (1, 1), (3, 4), (64, 64), (65, 72), (100, 104), (129, 144)],
)
def test_rounded_up_takes_few_sizes(size, up):
  assert incidence_lib.rounded_up(size) == up
  assert incidence_lib.rounded_up(size, coarse=True) == 2 ** int(
    np.ceil(np.log2(max(size, 1)))
  )


def test_rounded_up_wastes_an_eighth_at_most():
  sizes = np.arange(65, 5000)
  up = np.array([incidence_lib.rounded_up(s) for s in sizes])
  assert (up >= sizes).all() and (up <= sizes * 1.126).all()
  assert len(np.unique(up)) < 60


def test_on_devices_one_vector_of_labels_is_exchanged(monkeypatch):
  monkeypatch.setattr(incidence_lib, 'MOST_DENSE', 0)
  patterns = random_patterns()
  found, place = incidence_lib.lay_out(
    patterns, with_pairs=False, devices=jax.devices()[:4]
  )
  x = incidence_lib.placed(found, place, np.ones(90))

  def there_and_back(i, x):
    return i.over_labels(i.over_labelsets(x))

  program = jax.jit(there_and_back).lower(found, x).compile().as_text()
  exchanged = [
    line.split('=')[1].split()[0]
    for line in program.splitlines()
    if ' all-reduce(' in line
  ]
  assert exchanged == ['f64[70]{0}']
  assert 'all-gather' not in program and 'all-to-all' not in program
