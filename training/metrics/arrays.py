"""The one shape in which measures take their numbers."""

import numpy as np
from numpy.typing import ArrayLike

from features.typing import Floats


def as_floats(values: ArrayLike) -> Floats:
    """Return the values as an array of doubles."""
    return np.asarray(values, dtype=np.float64)
