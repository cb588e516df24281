r"""Solvers of others for the same problem, called without a modelling layer.

  name      package   algorithm                            'log'  budget
  clarabel  clarabel  interior point with conic rows       yes    yes
  mpax      mpax      raPDHG, restarted primal-dual (JAX)  no     yes
  piqp      piqp      proximal interior point              no     yes
  scipy     scipy     L-BFGS-B, |x| smoothed in stages     yes    no

All but scipy are given the program of `program.make_program`, each in the units
it takes the fewest steps in.

References:
  PIQP: Schwan, Jiang, Kuhn and Jones, arXiv 2304.00290.
  Clarabel: Goulart and Chen, arXiv 2405.12762.
  raPDHG: Lu and Yang, arXiv 2311.07710; MPAX: Lu, Peng and Yang, 2412.09734.
  L-BFGS-B: Byrd, Lu, Nocedal and Zhu, SIAM J. Scientific Computing 16, 1995.
"""

from __future__ import annotations

import importlib.util
import time
import types
from typing import NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from scipy import optimize
from scipy import sparse

from aubal_jax.balancing.instance import Instance
from aubal_jax.experiments.solvers import program as program_lib
from aubal_jax.runs import errors

_FINEST = 1e-12  # Relative residual that float64 still reaches.
_MPAX_STEPS = 50_000  # At most.
_SCIPY_STEPS = 2_000  # In a stage, at most.


class Answer(NamedTuple):
  """What a rival found.

  Attributes:
    growth: float64[S], g, inside the box of whole counts.
    seconds: to build the matrices and to solve; imports are not in it.
    seconds_setup: before that, to compile for these shapes; 0 for most.
    num_steps: iterations.
    status: how it ended, in the words of the solver.
  """

  growth: np.ndarray
  seconds: float
  seconds_setup: float
  num_steps: int
  status: str


def _clarabel(instance: Instance, *, tol: float) -> Answer:
  """Returns the answer of Clarabel; bounds and logarithms are its cones."""
  _check('clarabel', instance, tol, ('absolute', 'square', 'log'))
  import clarabel

  begin = time.perf_counter()
  log = instance.penalty == 'log'
  unit = instance.scale.mean() if log else np.sqrt(instance.start.max())
  program = program_lib.make_program(instance, unit)
  low, high = np.isfinite(program.low), np.isfinite(program.high)
  identity = sparse.eye_array(len(program.linear), format='csr')
  log_rows, log_right = program_lib.logarithms(instance, program, unit)
  rows = [program.rows, -identity[low], identity[high], log_rows]
  right = [program.right, -program.low[low], program.high[high], log_right]
  cones = [
    clarabel.ZeroConeT(len(program.right)),
    clarabel.NonnegativeConeT(int(low.sum() + high.sum())),
    *[clarabel.ExponentialConeT()] * (len(log_right) // 3),
  ]
  settings = clarabel.DefaultSettings()
  settings.verbose = False
  settings.tol_gap_abs = tol / 10 if log else tol / unit
  settings.tol_feas = max(settings.tol_gap_abs, _FINEST)
  settings.tol_gap_rel = 0.0 if log else settings.tol_feas
  found = clarabel.DefaultSolver(
    program.quadratic, program.linear,
    sparse.csc_matrix(sparse.vstack(rows, format='csc')),
    np.concatenate(right), cones, settings,
  ).solve()  # fmt: skip
  growth = _growth(instance, np.asarray(found.x) * unit)
  seconds = time.perf_counter() - begin
  return Answer(growth, seconds, 0.0, found.iterations, str(found.status))


def _mpax(instance: Instance, *, tol: float) -> Answer:
  """Returns the answer of MPAX's raPDHG in float64, on JAX's first device.

  Its tolerance is of norms of residuals; at tol itself f can be 2 tol off.
  """
  _check('mpax', instance, tol, ('absolute', 'square'))
  import mpax
  from mpax.utils import TerminationStatus

  begin = time.perf_counter()
  with jax.enable_x64(True), jax.numpy_rank_promotion('allow'):
    solver = mpax.raPDHG(
      eps_abs=tol / 4,
      eps_rel=tol / 4,
      iteration_limit=_MPAX_STEPS,
      # By default |c| / |right|, next to nothing for 'l2' with a budget.
      scale_invariant_initial_primal_weight=False,
    )
    problem, _ = _mpax_problem(instance)
    solve = jax.jit(solver.optimize).lower(problem).compile()
    compiled = time.perf_counter()
    problem, unit = _mpax_problem(instance)  # Again: it compiles as well.
    found = solve(problem)
    growth = _growth(instance, np.asarray(found.primal_solution) * unit)
  return Answer(
    growth=growth,
    seconds=time.perf_counter() - compiled,
    seconds_setup=compiled - begin,
    num_steps=int(found.iteration_count),
    status=TerminationStatus(int(found.termination_status)).name,
  )


def _mpax_problem(instance):
  """Returns the program as MPAX takes it, with all of Q, and its unit."""
  import mpax

  unit = (instance.patterns.T @ instance.start).mean()
  program = program_lib.make_program(instance, unit)
  upper = program.quadratic
  problem = mpax.create_qp(
    upper + sparse.triu(upper, 1).T,
    jnp.asarray(program.linear),
    program.rows,
    jnp.asarray(program.right),
    sparse.csc_matrix((0, len(program.linear))),
    jnp.zeros(0),
    jnp.asarray(program.low),
    jnp.asarray(program.high),
  )
  return problem, unit


def _piqp(instance: Instance, *, tol: float) -> Answer:
  """Returns the answer of PIQP, its sparse interface."""
  _check('piqp', instance, tol, ('absolute', 'square'))
  import piqp

  begin = time.perf_counter()
  unit = instance.start.max()
  program = program_lib.make_program(instance, unit)
  solver = piqp.SparseSolver()
  settings = solver.settings
  settings.eps_abs = settings.eps_rel = max(tol / unit, _FINEST)
  settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = settings.eps_abs
  solver.setup(
    program.quadratic, program.linear, program.rows, program.right,
    x_l=program.low, x_u=program.high,
  )  # fmt: skip
  status = solver.solve()
  growth = _growth(instance, solver.result.x * unit)
  seconds = time.perf_counter() - begin
  return Answer(growth, seconds, 0.0, solver.result.info.iter, status.name)


def _scipy(instance: Instance, *, tol: float) -> Answer:
  """Returns the answer of L-BFGS-B, in the variables g sqrt(n_o).

  |x| is x^2 / (2 width) on [-width, width]: f is off by L width / 4 at most,
  by tol max(1, |f|) in the last stage. One thread: more slow it down.
  """
  _check('scipy', instance, tol, ('absolute', 'square', 'log'))
  if instance.budget:
    raise errors.UserError(
      "instance.budget must be none for the rival 'scipy'."
    )
  import threadpoolctl

  begin = time.perf_counter()
  root = np.sqrt(instance.start)
  box = optimize.Bounds(instance.least / root, instance.most / root)
  point = np.clip(root, box.lb, box.ub)
  width = np.abs(instance.deviations(point * root)).max()
  num_steps, done = 0, False
  with threadpoolctl.threadpool_limits(1):
    while not done:
      unit = instance.unit(instance.value(point * root))
      end = 4 * tol * unit / len(instance.weights)
      width = max(width / 10, end)
      found = optimize.minimize(
        _smoothed, point, (instance, root, width), 'L-BFGS-B', jac=True,
        bounds=box, options={
          'ftol': 1e-8 * tol, 'gtol': 0.0, 'maxiter': _SCIPY_STEPS,
          'maxfun': 10 * _SCIPY_STEPS,
        },
      )  # fmt: skip
      point, num_steps = found.x, num_steps + found.nit
      done = instance.penalty != 'absolute' or width <= end
  growth = _growth(instance, point * root)
  seconds = time.perf_counter() - begin
  return Answer(growth, seconds, 0.0, num_steps, found.message)


RIVALS = types.MappingProxyType(
  {'clarabel': _clarabel, 'mpax': _mpax, 'piqp': _piqp, 'scipy': _scipy}
)


def available(name: str) -> bool:
  """Returns whether the package of a rival is installed.

  Args:
    name: of `RIVALS`.

  Raises:
    UserError: there is no such rival.
  """
  if name not in RIVALS:
    raise errors.UserError(
      f'name must be one of {sorted(RIVALS)}; it is {name!r}.'
    )
  return importlib.util.find_spec(name) is not None


def _check(name, instance, tol, penalties):
  """Raises UserError where a rival cannot be asked."""
  if not len(instance):
    raise errors.UserError('instance must hold a labelset; it holds none.')
  if not tol > 0:
    raise errors.UserError(f'tol must be above 0; it is {tol}.')
  if instance.penalty not in penalties:
    raise errors.UserError(
      f'instance.penalty must be one of {penalties} for the rival {name!r}; '
      f'it is {instance.penalty!r}.'
    )


def _growth(instance, solution) -> np.ndarray:
  """Returns growth in the box and the budget, float64[S], from n and more."""
  return instance.within_budget(solution[: len(instance)]) / instance.start


def _smoothed(point, instance, root, width):
  """Returns f + cost and its slope at growth point / root."""
  growth = point / root
  x = instance.deviations(point * root)
  if instance.penalty == 'absolute':
    u = np.clip(x / width, -1, 1)
    level = u @ (x - width / 2 * u)
  elif instance.penalty == 'square':
    u, level = 2 * x / instance.scale, instance.level(x)
  else:
    x = np.maximum(x, 1e-9)  # A class may lose every image on the way.
    u, level = -instance.scale / x, instance.level(x)
  per_image = instance.slopes(u)
  centred = growth - growth.mean()
  bend = 2 * instance.lam / len(growth)
  value = level + bend / 2 * (centred @ centred) + instance.cost(point * root)
  slope = root * (per_image + instance.image_cost) + bend * centred / root
  return value, slope
