"""The facial action units (AUs) the paper detects, in its order.

Source: Ekman and Friesen, Facial Action Coding System (1978), for the names;
Rieger, Pahl, Seuss (FG 2020, arXiv 2003.08751) for the choice and the order.
"""

import types

NAMES = types.MappingProxyType(
  {
    'AU01': 'inner brow raiser',
    'AU02': 'outer brow raiser',
    'AU04': 'brow lowerer',
    'AU06': 'cheek raiser',
    'AU12': 'lip corner puller',
    'AU15': 'lip corner depressor',
    'AU20': 'lip stretcher',
    'AU25': 'lips part',
  }
)

CODES = tuple(NAMES)
