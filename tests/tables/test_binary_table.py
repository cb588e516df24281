"""Tables of 0 and 1 of every kind."""

import numpy as np
import pytest
from scipy import sparse

from aubal_jax.tables import binary_table
from tests.tables import test_labelsets


@pytest.mark.parametrize('kind', test_labelsets.KINDS)
def test_as_binary(kind):
  table = test_labelsets.some_table(9)
  found = binary_table.as_binary(test_labelsets.KINDS[kind](table))
  np.testing.assert_array_equal(test_labelsets.dense(found), table)
  assert found.dtype == np.uint8
  if sparse.issparse(found):
    assert found.format == 'csr' and found.has_canonical_format
    assert found.data.all()


def test_as_binary_copies_nothing_that_is_so_already():
  for table in (
    test_labelsets.some_table(9),
    test_labelsets.some_table(9).astype(bool),
  ):
    assert np.shares_memory(binary_table.as_binary(table), table)
    table = sparse.csr_array(table)
    found = binary_table.as_binary(table)
    assert np.shares_memory(found.data, table.data)
    assert np.shares_memory(found.indices, table.indices)


def test_the_argument_is_named():
  with pytest.raises(ValueError, match='patterns must hold 0 and 1 only'):
    binary_table.as_binary([[2]], 'patterns')
