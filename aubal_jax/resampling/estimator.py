"""Resampling as scikit-learn and imbalanced-learn have it: `fit_resample`."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from scipy import sparse

from aubal_jax import resampling
from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import text
from aubal_jax.tables import held
from aubal_jax.tables import plan as plan_lib

extras.need('sklearn', 'aubal.Resampler')

from sklearn import base  # noqa: E402
from sklearn import utils  # noqa: E402
from sklearn.utils import validation  # noqa: E402

# Options of methods that are parameters, so that grids reach them.
_NAMED = ('neighbours', 'objective', 'lam', 'lower', 'upper', 'share')

# What `resample` is given from elsewhere.
_OWN = (
  *('labels', 'method', 'fraction', 'seed', 'features', 'rows', 'label_names'),
)


class Resampler(base.BaseEstimator):
  """Resamples a table with multi-label y, as a step of a pipeline.

  A step of `imblearn.pipeline.Pipeline` (scikit-learn's own has none that
  change the number of rows); it acts when the pipeline is fitted, and never
  when it predicts. imbalanced-learn's own base class refuses multi-label y.

  Args:
    method: a name of `aubal_jax.resampling.RESAMPLERS`.
    fraction: how much, as a share of the rows; None: the method's own amount.
      See `aubal.resample`. The method 'none' passes over it and over the next
      six, so that a grid may hold it beside others.
    neighbours: of the methods that look for some; None: as they have it.
    objective: of 'aubal', as the next three; None: as it has it.
    lam: weight of Var(growth).
    lower: growth of a labelset, at least.
    upper: growth of a labelset, at most.
    share: of the rows, of 'keep' and its rivals; None: a quarter.
    random_state: int, RandomState or None, as everywhere in scikit-learn. With
      an int the rows are those of `aubal.resample(..., seed=random_state)`.
    options: dict of further arguments of the method, such as
      {'neighbours': 3}; None: as they are by default.

  Attributes:
    plan_: the `Plan`.
    sample_indices_: int64[M], the row of X that each row is made of; of a
      synthetic row, the first of the two that it is mixed of.
    n_features_in_: columns of X.
    feature_names_in_: names of the columns, where X is a data frame.

  Examples:
    >>> X, y = [[0.1], [0.2], [0.3], [0.4]], [[1, 0], [1, 0], [1, 0], [0, 1]]
    >>> resampler = Resampler('lp_ros', fraction=0.25)
    >>> new_X, new_y = resampler.fit_resample(X, y)
    >>> resampler.sample_indices_.tolist()
    [0, 1, 2, 3, 3]
    >>> new_y.tolist()[3:]
    [[0, 1], [0, 1]]
  """

  plan_: plan_lib.Plan
  sample_indices_: np.ndarray

  def __init__(
    self,
    method: str = 'aubal',
    *,
    fraction: float | None = None,
    neighbours: int | None = None,
    objective: str | None = None,
    lam: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    share: float | None = None,
    random_state: int | np.random.RandomState | None = 0,
    options: dict[str, Any] | None = None,
  ) -> None:
    self.method = method
    self.fraction = fraction
    self.neighbours = neighbours
    self.objective = objective
    self.lam = lam
    self.lower = lower
    self.upper = upper
    self.share = share
    self.random_state = random_state
    self.options = options

  def fit(self, X: Any, y: Any) -> Resampler:
    """Chooses the rows: sets `plan_` and `sample_indices_`, returns itself.

    Arguments and errors are those of `fit_resample`.
    """
    self._choose(X, y)
    return self

  def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
    """Returns the rows to train on, originals first.

    Args:
      X: [N, F], array, scipy sparse table (CSR comes back) or data frame;
        an array may have more axes. Methods that look for neighbours need
        finite numbers and two axes, and hold a sparse table densely; for all
        others X may hold anything.
      y: 0/1 [N, L], array, scipy sparse table or data frame.

    Returns:
      X and y, [M, F] and [M, L], each of the kind given. Data frames are
      numbered anew. Synthetic rows make a table of whole numbers one of floats.

    Raises:
      UserError: X and y differ in length, y is no 0/1 table, or a parameter
        breaks its rule; the message says which.
    """
    X, numbers, y, seed = self._choose(X, y)
    plan = self.plan_
    if (plan.partner >= 0).any():
      # Not the stream of numbers that the plan was drawn from.
      new_X = _like(X, plan.take(numbers, np.random.default_rng([seed, 1])))
    else:
      new_X = _rows(X, plan.source)
    if plan.labels is not None:
      return new_X, _like(y, plan.labels, y.dtypes if _is_frame(y) else y.dtype)
    return new_X, _rows(y, plan.source)

  def __sklearn_tags__(self):
    """Returns what scikit-learn is to know of it: sparse X, multi-label y."""
    tags = super().__sklearn_tags__()
    tags.input_tags.sparse = True
    tags.input_tags.allow_nan = not self._needs_features()
    tags.target_tags.required = True
    tags.target_tags.two_d_labels = True
    tags.target_tags.multi_output = True
    tags.target_tags.single_output = False
    return tags

  def _needs_features(self) -> bool:
    known = isinstance(self.method, str)
    known = known and self.method in resampling.RESAMPLERS
    return known and resampling.takes(self.method, 'features')

  def _options(self) -> dict:
    options = {} if self.options is None else self.options
    if not isinstance(options, dict):
      raise errors.UserError(
        f'options must be a dict of arguments, or None; it is {options!r}.'
      )
    for name in options:
      if not isinstance(name, str) or name in _OWN:
        raise errors.UserError(
          f'options must name further arguments of the method, not {name!r}.'
        )
    named = self._named()
    both = [name for name in options if getattr(self, name, None) is not None]
    if both:
      raise errors.UserError(
        f'options and the parameter {both[0]} both say what it is. Leave it '
        'out of options.'
      )
    return {**named, **options}

  def _named(self) -> dict:
    """Returns the options that are parameters, and given."""
    given = {name: getattr(self, name) for name in _NAMED}
    return {name: value for name, value in given.items() if value is not None}

  def _seed(self) -> int:
    seed = self.random_state
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
      return int(seed)
    if not isinstance(seed, (bool, float)):
      with contextlib.suppress(ValueError):
        state = utils.check_random_state(seed)
        return int(state.randint(np.iinfo(np.int32).max))
    raise errors.UserError(
      'random_state must be a whole number from 0, a RandomState or None; it '
      f'is {seed!r}.'
    )

  def _choose(self, X, y):
    """Sets the plan; returns X, its numbers (or None), y and the seed."""
    X, numbers = self._validated(X)
    y = _label_table(y)
    validation.check_consistent_length(X, y)
    options, seed = self._options(), self._seed()
    fraction = self.fraction
    if isinstance(self.method, str) and self.method == 'none':
      fraction, options = None, {}
    self.plan_ = resampling.resample(
      y,
      self.method,
      fraction=fraction,
      seed=seed,
      features=numbers,
      label_names=[str(name) for name in y.columns] if _is_frame(y) else (),
      **options,
    )
    self.sample_indices_ = self.plan_.source
    return X, numbers, y, seed

  def _validated(self, X):
    """Returns X as a data frame, array or CSR, and what rows are mixed of.

    That is an array of numbers; None where the method mixes none.
    """
    needs = self._needs_features()
    if _is_frame(X):
      _check_names(X)
      if needs:
        self._check_numbers(X)
    if _is_frame(X) and not needs:
      validation.validate_data(self, X, skip_check_array=True)
      return X, None
    table = validation.validate_data(
      self,
      X,
      accept_sparse='csr',
      dtype='numeric' if needs else None,
      ensure_all_finite=needs,
      allow_nd=not needs,
    )
    numbers = table.toarray() if sparse.issparse(table) else table
    return X if _is_frame(X) else table, numbers if needs else None

  def _check_numbers(self, frame) -> None:
    """Raises UserError on columns that have no neighbours: texts, categories.

    Those of numbers alone, as text or objects, are left to scikit-learn.
    """
    odd = [str(name) for name in frame.columns if _is_odd(frame[name])]
    if odd:
      raise errors.UserError(
        f'{self.method} mixes rows, so columns must be numbers; '
        f'{text.listing(map(repr, odd), text.SHOWN)} '
        f'{"is" if len(odd) == 1 else "are"} not. Encode categories first '
        '(sklearn.preprocessing.OneHotEncoder), or take a method that repeats '
        'rows.'
      )

  def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
    """Returns str[F], the names of the columns: those that went in.

    Args:
      input_features: names to use where X had none.
    """
    validation.check_is_fitted(self, 'n_features_in_')
    names = getattr(self, 'feature_names_in_', input_features)
    if names is None:
      names = [f'x{k}' for k in range(self.n_features_in_)]
    return np.asarray(names, dtype=object)


def _label_table(y):
  """Returns y as a data frame, array or CSR with two axes.

  Raises:
    UserError: there is none, or it is no table.
  """
  if y is None:
    raise errors.UserError(
      'Resampler requires y to be passed, but the target y is None: give a '
      '0/1 table, a column for each label.'
    )
  if sparse.issparse(y):
    return y.tocsr()
  if not _is_frame(y):
    y, _ = held.as_array(y, 'y')
  if y.ndim != 2:
    raise errors.UserError(
      f'y must be a 0/1 table [rows, labels]; it has shape {y.shape}. Sets of '
      'labels become one with sklearn.preprocessing.MultiLabelBinarizer.'
    )
  return y


def _is_odd(column) -> bool:
  """Whether a column of a data frame holds categories, texts or times."""
  kind = getattr(column.dtype, 'kind', 'O')
  if str(column.dtype) == 'category' or kind not in 'biufcO':
    return True
  return kind == 'O' and any(isinstance(cell, str) for cell in column)


def _check_names(frame) -> None:
  """Raises UserError where two columns are called alike."""
  twice = frame.columns[frame.columns.duplicated()]
  if len(twice):
    raise errors.UserError(
      f'X has two columns {twice[0]!r}; give each a name of its own.'
    )


def _is_frame(table) -> bool:
  return hasattr(table, 'iloc') and table.ndim == 2  # No series.


def _rows(table, source):
  """Returns the rows of a table, in that order."""
  if _is_frame(table):
    return table.iloc[source].reset_index(drop=True)
  return table[source]


def _like(table, values, dtype=None):
  """Returns values [M, C] as a table of the kind given.

  `dtype` None: that of the table, of each column, where it is of floats, else
  float64.
  """
  if _is_frame(table):
    if dtype is None:
      dtype = {
        name: was if was.kind == 'f' else np.float64
        for name, was in table.dtypes.items()
      }
    return type(table)(values, columns=table.columns).astype(dtype)
  if dtype is None:
    dtype = table.dtype if table.dtype.kind == 'f' else np.float64
  values = values.astype(dtype, copy=False)
  return type(table)(values) if sparse.issparse(table) else values
