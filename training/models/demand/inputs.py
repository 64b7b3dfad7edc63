"""What the members of a demand model read of their features.

Features of past origins in, the columns of one booster and the level that it starts from out.
"""

import numpy as np
import polars as pl

from features.demand.builder import PREFIXES
from features.demand.grain import Grain
from features.typing import Floats

# A category among hundreds, or a price, is learned by heart; a trend or a change is not.
_NOT_READ = ("level_now", "group_category", "price_planned")


def inputs(frame: pl.DataFrame) -> list[str]:
    """Name the columns that members may read."""
    return [c for c in frame.columns if c.startswith(PREFIXES) and c not in _NOT_READ]


def unread(grain: Grain, member: int) -> tuple[str, ...]:
    """Name the features that one member does without.

    What one product sold a year ago is as often noise as season: every second member goes by
    what its groups sold then.
    """
    return ("season_year_own",) if member % 2 and "product_id" in grain.keys else ()


def usual_units(frame: pl.DataFrame) -> Floats:
    """Units that each row would sell if the period were like the last ones."""
    level, habit = (frame.get_column(c).to_numpy() for c in ("level_now", "habit_now"))
    found: Floats = level * np.maximum(habit, 0.02)
    return found
