"""Features of rows: where neighbours and clusters are looked for."""

from __future__ import annotations

from aubal_jax.runs import errors


def find_features(inputs, rows):
  """Returns float32[R, F], as `balance.features` says, standardised.

  Args:
    inputs: the `Inputs`.
    rows: int[R], rows of the table.

  Raises:
    UserError: the table has no features, or there are no images.
  """
  from aubal_jax.media import embedding

  if inputs.config.balance.features == 'pixels':
    if inputs.dataset.load_images is None:
      raise errors.UserError(
        'balance.features=pixels, but this data set has no images; take the '
        'features of its table: --config.balance.features=table'
      )
    # One host alone asks, so the images cannot be opened for all of them.
    return embedding.pixels(inputs.some_images, rows)
  if inputs.dataset.features is None:
    images = inputs.dataset.load_images is not None
    raise errors.UserError(
      'balance.features=table, but this data set has no features; '
      + (
        'take those of its images: --config.balance.features=pixels'
        if images
        else "save them as 'features' [N, F] beside 'labels' in an .npz."
      )
    )
  return embedding.standardise(inputs.dataset.features[rows])
