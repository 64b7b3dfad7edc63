"""How much each past period counts: whole-number weights by lag, shared by demand features.

Weights and shares enter sums as whole numbers: such sums do not depend on the order of rows.
"""

import narwhals as nw
import polars as pl

from features.grain import Grain
from features.series import Frame

# Sales older than this say little about the weeks ahead.
LOOKBACK_DAYS = 364
# What stands for one in sums of whole numbers.
WHOLE = 1 << 20
# Weight of the newest period in each exponentially weighted mean.
DECAYS = {
    "day": {"fast": 0.2, "middle": 0.07, "slow": 0.02},
    "week": {"fast": 0.5, "middle": 0.2, "slow": 0.08},
}


def lag_weights(grain: Grain) -> Frame:
    """Whole-number weight of each lag in each exponentially weighted mean."""
    lags = range(1, LOOKBACK_DAYS // grain.days + 1)
    columns = {
        f"weight_{name}": [round(WHOLE * (1 - decay) ** (lag - 1)) for lag in lags]
        for name, decay in DECAYS[grain.freq].items()
    }
    return nw.from_native(pl.LazyFrame({"lag": lags, **columns}))


def weight_sums(grain: Grain, frame: Frame) -> Frame:
    """Sum the weights of the periods since the first sale, by age."""
    longest = LOOKBACK_DAYS // grain.days
    weights = lag_weights(grain).collect().to_polars().select(pl.exclude("lag").cum_sum())
    ages = frame.select("age").unique().collect().to_polars()
    seen = ages.with_columns(row=pl.min_horizontal("age", longest).cast(pl.UInt32) - 1)
    sums = weights.rename(lambda c: c.replace("weight_", "all_")).with_row_index("row")
    return nw.from_native(seen.join(sums, on="row").drop("row").lazy())
