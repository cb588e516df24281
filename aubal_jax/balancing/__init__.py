"""The balancing problem: objective, relaxation, solvers, proof, rounding."""

from aubal_jax.balancing.solve import Solution
from aubal_jax.balancing.solve import balance
from aubal_jax.balancing.solve import solve

__all__ = ('Solution', 'balance', 'solve')
