"""Every setting, declared once: what it is, may be, and who reads it.

`default()` makes of them the locked dictionary that every file in configs/
starts from. What a folder pins, what is checked before any work, the options
of resamplers and the help come from here and nowhere else.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
import types
from collections.abc import Iterable

import ml_collections

from aubal_jax.runs import errors
from aubal_jax.runs import workdir
from aubal_jax.runs.setting import Setting
from aubal_jax.runs.setting import memory_bytes
from aubal_jax.runs.setting import most_processes

# Task -> the stages whose settings it reads.
TASKS = types.MappingProxyType(
  {
    'run': workdir.LINE,
    'balance': ('balance',),
    'keep': ('balance',),
    'train': ('train',),
    'distill': ('distill', 'train'),
    'evaluate': ('evaluate',),
    'controls': ('controls', 'balance', 'train', 'evaluate'),
    'report': ('report',),
    'predict': ('predict',),
    'export': ('export',),
    'inspect': ('inspect',),
    'search': ('search', 'balance', 'train'),
    'compare': ('compare', 'balance', 'train'),
    'optimizers': ('optimizers',),
    'frontier': ('frontier',),
  }
)

# The tasks that are many runs, each a cell.
OF_CELLS = ('search', 'compare', 'balance')

# The data sets that have a reader of their own: modules of datasets.readers.
SETS = (
  *('aff_wild2', 'emotionet', 'ck_plus', 'disfa', 'bp4d', 'actor_study'),
  *('expw', 'afew_va'),
)

# Ways to a plan: modules of resampling. The last ones keep a share of the rows.
KEEPERS = ('keep', 'keep_random', 'keep_class_aware', 'keep_every')
METHODS = (
  *('aubal', 'none', 'random', 'lp_ros', 'lp_rus', 'ml_ros', 'ml_rus'),
  *('mlsmote', 'smote', 'remedial', 'mlsol', 'mlenn', 'mltl'),
  *('inverse_frequency', 'repeat_factor', 'greedy_spread', 'calibration'),
  *KEEPERS,
)

_LOSSES = 'aubal_jax.network.losses:LOSSES'
_OPTIMIZERS = 'aubal_jax.network.optimizer:OPTIMIZERS'
_SCORES = 'aubal_jax.stages.train:METRICS'
_OBJECTIVES = 'aubal_jax.balancing.rules:OBJECTIVES'
_VARIANTS = 'aubal_jax.balancing.solve:VARIANTS'
_MODELS = 'aubal_jax.network.models:MODELS'
_NORMALISED = 'aubal_jax.network.models.inputs:PRESETS'
_INITS = 'aubal_jax.network.models.first_weights:INITS'

# The networks that see clips and sounds.
TWO_STREAM = ('two_stream', 'two_stream_small')

_DATASETS = ('synthetic', 'synthetic_table', 'manifest', 'labels', 'tfds')
_ROWS = ('added', 'all', 'none')
_DIVERSITIES = ('none', 'group', 'content')
_SUBMISSIONS = ('', 'aff_wild2', 'aff_wild2_images')

# Who reads what of the table, its images, the problem. What nobody is said to
# read decides no result: threads, how often to log or save.
_TABLE = (*workdir.LINE, 'inspect', 'optimizers', 'frontier')
_PIXELS = ('train', 'evaluate', 'report', 'inspect')
_PROBLEM = ('balance', 'compare', 'optimizers', 'frontier')
_SOLVED = ('balance', 'compare', 'frontier')
_PLANNED = ('balance', 'compare')
_MODEL = ('train', 'evaluate')


def _section(
  name: str, read_by: Iterable[str], *declared: Setting
) -> tuple[Setting, ...]:
  """Returns settings of a section, with its name and who reads them."""
  return tuple(
    dataclasses.replace(s, name=f'{name}.{s.name}', read_by=tuple(read_by))
    for s in declared
  )


def _set(name: str, *options: Setting) -> tuple[Setting, ...]:
  """Returns the section of a data set: its options are those of its reader."""
  path = Setting('path', '', "Its folder; '': data.path, below it if merged.")
  split = Setting(
    *(
      'split',
      '',
      "train: all of it trains; '': the official split, or drawn.",
    ),
    choices=('', 'train'),
  )
  return _section(name, _TABLE, path, split, *options)


_DECLARED = (
  Setting('task', 'run', 'run: all stages; or one of them.', choices=TASKS),
  Setting(
    *('seed', 0, 'Of everything that is drawn.'),
    least=0,
    read_by=(*_TABLE, 'compare'),
  ),
  Setting('note', '', 'What a file of --config says first, for people.'),
  Setting('raw_cells', False, "CSV: texts such as =1 stay, for '=1."),
  *_section(
    *('data', _TABLE),
    Setting(
      *('name', 'synthetic', 'Faces, a table, images, or a set by its name.'),
      choices=(*_DATASETS, 'merge', *SETS),
    ),
    Setting('path', '', 'The table, the folder, or the name of a TFDS set.'),
    Setting('validation_path', '', 'Table of that split; path then trains.'),
    Setting('test_path', '', 'Table of that split; path then trains.'),
    Setting('sources', (), 'Of merge: names of data sets.', choices=SETS),
    Setting(
      *('unlabelled', 'unknown', 'What a label is that a merged set lacks.'),
      choices=('unknown', 'absent'),
    ),
    Setting(
      *('overlap', 'keep', 'Groups that train one target, validate another.'),
      choices=('keep', 'drop_train', 'drop_validation'),
    ),
    Setting('image_dir', '', "Manifest: folder of paths; '': the table's."),
    Setting('tfds_dir', '', "Folder of prepared TFDS sets; '': TFDS's own."),
    Setting('path_column', 'path', 'Image file, relative to the table.'),
    Setting('split_column', 'split', 'train, validation or test, if any.'),
    Setting('group_column', 'subject', 'Whose images stay together, if any.'),
    Setting('frame_column', '', "Number of a row in its video; '': none."),
    Setting('landmark_column', '', "68 points: x y x y ... in a cell; '': no."),
    Setting(
      *(
        'unknown',
        'absent',
        'To balancing: as that, a third value, or no row.',
      ),
      choices=('absent', 'separate', 'drop'),
    ),
    Setting(
      *('validation_fraction', 0.15, 'Of groups, where no split is given.'),
      least=0,
      below=1,
    ),
    Setting(
      *('test_fraction', 0.15, 'Of the groups, where no split is given.'),
      least=0,
      below=1,
    ),
    Setting('stratify', True, 'Drawn splits even out the labels.'),
    Setting(
      'num_folds', 0, 'k: drawn by k-fold; 0: not.', least=0, most=10_000
    ),
    Setting('fold', 0, 'Of these, from 0: the test split.', least=0),
    Setting('num_train', 2400, 'Drawn faces in the training split.', least=1),
    Setting('num_validation', 800, 'Drawn faces that validate.', least=0),
    Setting('num_test', 800, 'Drawn faces in the test split.', least=0),
    Setting(
      *('drawn_targets', ('labels',), 'Of drawn faces; or more:'),
      choices=('labels', 'expression', 'valence_arousal'),
      listed=True,
    ),
    Setting(
      *('drawn_ratio', 1.0, 'then the commonest expression over the rarest,'),
      least=1,
      most=1000,
    ),
    Setting('drawn_apart', False, 'and each face trains one target alone.'),
    Setting('drawn_film', False, 'Faces of a person are frames of a video.'),
    Setting('drawn_sound', False, 'Of drawn videos, which can be heard.'),
  ),
  *_section(
    *('data', (*_TABLE, 'compare')),
    Setting('label_columns', (), 'Label columns in order; (): all others.'),
    Setting('exclude_columns', (), 'Columns that are no labels.'),
    Setting('feature_columns', (), 'Columns of a table that are features.'),
    Setting('class_columns', (), 'Classes: NAME, or NAME:A|B|C.'),
    Setting('real_columns', (), 'Numbers: NAME:LOW:HIGH; NAME: in [-1, 1].'),
    Setting(
      *('target_unknown', ('', '-1', '-5'), 'Cells of these for "unknown".'),
    ),
    Setting('label_column', '', "One of names of labels; '': one for each."),
    Setting('separator', '', 'Between names; none: a cell is one name.'),
    Setting('none_names', (), 'Names for "no label", as No Finding.'),
    Setting(
      *('least_votes', 0, 'k: rows of an image vote; 0: it has one.'), least=0
    ),
    Setting(
      *('threshold', 0.0, 'Cells are scores, present from it on; 0: no.'),
      least=0,
    ),
    Setting('present_codes', ('1', 'true'), 'Cells for "present".'),
    Setting('absent_codes', ('0', 'false'), 'Cells for "absent".'),
    Setting('unknown_codes', ('', '-1', '9', '999'), 'Cells for "unknown".'),
  ),
  *_section(
    *('data', _PIXELS),
    Setting(
      'image_size', 112, 'Height and width in pixels.', least=16, most=8192
    ),
    Setting('channels', 1, '1 (grey) or 3 (RGB).', choices=(1, 3)),
    Setting(
      *('resize', 'stretch', 'stretch, pad (letter-box) or crop (centre).'),
      choices=('stretch', 'pad', 'crop'),
    ),
    Setting(
      *('crop', 'none', 'mtcnn cuts out the face (extra: crop).'),
      choices=('none', 'mtcnn'),
    ),
  ),
  *_section(
    *('data', _MODEL),
    Setting(
      *('normalise', 'none', 'Pixels as weights want them; or mean, std.'),
      registry=_NORMALISED,
    ),
    Setting(
      *('mean', (), 'Of each channel, in [0, 1]: subtracted.'),
      each=float,
    ),
    Setting(
      *('std', (), 'Of each channel: divided by.'),
      each=float,
      above=0,
    ),
  ),
  *_section(
    *('data', ()),
    Setting(
      *('unreadable', 'error', 'drop: go on without unreadable images.'),
      choices=('error', 'drop'),
    ),
    Setting('allow_constant', False, 'Train on labels never 0, or never 1.'),
    Setting('cache_dir', '', "Keeps decoded images; '': in memory."),
    Setting(
      *('num_processes', 0, 'That decode into a cache; 0: one for each CPU.'),
      least=0,
      most=most_processes,
    ),
  ),
  *_set(
    'aff_wild2',
    Setting(
      'release', '2020', 'Eight AUs or twelve.', choices=('2020', '2022')
    ),
    Setting(
      *('targets', ('labels',), 'Tasks: AUs, expression, valence_arousal.'),
      choices=('labels', 'expression', 'valence_arousal'),
      listed=True,
    ),
    Setting(
      *('thinning', 'none', 'published: of some, fewer frames train (Deng).'),
      choices=('none', 'published'),
    ),
  ),
  *_set(
    'emotionet',
    Setting(
      *('kind', 'manual', 'manual (CSV, XLSX) or automatic (lists).'),
      choices=('manual', 'automatic'),
    ),
  ),
  *_set(
    'ck_plus',
    Setting(
      *('frames', 'sequence', 'sequence (onset to peak) or peak.'),
      choices=('sequence', 'peak'),
    ),
  ),
  *_set(
    'disfa',
    Setting(
      *('least_intensity', 2, 'From which an AU counts as present.'),
      least=1,
      most=5,
    ),
  ),
  *_set('bp4d'),
  *_set('actor_study'),
  *_set('expw'),
  *_set('afew_va'),
  *_section(
    *('balance', _PROBLEM),
    Setting('objective', 'l1', 'What is evened out.', registry=_OBJECTIVES),
    Setting(
      *('target', (), 'Share of each label; (): all alike.'),
      each=float,
      least=0,
    ),
    Setting('lam', 70.0, 'Weight of Var(growth) at lam_images.', least=0),
    Setting('lam_images', 322551.0, '0: lam as it is, raw.', least=0),
    Setting('lower', 1.0, 'Growth of a labelset, at least.', least=0, most=1e9),
    Setting(
      *('upper', 10.0, 'Growth of a labelset, at most; inf: no bound.'),
      above=0,
      most=1e15,
      infinite=True,
    ),
    Setting('image_cost', 1e-4, 'Price of an added image, in f.', least=0),
    Setting(
      *('budget', 0, 'Images of the plan at most; 0: no budget.'),
      least=0,
      most=2**53,
    ),
    Setting(
      *('budget_growth', 0.0, 'The same, times the images there; 0: no.'),
      least=0,
      most=1e9,
    ),
    Setting('budget_exactly', False, 'Exactly so many, not fewer.'),
    Setting(
      *('empty', 'keep', 'Rows without a label: stay, or have a label.'),
      choices=('keep', 'label'),
    ),
    Setting(
      'tol', 1e-5, 'Relative certified gap to stop at.', above=0, below=1
    ),
    Setting(
      *('max_steps', 20000, 'First-order steps at most.'),
      least=0,
      may_grow=True,
    ),
  ),
  *_section(
    *('balance', _SOLVED),
    Setting('optimizer', 'adam', 'Variant of the solver.', registry=_VARIANTS),
    Setting('polish', True, 'Newton steps finish what others leave.'),
  ),
  *_section(
    *('balance', ('balance', 'compare', 'optimizers')),
    Setting(
      *('num_devices', 1, 'Devices to split the labelsets over.'),
      least=1,
      most=4096,
    ),
  ),
  *_section(
    *('balance', _PLANNED),
    Setting('method', 'aubal', 'How the plan is made.', choices=METHODS),
    Setting(
      *(
        'diversity',
        'none',
        "Bounds growth by a labelset's groups or content.",
      ),
      choices=_DIVERSITIES,
    ),
    Setting(
      *('num_clusters', 0, 'Of content; 0: as many as suit the images.'),
      least=0,
      most=1_000_000,
    ),
    Setting(
      *('fraction', 0.0, 'Of the rows, to add or delete; 0: as usual there.'),
      least=0,
      most=1_000_000,
    ),
    Setting('neighbours', 5, 'Of a row, for mlsmote, smote, mlsol.', least=1),
    Setting(
      *('combine', 'ranking', 'How mlsmote votes for the labels.'),
      choices=('ranking', 'union', 'intersection'),
    ),
    Setting(
      *('ml_rus', 'bags', 'no_minority: rows without a rare label go.'),
      choices=('bags', 'no_minority'),
      option='ml_rus.reading',
    ),
    Setting('redraw_each_epoch', False, 'Samplers by weight: not one draw.'),
    Setting(
      *('features', 'table', 'Where neighbours are: the table, or pixels.'),
      choices=('table', 'pixels'),
    ),
  ),
  *_section(
    *('keep', ('balance',)),
    Setting('share', 0.25, 'Of the rows, to keep.', above=0, most=1),
  ),
  *_section(
    *('augment', ('train', 'report')),
    Setting('rows', 'added', 'Which; the paper: added.', choices=_ROWS),
    Setting(
      *('backend', 'albumentations', 'On the host, or device: there.'),
      choices=('albumentations', 'device'),
    ),
    Setting('policy', '', "Albumentations' FILE.py or .yaml; '': as below."),
    Setting('frozen', False, 'True: the same images in every epoch.'),
    Setting(
      *('strength', 1.0, 'How far all but the flip go, times their ranges.'),
      least=0,
      most=5,
    ),
    Setting(
      *(
        'growth_exponent',
        0.0,
        'a: strength x (times its image is shown)^a, at most 5.',
      ),
      least=0,
      most=1,
    ),
    Setting('flip', 0.5, 'Probability of a left-right flip.', least=0, most=1),
    Setting('blur_sigma', (0.0, 1.0), 'Gaussian, pixels.', pair=True, most=100),
    Setting('contrast', (0.8, 1.25), 'Factor about grey 127.', pair=True),
    Setting('noise_sigma', (0.0, 8.0), 'Gaussian, of 255.', pair=True),
    Setting('multiply', (0.8, 1.2), 'Brightness factor.', pair=True),
    Setting('perspective', (0.0, 0.06), 'Of the side.', pair=True, most=0.3),
  ),
  *_section(
    *('model', _MODEL),
    Setting(
      *('name', 'resnet18_112', 'The network; yours: package.module:Class.'),
      registry=_MODELS,
      importable=True,
    ),
    Setting('stem', '7x7', 'First convolution.', choices=('7x7', '3x3')),
    Setting(
      *('hidden', (), 'Of features: units of each layer; (): linear.'),
      each=int,
      least=1,
      most=1_000_000,
    ),
    Setting('sync_batch_norm', True, 'Statistics over all devices.'),
  ),
  *_section(
    *('model', ('train',)),
    Setting(
      *('init', 'torch_uniform', 'First weights.'),
      registry=_INITS,
      before='he_normal',
    ),
    Setting('init_from', '', 'Weights to begin with: a file, a folder.'),
    Setting(
      *('freeze', (), 'Globs of parameters that do not learn; trunk: all.'),
      listed=True,
    ),
  ),
  *_section(
    *('loss', ('train',)),
    Setting('name', 'soft_f1', 'What is trained on.', registry=_LOSSES),
    Setting(
      *('weights', 'uniform', 'Of each label: uniform, support, inverse.'),
      registry='aubal_jax.network.losses:WEIGHTS',
    ),
    Setting(
      *('label_smoothing', 0.0, 's: labels are s / 2 and 1 - s / 2.'),
      least=0,
      below=1,
    ),
  ),
  *_section(
    *('multitask', ('balance',)),
    Setting(
      *('balance', 'none', 'Of several targets: each, all at once, or Deng.'),
      choices=('none', 'per_task', 'joint', 'published'),
    ),
  ),
  *_section(
    *('multitask', ('balance', 'train')),
    Setting(
      *('recipe', 'repaired', 'Of Deng: repaired, or as it was published.'),
      choices=('repaired', 'published'),
    ),
  ),
  *_section(
    *('multitask', ('train',)),
    Setting('targets', (), 'Learnt, labels too; (): all.', listed=True),
    Setting(
      *('heads', 'dense', 'A dense layer; deng: norm, 128 units, norm before.'),
      choices=('dense', 'deng', 'gru'),
    ),
    Setting(
      *('window', 32, 'gru: rows of a video that are seen together.'),
      least=1,
      most=4096,
    ),
    Setting(
      *('bins', 'linspace', 'Of a number, 20; none: its tanh; raw: as it is.'),
      choices=('linspace', 'centres', 'none', 'raw'),
    ),
    Setting(
      *('weights', (), 'Of the loss of each target, labels first; (): 1.'),
      each=float,
      above=0,
      most=1e6,
    ),
    Setting(
      *('batching', 'mixed', 'per_task: each target has a batch of its own.'),
      choices=('mixed', 'per_task'),
    ),
  ),
  *_section(
    *('multitask', ('train', 'predict')),
    Setting('features_of', '', 'A trained run, whose last layers are seen.'),
  ),
  *_section(
    *('two_stream', _MODEL),
    Setting(
      *('modalities', 'both', 'What the network takes: video, audio or both.'),
      choices=('both', 'video', 'audio'),
    ),
    Setting('frames', 8, 'Of a clip; the last is labelled.', least=1, most=256),
    Setting(
      *('dilation', 6, 'Frames from one of a clip to the next.'),
      least=1,
      most=100_000,
    ),
    Setting(
      *('dilation_seconds', 0.0, 'The same by time, as .2; 0: in frames.'),
      least=0,
      most=3600,
    ),
    Setting(
      *('window', 'published', 'Of sound: about t, less at its ends; or'),
      choices=('published', 'symmetric', 'causal'),
    ),
    Setting(
      *('seconds', 10.0, 'Length of that window.'),
      least=0.02,
      most=600,
    ),
    Setting('shift', 5.0, 'Of these, before the frame.', least=0, most=600),
    Setting('sound_dir', '', 'Folder of sounds or clips called like videos.'),
    Setting(
      *('fps', 30.0, 'Frames a second; 0: the frame column is seconds.'),
      least=0,
      most=1e6,
    ),
    Setting('mask', True, 'Lines of landmarks, where the data has some.'),
    Setting('landmark_dir', '', "OpenFace's CSVs, called like the videos."),
    Setting(
      'align', True, 'Landmarks move as faces do; or are pixels of them.'
    ),
  ),
  *_section(
    *('two_stream', ('train',)),
    Setting(
      *('clip_stride', 1, 'k: an epoch takes each k-th frame, drawn.'),
      least=1,
      most=100_000,
    ),
  ),
  *_section(
    *('two_stream', _TABLE),
    Setting('filter', False, 'Drops frames whose two labels disagree.'),
    Setting('pseudo_labels', False, 'Of expression by affect; and back.'),
  ),
  *_section(
    *('train', ('train',)),
    Setting('batch_size', 64, 'Rows a step, over all devices.', least=1),
    Setting('optimizer', 'adam', "Optax's of that name.", registry=_OPTIMIZERS),
    Setting(
      *('learning_rate', 5e-4, 'The largest, where it changes.'),
      above=0,
    ),
    Setting(
      *('backbone_learning_rate', 0.0, 'Of all but the heads; 0: the same.'),
      least=0,
    ),
    Setting(
      *('layer_decay', 1.0, "Of a block's rate, times the next one's."),
      above=0,
      most=1,
    ),
    Setting(
      *('weight_decay', 0.0, "Not of norms, biases; 0: the optimiser's own."),
      least=0,
    ),
    Setting(
      *('accumulate_steps', 1, 'Steps whose mean gradient is one update.'),
      least=1,
      most=100_000,
    ),
    Setting(
      *('schedule', 'constant', 'cosine: down to 0 at the end.'),
      choices=('constant', 'cosine'),
    ),
    Setting('warmup_steps', 0, 'The learning rate rises from 0.', least=0),
    Setting('clip_norm', 0.0, 'Largest norm of the gradient; 0: any.', least=0),
    Setting(
      *('ema_decay', 0.0, 'Evaluate a moving average of weights; 0: none.'),
      least=0,
      below=1,
    ),
    Setting('patience', 0, 'Validations without a best; 0: go on.', least=0),
    Setting(
      *('batch_norm_momentum', 0.9, 'Of the running statistics.'),
      least=0,
      below=1,
    ),
    Setting('eval_every_steps', 100, 'Steps between validations.', least=1),
  ),
  *_section(
    *('train', _MODEL),
    Setting(
      *('dtype', 'auto', 'Of arithmetic; auto: by device.'),
      choices=('auto', 'float32', 'bfloat16'),
    ),
  ),
  *_section(
    *('train', ()),
    Setting(
      *('num_steps', 0, 'Optimiser steps; 0: num_epochs decides.'),
      least=0,
      may_grow=True,
    ),
    Setting(
      *('num_epochs', 10.0, 'Passes over the training split.'),
      least=0,
      most=1e9,
    ),
    Setting('remat', False, 'Compute activations twice: less memory.'),
    Setting('log_every_steps', 10, 'Between lines of metrics.jsonl.', least=1),
    Setting('checkpoint_every_steps', 50, 'Between checkpoints.', least=1),
    Setting('keep_checkpoints', 2, 'The newest, beside the best.', least=1),
    Setting(
      *('num_workers', 2, 'Threads that make batches.'),
      least=1,
      most=most_processes,
    ),
    Setting(
      *('num_processes', 0, 'That augment for the threads; 0: they do.'),
      least=0,
      most=most_processes,
    ),
    Setting('tensorboard', False, 'Also write logs for TensorBoard.'),
    Setting(
      *('profile_steps', 0, 'Traced for a profiler, after the third.'),
      least=0,
      most=10_000,
    ),
  ),
  *_section(
    *('distill', ('distill',)),
    Setting(
      *('temperature', 1.5, 'Softens classes and bins: logits / it.'),
      above=0,
      most=1000,
    ),
    Setting(
      *('own', 0.6, "Share of the labels' loss; the rest is the teacher's."),
      least=0,
      most=1,
    ),
  ),
  *_section(
    *('distill', ('distill', 'evaluate')),
    Setting(
      *('students', 0, 'Networks that learn from the trained one.'),
      least=0,
      most=100,
      may_grow=True,
    ),
  ),
  *_section(
    *('distill', ()),
    Setting(
      *('num_steps', 0, "Of each student; 0: as many as train's."),
      least=0,
      may_grow=True,
    ),
  ),
  *_section(
    *('evaluate', ()),
    Setting('batch_size', 64, 'Images a step, over all devices.', least=1),
  ),
  *_section(
    *('controls', ('controls',)),
    Setting(
      *('methods', (), 'Trained beside it, at equal steps: none,random.'),
      choices=METHODS,
      listed=True,
      may_grow=True,
    ),
  ),
  *_section(
    *('ensemble', ('evaluate', 'predict', 'export')),
    Setting('runs', (), 'Folders of trained runs to average.', listed=True),
    Setting(
      *('mean', 'logits', 'Of what, over the runs.'),
      choices=('logits', 'probabilities'),
    ),
  ),
  *_section(
    *('distributed', ()),
    Setting(
      *('start', 'no', 'auto: SLURM, GKE, TPU pods; address: as below.'),
      choices=('no', 'auto', 'address'),
    ),
    Setting('address', '', 'host:port of process 0.'),
    Setting('num_processes', 0, 'In all.', least=0, most=100_000),
    Setting('process_id', 0, 'Of this one, from 0.', least=0, most=100_000),
  ),
  *_section(
    *('experiments', ()),
    Setting(
      *(
        'executor',
        'local',
        'Who does cells or parts: this machine, Dask, SLURM.',
      ),
      registry='aubal_jax.runs.executors:NAMES',
    ),
    Setting(
      *('address', '', 'dask: host:port; submitit: slurm or local.'),
    ),
    Setting(
      *('num_workers', 1, 'Processes of this machine; 0: one for each CPU.'),
      least=0,
      most=most_processes,
    ),
  ),
  *_section(
    *('search', ('search',)),
    Setting(
      *('losses', ('soft_f1', 'bce'), 'The grid: losses,'),
      registry=_LOSSES,
      listed=True,
    ),
    Setting(
      *('optimizers', ('adam',), 'optimisers,'),
      registry=_OPTIMIZERS,
      listed=True,
    ),
    Setting(
      *('learning_rates', (1e-4, 3e-4, 1e-3, 3e-3), 'learning rates,'),
      each=float,
      above=0,
      listed=True,
    ),
    Setting(
      *('batch_sizes', (64,), 'rows a step; all take equal steps,'),
      each=int,
      least=1,
      listed=True,
    ),
    Setting(
      *('inits', ('he_normal', 'torch_uniform'), 'first weights,'),
      registry=_INITS,
      listed=True,
    ),
    Setting(
      *('augment_rows', ('added',), 'and which rows are augmented.'),
      choices=_ROWS,
      listed=True,
    ),
    Setting(
      *('halving', 3, 'Of a rung 1/halving go on; 0: the full grid.'),
      least=0,
      most=1000,
    ),
    Setting(
      *('metric', 'map', 'Of validation; overall: of several targets.'),
      registry=_SCORES,
    ),
  ),
  *_section(
    *('compare', ('compare',)),
    Setting('seeds', 3, 'So many, from seed on.', least=1, may_grow=True),
    Setting('repeats', 5, 'Splits of tables.', least=1, may_grow=True),
    Setting('folds', 2, 'Of each. Images: data.num_folds.', least=2),
    Setting(
      *('num_steps', 0, "Optimiser steps; 0: train's, or the tables' own."),
      least=0,
    ),
    Setting(
      *('rates', (1.0, 4.0), 'Times the learning rate; best on validation.'),
      each=float,
      above=0,
      most=1e6,
      listed=True,
      may_grow=True,
      before=(1.0,),
    ),
  ),
  *_section(
    *('compare', ()),  # A cell bears these in its name.
    Setting('data', (), 'Tables, or synthetic; (): images.', listed=True),
    Setting(
      *('methods', ('none', 'random', 'aubal:l1'), 'METHOD, aubal:OBJECTIVE,'),
      listed=True,  # loss:NAME.
    ),
    Setting(
      *('fractions', (0.25,), "Rows to add or delete; 0: the method's own."),
      each=float,
      least=0,
      most=1_000_000,
      listed=True,
    ),
    Setting(
      *('shares', (0.25,), 'Of keep and its rivals: keep.share.'),
      each=float,
      above=0,
      most=1,
      listed=True,
    ),
    Setting(
      *('models', (), '(): all of tables, or model.name; yours as there.'),
      listed=True,
    ),
    Setting(
      *('augment_rows', ('all',), 'Images: of augment.rows, for every method.'),
      choices=_ROWS,
      listed=True,
    ),
    Setting(
      *('uppers', (10.0,), 'Of aubal: balance.upper.'),
      each=float,
      above=0,
      most=1e15,
      listed=True,
    ),
    Setting(
      *('diversities', ('none',), 'Of aubal: balance.diversity.'),
      choices=_DIVERSITIES,
      listed=True,
    ),
    Setting('keep_checkpoints', False, 'Those of finished cells, too.'),
  ),
  *_section(
    *('predict', ('predict',)),
    Setting(
      *('path', '', "Images, their folder or table, or a clip; '': the split."),
    ),
    Setting('also', (), 'More of them.'),
    Setting(
      *('split', 'test', "Of data.path, or the run's; where no path is given."),
      choices=('train', 'validation', 'test', 'dropped'),
    ),
    Setting(
      *('out', '', "The .csv or .parquet; '': predictions.csv of the run."),
    ),
    Setting(
      *(
        'form',
        '',
        'A row for each image, or each face of all frames; pyfeat: likewise, '
        "in its columns. '': faces, where there are clips or several inputs.",
      ),
      choices=('', 'images', 'faces', 'pyfeat'),
    ),
    Setting('every', '1', 'Of clips: so manieth frames; or seconds, 0.2s.'),
    Setting(
      *('detect_every', 5, 'Frames of a clip from one look for faces to next.'),
      least=1,
      most=10_000,
    ),
    Setting(
      *('smooth', -1, 'Frames of a centred mean, odd; 0: none; -1: as kept.'),
      least=-1,
      most=100_001,
    ),
    Setting(
      *('fps', 0.0, 'Above 0: folders of images are clips, of such a rate.'),
      least=0,
      most=100_000,
    ),
    Setting('batch_size', 64, 'Images a step, over all devices.', least=1),
    Setting(
      *('submission', '', 'Also a file for each video, or for all images.'),
      choices=_SUBMISSIONS,
    ),
  ),
  *_section(
    *('predict', ('predict', 'export')),
    Setting(
      *(
        'thresholds',
        'shrunk',
        "On validation: tuned, each label's own; shrunk: those drawn to one of "
        'all where positives are few; break_even: where precision is recall. '
        'half: .5.',
      ),
      choices=('shrunk', 'tuned', 'break_even', 'half'),
    ),
  ),
  *_section(
    *('export', ('export',)),
    Setting(
      *('format', 'onnx', 'onnx, stablehlo: all; safetensors: weights alone.'),
      choices=('onnx', 'stablehlo', 'safetensors'),
    ),
    Setting(
      *('names', 'own', 'Of arrays in safetensors: whose.'),
      choices=('own', 'torchvision', 'timm'),
    ),
    Setting('out', '', "The file to write; '': model.* in the run's folder."),
  ),
  *_section(
    *('inspect', ('inspect',)),
    Setting(
      *('images_per_label', 8, 'On the contact sheet.'),
      least=0,
      most=10_000,
    ),
    Setting('near_empty', 5, 'Counted: labelsets with fewer images.', least=0),
  ),
  *_section(
    *('optimizers', ('optimizers',)),
    Setting(
      *('variants', (), 'Of the solver; (): all.'),
      registry=_VARIANTS,
      listed=True,
    ),
    Setting('rivals', (), '(): installed; none: no one.', listed=True),
    Setting(
      *('max_seconds', 600.0, 'Longest for one of them.'),
      least=1,
      most=1e9,
    ),
  ),
  *_section(
    *('frontier', ('frontier',)),
    Setting(
      *('over', 'budget', 'What is varied: budget (images) or lam.'),
      choices=('budget', 'lam'),
    ),
    Setting('num_points', 30, 'Points that are solved.', least=2, most=10_000),
  ),
)

# Name -> setting, in their order.
SETTINGS = types.MappingProxyType({s.name: s for s in _DECLARED})
MAY_GROW = tuple(name for name, s in SETTINGS.items() if s.may_grow)
# Name -> what it is in a folder that did not know it.
DEFAULTS = types.MappingProxyType(
  {
    name: s.default if s.before is None else s.before
    for name, s in SETTINGS.items()
  }
)


def default() -> ml_collections.ConfigDict:
  """Returns the settings every file in configs/ starts from, locked."""
  config = ml_collections.ConfigDict()
  for name, setting in SETTINGS.items():
    section, _, key = name.rpartition('.')
    if section and section not in config:
      config[section] = ml_collections.ConfigDict()
    (config[section] if section else config)[key] = setting.default
  return config.lock()


def is_given(name: str) -> bool:
  """Whether the command line gives a setting a value; for files in configs/."""
  flag = f'config.{name}'
  return any(
    argument.lstrip('-').partition('=')[0] == flag for argument in sys.argv[1:]
  )


def check(config) -> None:
  """Checks every setting by its declaration, before any work.

  Raises:
    UserError: names the setting, its rule, the value and the nearest right one.
  """
  if not isinstance(config, ml_collections.ConfigDict):
    raise errors.UserError(
      'get_config() must return a ConfigDict; begin with settings.default().'
    )
  flat = flatten(config.to_dict())
  for name in flat:
    find(name)
  for name, setting in SETTINGS.items():
    if name not in flat:
      raise errors.UserError(
        f'The configuration lacks {name}; begin with settings.default().'
      )
    setting.check(flat[name])
  stages = TASKS[config.task]
  for name, setting in SETTINGS.items():
    if setting.registry and {*stages} & {*setting.read_by}:
      setting.check(flat[name], look_up=True)
  _check_together(config)


def find(name: str) -> Setting:
  """Returns the setting of that name; raises UserError with the nearest one."""
  if name not in SETTINGS:
    raise errors.UserError(f'{name} is no setting.{_nearest(name)}')
  return SETTINGS[name]


def _nearest(name: str) -> str:
  """Returns ' Did you mean ...?' with the nearest name of a setting, or ''."""
  section, _, key = name.rpartition('.')
  leaves = {n.rpartition('.')[2]: n for n in SETTINGS}
  leaves |= {n.partition('.')[2]: n for n in SETTINGS if n.startswith(section)}
  short = [k for k in leaves if ''.join(w[:1] for w in k.split('_')) == key]
  near = short or difflib.get_close_matches(key, leaves, 1)
  return f' Did you mean {leaves[near[0]]!r}?' if near else ''


def tell_assignment(error: Exception) -> str:
  """Returns in words what a configuration file did wrong.

  Args:
    error: that it raised; ConfigDict's name a field without its section.
  """
  text = str(error.args[0] if error.args else error).strip('\'"')
  field = re.match(r"""(?:Could not override field|Key) ['"](\w+)['"]""", text)
  if not field:
    return f'{type(error).__name__}: {text}'
  key = field.group(1)
  rules = [
    f'{name} must be {setting.rule()}'
    for name, setting in SETTINGS.items()
    if name.rpartition('.')[2] == key
  ]
  if rules and not text.startswith('Key'):
    given = text.partition('). ')[2].partition(' is of ')[0]
    return f'{", or ".join(rules)}; it is {given!r}, another type.'
  return f'{key!r} is no setting there.{_nearest(key)}'


def _check_together(config) -> None:
  """Raises UserError for settings that do not go together."""
  if config.balance.redraw_each_epoch:
    from aubal_jax import resampling

    samplers = [m for m in METHODS if resampling.takes(m, 'num_epochs')]
    if config.balance.method not in samplers:
      raise errors.UserError(
        f'balance.redraw_each_epoch is for {samplers}, which '
        f'draw rows by weight; balance.method is {config.balance.method!r}.'
      )
  _check_tables(config)
  _check_features(config)
  _check_tuning(config)
  if config.augment.policy and config.augment.backend == 'device':
    raise errors.UserError(
      'augment.policy is made on the host: augment.backend must be '
      "albumentations with it; it is 'device'."
    )
  _check_strength(config)
  if not config.train.num_steps and not config.train.num_epochs:
    raise errors.UserError(
      'train.num_epochs must be above 0 where train.num_steps is 0; it is '
      f'{config.train.num_epochs}.'
    )
  if config.model.name != 'features':
    _check_memory(config)


def _check_strength(config) -> None:
  """Raises UserError where a strength is of augmentations that are not made."""
  for name in ('augment.strength', 'augment.growth_exponent'):
    given = value(config, name)
    if config.augment.policy and given != SETTINGS[name].default:
      raise errors.UserError(
        f'{name} must be {SETTINGS[name].default:g} with augment.policy, whose '
        f'pipeline says itself how strong it is; it is {given:g}.'
      )


def _check_memory(config) -> None:
  """Raises UserError for images that no memory of this machine holds."""
  image = config.data.image_size**2 * config.data.channels
  drawn = config.data.num_train + config.data.num_validation
  drawn = image * (drawn + config.data.num_test)
  needs = {
    f'{section}.batch_size': 4 * image * config[section].batch_size
    for section in ('train', 'evaluate', 'predict')
  }
  if config.data.name == 'synthetic':
    needs['data.num_train, num_validation and num_test'] = drawn
  for name, needed in needs.items():
    if needed > memory_bytes():
      raise errors.UserError(
        f'{name}: so many images of {config.data.image_size} pixels take '
        f'{needed / 1e9:,.0f} GB, and this machine has '
        f'{memory_bytes() / 1e9:,.0f} GB; take fewer, or smaller ones.'
      )


def _check_tuning(config) -> None:
  """Raises UserError where a decay of weights has no optimiser that has it."""
  decaying = ('adamw', 'lion', 'nesterov', 'sgd')
  if config.train.weight_decay and config.train.optimizer not in decaying:
    raise errors.UserError(
      f'train.weight_decay is for train.optimizer={"|".join(decaying)}; it is '
      f'{config.train.optimizer!r}: take adamw, which is adam with it.'
    )


# Of tables alone.
_OF_TABLES = (
  *('validation_path', 'test_path', 'feature_columns', 'label_column'),
  *('separator', 'none_names', 'least_votes', 'threshold'),
  *('present_codes', 'absent_codes'),
  *('class_columns', 'real_columns', 'target_unknown'),
)


def _check_tables(config) -> None:
  """Raises UserError for settings of tables where no table is read."""
  if config.data.name in ('manifest', 'labels') or config.compare.data:
    return
  for name in (f'data.{key}' for key in _OF_TABLES):
    given = value(config, name)
    if given != SETTINGS[name].default:
      raise errors.UserError(
        f'{name} is for tables (data.name=manifest or labels); it is '
        f'{given!r}, and data.name is {config.data.name!r}.'
      )


# Of images alone.
_OF_IMAGES = (
  *('data.crop', 'data.normalise', 'data.mean', 'data.std'),
  *('augment.policy', 'augment.backend'),
  *('augment.strength', 'augment.growth_exponent'),
)


def _check_features(config) -> None:
  """Raises UserError for what is of images where the network sees none."""
  name, hidden = config.model.name, values(config, 'model.hidden')
  if hidden and name != 'features' and ':' not in name:
    raise errors.UserError(
      'model.hidden must be () unless model.name is features or a module of '
      f'yours; it is {hidden}, and model.name is {name!r}.'
    )
  if name != 'features' or config.compare.data:
    # Of what is predicted the checkpoint tells the network.
    if config.multitask.features_of and config.task != 'predict':
      raise errors.UserError(
        'multitask.features_of is for model.name=features, which sees what '
        f'that run says of a row; model.name is {name!r}.'
      )
    return
  if config.multitask.features_of:
    return
  if config.data.name not in ('manifest', 'labels', 'synthetic_table'):
    raise errors.UserError(
      'model.name=features is for tables (data.name=labels, manifest or '
      f'synthetic_table); data.name is {config.data.name!r}.'
    )
  for name in _OF_IMAGES:
    given = value(config, name)
    if given != SETTINGS[name].default:
      raise errors.UserError(
        f'{name} is of images, and model.name=features sees none; it is '
        f'{given!r}: leave it as {SETTINGS[name].default!r}.'
      )


def value(config, name: str):
  """Returns what a setting holds; of a tuple see `values`."""
  if isinstance(SETTINGS[name].default, tuple):
    return values(config, name)
  section, _, key = name.rpartition('.')
  return (config[section] if section else config)[key]


def values(config, name: str) -> tuple:
  """Returns what a setting of several values holds, each of its type.

  Args:
    config: the configuration.
    name: of the setting; of a `listed` one the text 'a,b' is two values.
  """
  section, _, key = name.rpartition('.')
  return SETTINGS[name].values(config[section][key])


def arguments(section, names: Iterable[str]) -> dict:
  """Returns those settings of a section that are called like arguments.

  Args:
    section: such as `config.balance`.
    names: of the arguments.
  """
  return {name: section[name] for name in names if name in section}


def reads(task: str, setting: Setting) -> bool:
  """Whether a task reads a setting; one that pins nothing is of its section."""
  stages = {*TASKS[task]}
  if setting.read_by:
    return bool(stages & {*setting.read_by})
  section = setting.name.rpartition('.')[0]
  if section == 'experiments':
    return task in OF_CELLS
  return section in ('', 'data', 'distributed', task, *stages)


def read_by(stage: str) -> tuple[str, ...]:
  """Returns the names of the settings that a stage's result depends on."""
  return tuple(n for n, s in SETTINGS.items() if stage in s.read_by)


def take_data(config, held: dict) -> None:
  """Sets what of its data set, and `seed`, `config` leaves as by default.

  Args:
    config: the configuration; its data.name is replaced in any case.
    held: setting -> value, of a configuration that was written as JSON.

  Raises:
    UserError: a value is none of its setting.
  """
  now = flatten(config.to_dict())
  defaults = flatten(default().to_dict())
  for name, value in held.items():
    section, _, key = name.rpartition('.')
    is_of_data = name == 'seed' or section in ('data', 'two_stream', *SETS)
    is_given = name != 'data.name' and now.get(name) != defaults.get(name)
    if not is_of_data or is_given or name not in now:
      continue
    is_several = isinstance(SETTINGS[name].default, tuple)
    value = tuple(value) if is_several and isinstance(value, list) else value
    SETTINGS[name].check(value)
    (config[section] if section else config)[key] = value


def flatten(tree: dict, prefix: str = '') -> dict:
  """Returns {'a.b': value} of a nested configuration; tuples as lists."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat |= flatten(value, f'{prefix}{name}.')
    else:
      flat[prefix + name] = list(value) if isinstance(value, tuple) else value
  return flat
