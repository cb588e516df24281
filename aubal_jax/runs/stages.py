"""What each stage of a run reads and writes: settings by name, and files.

Most stages are a line, each reading the files of the one before. The others
stand beside it: they read the table alone, and nothing reads their files.
"""

from __future__ import annotations

_TABLE = (
  'seed',
  'data.name',
  'data.path',
  'data.path_column',
  'data.split_column',
  'data.group_column',
  'data.label_columns',
  'data.feature_columns',
  'data.unknown_codes',
  'data.validation_fraction',
  'data.test_fraction',
  'data.stratify',
  'data.num_folds',
  'data.fold',
  'data.num_train',
  'data.num_validation',
  'data.num_test',
  'data.sources',
  'data.unlabelled',
  'data.unknown',
  'data.image_dir',
  'data.tfds_dir',
  'aff_wild2.',
  'emotionet.',
  'ck_plus.',
  'disfa.',
  'bp4d.',
  'actor_study.',
)
_PIXELS = ('data.image_size', 'data.channels', 'data.resize', 'data.crop')
_PROBLEM = (
  'balance.objective',
  'balance.target',
  'balance.lam',
  'balance.lower',
  'balance.upper',
  'balance.image_cost',
  'balance.budget',
  'balance.tol',
  'balance.max_steps',
)

# The stages in their order; every other one stands beside this line.
LINE = ('balance', 'train', 'evaluate', 'report')

# The settings each stage reads, as beginnings of their names. What no result
# depends on (threads, how often to log or save) is not among them.
READS = {
  'balance': (*_TABLE, 'balance.'),
  'train': (
    *_TABLE,
    *_PIXELS,
    'augment.',
    'model.',
    'loss.',
    'train.batch_size',
    'train.optimizer',
    'train.learning_rate',
    'train.schedule',
    'train.warmup_steps',
    'train.clip_norm',
    'train.ema_decay',
    'train.patience',
    'train.dtype',
    'train.batch_norm_momentum',
    'train.eval_every_steps',
  ),
  'evaluate': (*_TABLE, *_PIXELS, 'model.', 'train.dtype'),
  'report': (*_TABLE, *_PIXELS, 'augment.'),
  'inspect': (*_TABLE, *_PIXELS, 'inspect.'),
  'optimizers': (*_TABLE, *_PROBLEM, 'balance.num_devices', 'optimizers.'),
  'frontier': (
    *_TABLE,
    *_PROBLEM,
    'balance.optimizer',
    'balance.polish',
    'frontier.',
  ),
  'compare': (),  # Each of its cells pins what it reads.
}

# What each stage writes. solution.json is there for some plans only.
WRITES = {
  'balance': ('labelsets.json', 'rows.csv', 'plan.npz'),
  'train': ('checkpoints', 'metrics.jsonl'),
  'evaluate': ('report.json',),
  'report': ('report.html',),
  'inspect': ('inspect.json', 'inspect.html'),
  'optimizers': ('optimizers.csv', 'optimizers.json', 'optimizers.png'),
  'frontier': ('frontier.csv', 'frontier.png'),
  'compare': ('result.json',),
}

# Stands for a setting of a stage that the task at hand cannot tell.
NOT_KNOWN = object()

# More steps go on from where fewer ended; a cell is run anew with more seeds.
MAY_GROW = (
  *('balance.max_steps', 'train.num_steps'),
  *('compare.seeds', 'compare.repeats'),
)

# What the task predict writes, whose record is a file of its own: it needs no
# more of a run than a copy of checkpoints/.
PREDICTIONS = (
  'predictions.csv',
  'predictions.csv.partial',
  'predictions.json',
  'submission',
)

# What training writes beside that, where it is asked to.
LOGS = ('tensorboard', 'profile')

# What the task search writes: its cells are folders of runs of their own.
SEARCH = ('search.csv', 'search.json', 'search.png', 'search')

# What the task compare writes beside them; as above.
COMPARISON = ('compare.json', 'compare.csv', 'compare.html', 'cells')

# All that is written into the folder; config.json, which vouches for the rest,
# is deleted last.
CONTENTS = (
  *(name for names in WRITES.values() for name in names),
  'solution.json',
  *LOGS,
  *SEARCH,
  *COMPARISON,
  *PREDICTIONS,
  'config.json',
)


def pin(config, *, fingerprint: str, num_steps: int) -> dict[str, dict]:
  """Returns, for each stage, the settings its result depends on.

  Args:
    config: the configuration.
    fingerprint: of the labels, their splits and the rows' names.
    num_steps: optimiser steps, whichever setting gives them.
  """
  flat = flatten(config.to_dict())
  pinned = {}
  for stage, prefixes in READS.items():
    pinned[stage] = {k: v for k, v in flat.items() if k.startswith(prefixes)}
    pinned[stage]['the table'] = fingerprint
  if flat['balance.features'] == 'pixels':  # Then these decide who is near.
    pinned['balance'] |= {k: v for k, v in flat.items() if k in _PIXELS}
  if flat['balance.redraw_each_epoch']:  # The plan is as long as training.
    pinned['balance']['rows drawn'] = num_steps * flat['train.batch_size']
  pinned['train']['train.num_steps'] = num_steps
  return pinned


def flatten(tree: dict, prefix: str = '') -> dict:
  """Returns {'a.b': value} of a nested configuration; tuples as lists."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat |= flatten(value, f'{prefix}{name}.')
    else:
      flat[prefix + name] = list(value) if isinstance(value, tuple) else value
  return flat
