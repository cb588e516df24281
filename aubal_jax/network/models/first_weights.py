"""What weights are before the first step: draws, by name.

Batch norm begins with scale 1 and shift 0, and every bias at 0, whatever the
draw: convolutions have none here, and that of a head decides nothing yet.
"""

import types

from flax import linen as nn

# name -> draw(key, shape, dtype) of the kernels of convolutions and of heads.
# A kernel's fan_in is how many inputs an output has: h w C of one [h, w, C, F],
# C of one [C, F].
INITS = types.MappingProxyType(
  {
    # Normal, cut off at two deviations, of variance 2 / fan_in (He et al. 2015,
    # arXiv 1502.01852).
    'he_normal': nn.initializers.he_normal(),
    # Uniform in (-1 / sqrt(fan_in), 1 / sqrt(fan_in)), as PyTorch begins both:
    # the variance, 1 / (3 fan_in), is a sixth of the other. So a head is small:
    # F features of mean square 1 give logits of standard deviation 0.58, and
    # probabilities near 1/2, where the normal one gives 1.41.
    'torch_uniform': nn.initializers.variance_scaling(
      1 / 3, 'fan_in', 'uniform'
    ),
  }
)
