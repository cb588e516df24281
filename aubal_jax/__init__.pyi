from aubal_jax.balancing.frontier import frontier as frontier
from aubal_jax.balancing.in_parts import balance_parts as balance_parts
from aubal_jax.balancing.keeping import keep as keep
from aubal_jax.balancing.several import balance_targets as balance_targets
from aubal_jax.balancing.solve import Solution as Solution
from aubal_jax.balancing.solve import balance as balance
from aubal_jax.balancing.solve import solve as solve
from aubal_jax.resampling import resample as resample
from aubal_jax.resampling.estimator import Resampler as Resampler
from aubal_jax.runs.errors import UserError as UserError
from aubal_jax.serving.trained import load as load
from aubal_jax.tables.labelsets import Labelsets as Labelsets
from aubal_jax.tables.labelsets import find_labelsets as find_labelsets
from aubal_jax.tables.labelsets import imbalance as imbalance
from aubal_jax.tables.plan import Plan as Plan

__all__: list[str]
__version__: str
