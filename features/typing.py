"""Shared types of signatures: arrays by element type, and lazy frames of any engine."""

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bools = NDArray[np.bool_]
Frame = nw.LazyFrame[Any]
