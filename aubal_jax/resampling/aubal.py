"""aubal: labelset growth by our own objective, as `aubal.balance`."""

from __future__ import annotations

from aubal_jax.balancing import rules
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib


def make_plan(labels, *, fraction, rng, **settings) -> plan_lib.Plan:
  """Returns the plan of `aubal.balance`, seed for seed.

  Args:
    labels: uint8 CSR [N, L].
    fraction: N + round(fraction N) rows, exactly; None: as many as the
      objective asks for.
    rng: draws which images are repeated once more.
    **settings: of `aubal.solve`: objective, upper, lam, ...

  Raises:
    UserError: both a fraction and a budget are given; or as `aubal.solve`.
  """
  from aubal_jax.balancing import solve as solve_lib

  if fraction is not None:
    given = {'budget', 'budget_growth'} & {*settings}
    if given:
      raise errors.UserError(
        f'fraction is the budget of aubal; leave out {sorted(given)[0]}.'
      )
    num_rows = labels.shape[0]
    settings['budget'] = num_rows + round(fraction * num_rows)
    settings.setdefault('budget_exactly', True)
  try:
    return solve_lib.balance(labels, seed=rng, **settings)[0]
  except rules.BudgetError as error:
    if fraction is None:
      raise
    raise errors.UserError(
      f'fraction is {fraction}, which makes a budget of {settings["budget"]:,} '
      f'images: {error} A larger upper lets more be added.'
    ) from error
