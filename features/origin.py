"""What is known of the series of a panel at one instant; read by parts of the demand features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.demand.panel import Panel
from features.typing import Floats


@dataclass(frozen=True)
class Origin:
    """What is known of each series of a panel at one instant.

    Attributes
    ----------
    panel, at
        The series, and the column of the instant: nothing sold from it on is read.
    rows
        The series that are described: rows of the panel, ascending.
    units, open
        Their last year: thousandths of units, share of each period in which they could sell.
    level
        Units a period.
    """

    panel: Panel
    at: int
    rows: NDArray[np.int64]
    units: Floats
    open: Floats
    level: Floats
