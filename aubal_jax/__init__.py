"""Balances, augments and trains on imbalanced multi-label images.

  import aubal_jax as aubal

  plan, solution = aubal.balance(labels)      # labels: 0/1 [N, L]
  features = features[plan.source]            # the rows to train on

Light: this module imports JAX and SciPy when a name is first used, and never
TensorFlow, albumentations or (but for `load`) flax.
"""

import importlib
import importlib.util

_HOMES = {
  'Labelsets': 'aubal_jax.tables.labelsets',
  'find_labelsets': 'aubal_jax.tables.labelsets',
  'imbalance': 'aubal_jax.tables.labelsets',
  'Plan': 'aubal_jax.tables.plan',
  'UserError': 'aubal_jax.runs.errors',
  'Resampler': 'aubal_jax.resampling.estimator',
  'Solution': 'aubal_jax.balancing.solve',
  'balance': 'aubal_jax.balancing.solve',
  'balance_parts': 'aubal_jax.balancing.in_parts',
  'balance_targets': 'aubal_jax.balancing.several',
  'keep': 'aubal_jax.balancing.keeping',
  'frontier': 'aubal_jax.balancing.frontier',
  'load': 'aubal_jax.serving.trained',
  'resample': 'aubal_jax.resampling',
  'solve': 'aubal_jax.balancing.solve',
}

# Without scikit-learn a star takes the rest; asked for, it tells what to do.
_LACKING = set() if importlib.util.find_spec('sklearn') else {'Resampler'}

__all__ = sorted({*_HOMES} - _LACKING)
__version__ = '0.1.0'


def __getattr__(name: str):
  if name not in _HOMES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
  return [*globals(), *__all__]
