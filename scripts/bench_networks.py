"""The network of the paper, ours and as people write it, for benches."""

import numpy as np

LABELS = 8


def make_batch(size, side):
  """Returns a batch as the pipeline makes it."""
  rng = np.random.default_rng(0)
  return {
    'image': rng.integers(0, 256, (size, side, side, 1), np.uint8),
    'labels': rng.integers(0, 2, (size, LABELS), np.uint8),
    'labels_known': np.ones((size, LABELS), bool),
  }


def make_ours(model_name, optimizer=('adam', 1e-4), options=None, **of_step):
  """Returns heads, model, optimizer and step as the trainer makes them.

  Args:
    model_name: of the network.
    optimizer: its name and learning rate.
    options: of `make_model`.
    **of_step: of `make_train_step`.
  """
  from aubal_jax.network import heads as heads_lib
  from aubal_jax.network import losses
  from aubal_jax.network import models
  from aubal_jax.network import optimizer as optimizer_lib
  from aubal_jax.network import step as step_lib

  names, loss = tuple(map(str, range(LABELS))), losses.make_loss('soft_f1')
  heads = [heads_lib.Head('labels', 'binary', names, 'soft_f1')]
  model = models.make_model(
    model_name,
    {'labels': LABELS},
    axis_name=step_lib.AXIS_NAME,
    **(options or {}),
  )
  optimizer = optimizer_lib.make_optimizer(*optimizer)
  objective = heads_lib.make_objective(heads, {'labels': loss})
  step = step_lib.make_train_step(model, optimizer, objective, **of_step)
  return heads, model, optimizer, step


def ours(model_name, side):
  """Returns kind, batch -> function that does it once, as the trainer does."""
  del side
  import jax

  from aubal_jax.network import inference
  from aubal_jax.network import step as step_lib

  heads, model, optimizer, step = make_ours(model_name)
  key = jax.random.key(0)

  def make(kind, batch):
    streams = {'image': batch['image']}
    state = step_lib.create_state(
      model, optimizer, key, {'image': batch['image'][:1]}
    )
    if kind == 'inference':
      predict = inference.make_predict(model, heads)
      run = predict(state.params, state.batch_stats)
      return lambda: np.asarray(run(streams)['labels'])
    state = step.place(state)

    def once():
      nonlocal state
      state, metrics = step.run(state, step.shard(batch))
      jax.device_get(metrics)

    return once

  return make


def linen(model_name, side):
  """The same as `ours`, as one writes it without thinking of speed."""
  import jax
  import jax.numpy as jnp
  import optax
  from flax import linen as nn

  from aubal_jax.network import models

  # Sizes alone are taken of it.
  like = models.make_model(model_name, {'labels': LABELS}).trunk

  class Block(nn.Module):
    filters: int
    stride: int

    @nn.compact
    def __call__(self, x, train):
      def conv(size, stride):
        return nn.Conv(
          self.filters,
          (size, size),
          (stride, stride),
          size // 2,
          use_bias=False,
        )

      def norm():
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)

      y = nn.relu(norm()(conv(3, self.stride)(x)))
      y = norm()(conv(3, 1)(y))
      if x.shape[-1] != self.filters:
        x = norm()(conv(1, self.stride)(x))
      return nn.relu(x + y)

  class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      x = x.astype(jnp.float32) / 255
      x = nn.Conv(like.width, (7, 7), (2, 2), 3, use_bias=False)(x)
      x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
      x = nn.max_pool(nn.relu(x), (3, 3), (2, 2), ((1, 1), (1, 1)))
      for stage, blocks in enumerate(like.stage_sizes):
        for block in range(blocks):
          stride = 2 if stage and not block else 1
          x = Block(like.width * 2**stage, stride)(x, train)
      return nn.Dense(LABELS)(x.mean((1, 2)))

  model, optimizer = ResNet(), optax.adam(1e-4)

  def step(variables, opt_state, batch):
    def loss_of(params):
      logits, updated = model.apply(
        {**variables, 'params': params},
        batch['image'],
        True,
        mutable=['batch_stats'],
      )
      p, y = jax.nn.sigmoid(logits), batch['labels'].astype(jnp.float32)
      f1 = 2 * (p * y).sum(0) / ((p + y).sum(0) + 1e-7)
      return 1 - f1.mean(), updated

    grad_fn = jax.value_and_grad(loss_of, has_aux=True)
    (loss, updated), gradient = grad_fn(variables['params'])
    updates, opt_state = optimizer.update(gradient, opt_state)
    params = optax.apply_updates(variables['params'], updates)
    return {**updated, 'params': params}, opt_state, loss

  step = jax.jit(step, donate_argnums=(0, 1))
  predict = jax.jit(
    lambda variables, x: jax.nn.sigmoid(model.apply(variables, x, False))
  )

  def make(kind, batch):
    images = jnp.zeros((1, side, side, 1), jnp.uint8)
    variables = jax.jit(model.init, static_argnums=2)(
      jax.random.key(0), images, False
    )
    opt_state = optimizer.init(variables['params'])
    if kind == 'inference':
      return lambda: np.asarray(predict(variables, batch['image']))

    def once():
      nonlocal variables, opt_state
      variables, opt_state, loss = step(variables, opt_state, batch)
      float(loss)

    return once

  return make


def torch_network(model_name):
  """Returns the network in PyTorch, its memory channels_last."""
  import torch
  from torch import nn

  from aubal_jax.network import models

  like = models.make_model(model_name, {'labels': LABELS}).trunk

  def conv_norm(inputs, filters, size, stride):
    conv = nn.Conv2d(inputs, filters, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(filters))

  class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
      super().__init__()
      self.first = conv_norm(inputs, filters, 3, stride)
      self.second = conv_norm(filters, filters, 3, 1)
      self.shortcut = nn.Identity()
      if inputs != filters:
        self.shortcut = conv_norm(inputs, filters, 1, stride)

    def forward(self, x):
      y = self.second(self.first(x).relu_())
      return (y + self.shortcut(x)).relu_()

  width = like.width
  layers = [conv_norm(1, width, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
  inputs = width
  for stage, blocks in enumerate(like.stage_sizes):
    for block in range(blocks):
      filters, stride = width * 2**stage, 2 if stage and not block else 1
      layers.append(Block(inputs, filters, stride))
      inputs = filters
  layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, LABELS)]
  return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def torch_loss(probabilities, labels):
  """Returns 1 - the mean of soft F1 over labels."""
  p, y = probabilities, labels.float()
  return 1 - (2 * (p * y).sum(0) / ((p + y).sum(0) + 1e-7)).mean()


def torch_on(model_name, device, batch):
  """Returns a function that does a compiled step in bfloat16 on a device."""
  import torch

  model = torch_network(model_name).to(device)
  optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
  images, labels = (
    torch.from_numpy(batch[name]).to(device) for name in ('image', 'labels')
  )

  def loss_of(images, labels):
    with torch.autocast(device, torch.bfloat16):
      x = images.permute(0, 3, 1, 2).float().div_(255)
      x = x.contiguous(memory_format=torch.channels_last)
      p = model(x).float().sigmoid()
    return torch_loss(p, labels)

  loss_of = torch.compile(loss_of)
  model.train()

  def once():
    loss = loss_of(images, labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()

  return once


def torch(model_name, side):
  """The same as `linen`, in PyTorch."""
  del side
  import torch

  model = torch_network(model_name)
  optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

  def forward(batch):
    x = torch.from_numpy(batch['image']).permute(0, 3, 1, 2).float().div_(255)
    return model(x.contiguous(memory_format=torch.channels_last)).sigmoid()

  def train_once(batch):
    model.train()
    loss = torch_loss(forward(batch), torch.from_numpy(batch['labels']))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    loss.item()

  def infer_once(batch):
    model.eval()
    with torch.inference_mode():
      forward(batch).numpy()

  def make(kind, batch):
    once = infer_once if kind == 'inference' else train_once
    return lambda: once(batch)

  return make
