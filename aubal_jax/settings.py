"""Every setting, with its meaning and unit. Locked: a misspelt key raises."""

import difflib
import math

import ml_collections

from aubal_jax.runs import errors

# The data sets that have a reader of their own: those of data.readers.
_SETS = ('aff_wild2', 'emotionet', 'ck_plus', 'disfa', 'bp4d', 'actor_study')

# The methods whose rows can be drawn anew: those of resampling.RESAMPLERS.
SAMPLERS = ('inverse_frequency', 'repeat_factor', 'calibration')

_CHOICES = {
  'task': (
    *('run', 'balance', 'train', 'evaluate', 'report'),
    *('predict', 'inspect', 'search', 'compare', 'optimizers', 'frontier'),
  ),
  'data.name': (
    *('synthetic', 'synthetic_table', 'manifest', 'labels', 'tfds', 'merge'),
    *_SETS,
  ),
  'data.unknown': ('absent', 'separate', 'drop'),
  'data.unlabelled': ('unknown', 'absent'),
  'data.unreadable': ('error', 'drop'),
  'data.channels': (1, 3),
  'data.resize': ('stretch', 'pad', 'crop'),
  'data.crop': ('none', 'mtcnn'),
  'balance.method': (
    *('aubal', 'none', 'random', 'lp_ros', 'lp_rus', 'ml_ros', 'ml_rus'),
    *('mlsmote', 'smote', 'remedial', 'mlsol', 'mlenn', 'mltl'),
    *('inverse_frequency', 'repeat_factor', 'greedy_spread', 'calibration'),
  ),
  'balance.combine': ('ranking', 'union', 'intersection'),
  'balance.ml_rus': ('bags', 'no_minority'),
  'balance.features': ('table', 'pixels'),
  'balance.diversity': ('none', 'group', 'content'),
  'augment.rows': ('added', 'all', 'none'),
  'augment.backend': ('albumentations', 'device'),
  'train.schedule': ('constant', 'cosine'),
  'train.dtype': ('auto', 'float32', 'bfloat16'),
  'distributed.start': ('no', 'auto', 'address'),
  'frontier.over': ('budget', 'lam'),
  **{f'{name}.split': ('', 'train') for name in _SETS},
  'aff_wild2.release': ('2020', '2022'),
  'emotionet.kind': ('manual', 'automatic'),
  'ck_plus.frames': ('sequence', 'peak'),
  'predict.split': ('train', 'validation', 'test', 'dropped'),
  'predict.thresholds': ('tuned', 'half'),
  'predict.submission': ('', 'aff_wild2', 'aff_wild2_images'),
}
_LEAST = {
  'seed': 0,
  'data.image_size': 16,
  'data.num_train': 1,
  'data.num_validation': 0,
  'data.num_test': 0,
  'data.num_folds': 0,
  'data.fold': 0,
  'data.num_processes': 0,
  'balance.lam_images': 0,
  'balance.budget': 0,
  'balance.budget_growth': 0,
  'balance.max_steps': 0,
  'balance.fraction': 0,
  'balance.neighbours': 1,
  'balance.num_clusters': 0,
  'balance.num_devices': 1,
  'train.num_steps': 0,
  'train.batch_size': 1,
  'train.log_every_steps': 1,
  'train.eval_every_steps': 1,
  'train.checkpoint_every_steps': 1,
  'train.keep_checkpoints': 1,
  'train.num_workers': 1,
  'train.num_processes': 0,
  'train.warmup_steps': 0,
  'train.clip_norm': 0,
  'train.ema_decay': 0,
  'train.patience': 0,
  'train.profile_steps': 0,
  'distributed.num_processes': 0,
  'distributed.process_id': 0,
  'evaluate.batch_size': 1,
  'compare.seeds': 1,
  'compare.repeats': 1,
  'compare.folds': 2,
  'compare.num_steps': 0,
  'optimizers.max_seconds': 1,
  'frontier.num_points': 2,
  'inspect.images_per_label': 0,
  'inspect.near_empty': 0,
  'predict.batch_size': 1,
  'disfa.least_intensity': 1,
}


def default() -> ml_collections.ConfigDict:
  """Returns the settings every file in configs/ starts from, locked."""
  c = ml_collections.ConfigDict()
  c.task = 'run'  # run, or one of the tasks of the README.
  c.seed = 0  # Of everything that is drawn.

  c.data = ml_collections.ConfigDict()
  # synthetic (faces), synthetic_table, manifest (images), labels (a table),
  # tfds, merge, or a data set
  c.data.name = 'synthetic'  # with a section below: aff_wild2, emotionet, ...
  c.data.path = ''  # The table, the folder, or the name of a TFDS set.
  c.data.sources = ()  # Of merge: data sets with a section below.
  c.data.unlabelled = 'unknown'  # What a merged set lacks: unknown or absent.
  c.data.image_dir = ''  # Manifest: folder of the paths; '' = the table's.
  c.data.tfds_dir = ''  # Folder of prepared TFDS sets; '' = TFDS's own.
  c.data.path_column = 'path'  # Image file, relative to the table.
  c.data.split_column = 'split'  # train, validation or test; may be absent.
  c.data.group_column = 'subject'  # Whose images stay together; may be absent.
  c.data.label_columns = ()  # Label columns in order; () = all other columns.
  c.data.feature_columns = ()  # Columns of a table that are features, numbers.
  c.data.unknown_codes = ('', '-1', '9', '999')  # Cells that say "unknown".
  c.data.unknown = 'absent'  # In balancing: absent, separate (a third value)
  # or drop (rows with an unknown label do not train).
  c.data.unreadable = 'error'  # Or drop: go on without unreadable images.
  c.data.validation_fraction = 0.15  # Of the groups, where no split is given.
  c.data.test_fraction = 0.15  # Of the groups, where no split is given.
  c.data.stratify = True  # Drawn splits even out the labels.
  c.data.num_folds = 0  # k: drawn by k-fold, ...
  c.data.fold = 0  # ... of which this one, counted from 0, is the test split.
  c.data.image_size = 112  # Height and width in pixels.
  c.data.channels = 1  # 1 (grey) or 3 (RGB).
  c.data.resize = 'stretch'  # stretch, pad (letter-box) or crop (centre).
  c.data.crop = 'none'  # mtcnn cuts out the face (extra: crop).
  c.data.cache_dir = ''  # Decoded images are kept there; '' = in memory.
  c.data.num_processes = 0  # That decode into a cache; 0: one for each CPU.
  c.data.num_train = 2400  # Synthetic faces in the training split.
  c.data.num_validation = 800  # Synthetic faces in the validation split.
  c.data.num_test = 800  # Synthetic faces in the test split.

  # Data sets. path '' is data.path, below it where sets are merged. split
  # 'train': all of it trains; '': the official split, or one is drawn.
  for name in _SETS:
    c[name] = ml_collections.ConfigDict({'path': '', 'split': ''})
  c.aff_wild2.release = '2020'  # 2020 (eight AUs) or 2022 (twelve).
  c.emotionet.kind = 'manual'  # manual (CSV, XLSX) or automatic (lists).
  c.ck_plus.frames = 'sequence'  # sequence (onset to peak) or peak.
  c.disfa.least_intensity = 2  # From which an AU counts as present, 1 to 5.

  c.balance = ml_collections.ConfigDict()
  c.balance.method = 'aubal'  # A name of resampling.RESAMPLERS.
  c.balance.objective = 'l1'  # l1 (the paper), relative, l2, prevalence, log.
  c.balance.target = ()  # Share of each label; () = all alike.
  c.balance.optimizer = 'adam'  # A name of balancing.solve.VARIANTS.
  c.balance.lam = 70.0  # Weight of Var(growth), for lam_images images.
  c.balance.lam_images = 322551.0  # 0: lam is taken raw, as printed.
  c.balance.lower = 1.0  # Least growth of a labelset.
  c.balance.upper = 10.0  # Largest growth of a labelset.
  c.balance.image_cost = 1e-4  # Price of an added image, in units of f.
  c.balance.budget = 0  # Images of the plan at most; 0: no budget.
  c.balance.budget_growth = 0.0  # The same as a multiple of the images there.
  c.balance.budget_exactly = False  # Exactly so many, not fewer.
  c.balance.tol = 1e-5  # Relative certified gap to stop at.
  c.balance.max_steps = 20000  # First-order steps at most.
  c.balance.polish = True  # Newton steps finish what first-order ones left.
  c.balance.num_devices = 1  # Devices to split the labelsets over.
  c.balance.diversity = 'none'  # Bounds growth by a labelset's distinct groups,
  # or by its clusters of content.
  c.balance.num_clusters = 0  # Of content; 0: as many as suit the images.

  # Of the methods that are not aubal.
  c.balance.fraction = 0.0  # Of the rows, to add or delete; 0: as usual there.
  c.balance.neighbours = 5  # Of a row, for mlsmote, smote and mlsol.
  c.balance.combine = 'ranking'  # mlsmote's labels: also union, intersection.
  c.balance.ml_rus = 'bags'  # Or no_minority: rows without a rare label go.
  c.balance.redraw_each_epoch = False  # Samplers by weight: not one draw only.
  c.balance.features = 'table'  # Where neighbours are: the table, or pixels.

  c.augment = ml_collections.ConfigDict()
  c.augment.rows = 'added'  # added (the paper), all or none.
  c.augment.backend = 'albumentations'  # On the host, or device: there.
  c.augment.frozen = False  # True: the same images in every epoch.
  c.augment.flip = 0.5  # Probability of a left-right flip.
  c.augment.blur_sigma = (0.0, 1.0)  # Gaussian blur, pixels, drawn evenly.
  c.augment.contrast = (0.8, 1.25)  # Factor about grey 127, drawn evenly.
  c.augment.noise_sigma = (0.0, 8.0)  # Gaussian noise, grey levels of 255.
  c.augment.multiply = (0.8, 1.2)  # Brightness factor, drawn evenly.
  c.augment.perspective = (0.0, 0.06)  # Corner jitter, share of the side.

  c.model = ml_collections.ConfigDict()
  c.model.name = 'resnet18_112'  # A name of models.MODELS.
  c.model.stem = '7x7'  # 7x7 or 3x3.

  c.model.sync_batch_norm = True  # Statistics over all devices, or each alone.

  c.loss = ml_collections.ConfigDict()
  c.loss.name = 'soft_f1'  # A name of losses.LOSSES.
  c.loss.weights = 'uniform'  # uniform, support or inverse, per label.

  c.train = ml_collections.ConfigDict()
  c.train.num_steps = 0  # Optimiser steps; 0: num_epochs decides.
  c.train.num_epochs = 10.0  # Where num_steps is 0: images / training split.
  c.train.batch_size = 64  # Rows a step, over all devices.
  c.train.optimizer = 'adam'  # A name of train_optimizer.OPTIMIZERS.
  c.train.learning_rate = 1e-4  # The largest, where it changes.
  c.train.schedule = 'constant'  # constant, or cosine: down to 0 at the end.
  c.train.warmup_steps = 0  # Of these the learning rate rises from 0.
  c.train.clip_norm = 0.0  # Largest norm of the gradient; 0: as it is.
  c.train.ema_decay = 0.0  # Evaluate a moving average of weights; 0: none.
  c.train.patience = 0  # Stop after so many evaluations without a best; 0: no.
  c.train.dtype = 'auto'  # Of arithmetic: float32, bfloat16; auto: by device.
  c.train.remat = False  # Compute activations twice: less memory, not on a CPU.
  c.train.batch_norm_momentum = 0.9  # Of the running statistics.
  c.train.log_every_steps = 10  # Steps between lines of metrics.jsonl.
  c.train.eval_every_steps = 100  # Steps between looks at validation.
  c.train.checkpoint_every_steps = 50  # Steps between checkpoints.
  c.train.keep_checkpoints = 2  # The newest so many, and the best.
  c.train.num_workers = 2  # Threads that make batches.
  c.train.num_processes = 0  # That augment for the threads; 0: they do.
  c.train.tensorboard = False  # Also write logs for TensorBoard.
  c.train.profile_steps = 0  # Steps traced for a profiler, after the third.

  c.evaluate = ml_collections.ConfigDict()
  c.evaluate.batch_size = 64  # Images a step, over all devices.

  c.distributed = ml_collections.ConfigDict()
  c.distributed.start = 'no'  # auto: SLURM, GKE, TPU pods; address: as below.
  c.distributed.address = ''  # host:port of process 0.
  c.distributed.num_processes = 0  # In all.
  c.distributed.process_id = 0  # Of this one.

  c.search = ml_collections.ConfigDict()
  c.search.losses = ('soft_f1', 'bce')  # The grid: names of losses.LOSSES,
  c.search.optimizers = ('adam', 'nesterov')  # of train_optimizer.OPTIMIZERS,
  c.search.learning_rates = (1e-3, 1e-4)  # and numbers.
  c.search.batch_sizes = (64,)  # As many optimiser steps for all.
  c.search.metric = 'f1_macro'  # Of validation, that the best is best in.

  c.compare = ml_collections.ConfigDict()
  c.compare.data = ()  # Tables with features, or synthetic; (): data's images.
  c.compare.methods = ('none', 'random', 'aubal:l1')  # resampling.RESAMPLERS,
  # aubal:OBJECTIVE or loss:NAME.
  c.compare.fractions = (0.25,)  # Rows to add or delete; 0: the method's own.
  c.compare.models = ()  # (): of tables logistic, mlp; of images model.name.
  c.compare.seeds = 3  # Number of them, from seed on.
  c.compare.repeats = 5  # Of tables: how often they are split anew ...
  c.compare.folds = 2  # ... into so many folds. Images: data.num_folds.
  c.compare.num_steps = 0  # Optimiser steps of a cell; 0: train's, the tables'.
  c.compare.augment_rows = ('added',)  # Images: of added, all, none.
  c.compare.uppers = (10.0,)  # Of aubal: balance.upper.
  c.compare.diversities = ('none',)  # Of aubal: of none, group, content.
  c.compare.keep_checkpoints = False  # Those of finished cells, too.

  c.predict = ml_collections.ConfigDict()
  c.predict.path = ''  # Folder or manifest of images; '' = the split below.
  c.predict.split = 'test'  # Of the data set, where there is no path.
  c.predict.batch_size = 64  # Images a step, over all devices.
  c.predict.thresholds = 'tuned'  # Those of the checkpoint; half: .5 for all.
  c.predict.submission = ''  # Also: aff_wild2 (a file a video) or
  # aff_wild2_images (one file, a line an image).

  c.inspect = ml_collections.ConfigDict()
  c.inspect.images_per_label = 8  # On the contact sheet.
  c.inspect.near_empty = 5  # Labelsets with fewer images are counted.

  c.optimizers = ml_collections.ConfigDict()
  c.optimizers.variants = ()  # Names of balancing.solve.VARIANTS; () = all.
  c.optimizers.rivals = ()  # Of balancing.rivals; () = installed; none = none.
  c.optimizers.max_seconds = 600.0  # Longest for one of them; its row says so.

  c.frontier = ml_collections.ConfigDict()
  c.frontier.over = 'budget'  # What is varied: budget (images) or lam.
  c.frontier.num_points = 30  # Solved, from nothing added to all that helps.

  c.lock()
  return c


def check(config) -> None:
  """Raises UserError for what can be told to be wrong before any work.

  What needs a library to be told (a name of a model, an optimiser) is told by
  the stage that needs it.
  """
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.UserError(
      'get_config() must return a ConfigDict; begin with config.default().'
    )
  for key in _keys(default()):
    if _get(config, key) is _LACKING:
      raise errors.UserError(
        f'The configuration lacks {key}; begin with config.default().'
      )
  for key, choices in _CHOICES.items():
    if _get(config, key) not in choices:
      raise errors.UserError(
        f'{key} must be one of {[*choices]}; it is {_get(config, key)!r}.'
        + _suggestion(_get(config, key), choices)
      )
  for key, least in _LEAST.items():
    if not least <= _get(config, key) < math.inf:
      raise errors.UserError(
        f'{key} must be at least {least}; it is {_get(config, key)}.'
      )
  if config.balance.redraw_each_epoch and config.balance.method not in SAMPLERS:
    raise errors.UserError(
      f'balance.redraw_each_epoch is for {[*SAMPLERS]}, which draw rows by '
      f'weight; balance.method is {config.balance.method!r}.'
    )
  epochs = config.train.num_epochs
  if not config.train.num_steps and not 0 < epochs < math.inf:
    raise errors.UserError(
      f'train.num_epochs must be above 0 where train.num_steps is 0; it is '
      f'{epochs}.'
    )


def _suggestion(value, choices) -> str:
  written = str(value).lower().replace('-', '_')
  near = difflib.get_close_matches(written, map(str, choices), 1)
  return f' Did you mean {near[0]!r}?' if near else ''


_LACKING = object()


def _get(config, key: str):
  for name in key.split('.'):
    if name not in config:
      return _LACKING
    config = config[name]
  return config


def _keys(config, prefix: str = ''):
  """Yields the full name of every setting."""
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      yield from _keys(value, f'{prefix}{name}.')
    else:
      yield prefix + name
