"""Conversion of the metrics' arguments to arrays of doubles."""

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Floats


def as_floats(values: ArrayLike) -> Floats:
    """Return the values as a float64 array."""
    return np.asarray(values, dtype=np.float64)
