"""From the arguments of `solve` to the problem they name, each one checked."""

from __future__ import annotations

from scipy import sparse

from aubal_jax.balancing import iterations
from aubal_jax.balancing import objective as objective_lib
from aubal_jax.balancing import optimizers
from aubal_jax.balancing import relax
from aubal_jax.balancing import rules
from aubal_jax.balancing.instance import Budget
from aubal_jax.balancing.instance import Instance
from aubal_jax.balancing.instance import make_instance
from aubal_jax.runs import errors
from aubal_jax.tables import binary_table

# Every name of an optimizer: projected gradients, primal-dual steps (piecewise
# linear objectives only) and the exact ones.
VARIANTS = (
  *optimizers.OPTIMIZERS,
  *iterations.PRIMAL_DUAL,
  *iterations.EXACT,
)
# The paper's lambda, and the images of its training set.
LAM = 70.0
LAM_IMAGES = 322_551


def prepare(
  patterns,
  counts,
  *,
  lam: float = LAM,
  lam_images: float | None = LAM_IMAGES,
  lower=1.0,
  upper=10.0,
  objective: str = 'l1',
  target=None,
  image_cost: float = 1e-4,
  budget: int | None = None,
  budget_growth: float | None = None,
  budget_exactly: bool = False,
) -> Instance:
  """Returns the problem that these arguments of `solve.solve` name.

  Raises:
    UserError: an argument breaks its rule; the message names all three.
  """
  patterns = sparse.csr_array(binary_table.as_binary(patterns, 'patterns'))
  counts = rules.checked_counts(counts, patterns.shape[0])
  lower, upper = rules.checked_bounds(lower, upper, len(counts))
  rules.check_number('lam', lam, least=0)
  rules.check_number('image_cost', image_cost, least=0)
  rules.check_choice('objective', objective, objective_lib.OBJECTIVES)
  num_images = int(counts.sum())
  if lam_images is not None:
    rules.check_number('lam_images', lam_images, least=0, above=True)
    lam = lam * num_images / lam_images
  images = rules.checked_budget(
    budget, budget_growth, budget_exactly, num_images
  )
  return make_instance(
    patterns,
    counts,
    objective=objective,
    lam=float(lam),
    image_cost=float(image_cost),
    lower=lower,
    upper=upper,
    target=rules.checked_target(target, patterns.shape[1]),
    budget=Budget() if images is None else Budget(images, budget_exactly),
  )


def check_method(instance, *, optimizer, relaxation, tol, max_steps) -> None:
  """Raises UserError unless this is a way to solve the instance."""
  rules.check_choice('optimizer', optimizer, VARIANTS)
  rules.check_choice('relaxation', relaxation, relax.RELAXATIONS)
  rules.check_number('tol', tol, least=0, above=True)
  rules.check_number('max_steps', max_steps, least=0)
  is_smooth = instance.penalty != 'absolute'
  if optimizer in iterations.PRIMAL_DUAL and is_smooth:
    raise errors.UserError(
      f'optimizer must not be {optimizer!r} for penalty {instance.penalty!r}: '
      "it takes sums of absolute values only; take 'adam', 'ipm' or 'newton'."
    )
