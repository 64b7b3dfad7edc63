"""Response to planned prices of a model that was fitted without prices.

Features in, factors of the forecasts out. Without a table of prices, prices before an origin
are known from the records and later ones are not, so that trees cannot learn from planned prices.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.typing import Floats

# Bounds of a factor: no data set tells more about one product.
_BOUNDS = (0.2, 5.0)
_COLUMNS = ("price_relative", "price_last", "price_effect")


def price_response(frame: pl.DataFrame, fitted: Sequence[str]) -> Floats:
    """Return the factor of each row: the ratio of planned to last price, to the elasticity.

    The elasticity is that of the series' own past, shrunk towards none (`plan_features`); demand
    never rises with the price. The factor is 1 without prices and for a model fitted on prices.

    Parameters
    ----------
    frame
        Features of series and target periods.
    fitted
        Features that the model was fitted on.
    """
    if not set(_COLUMNS) <= set(frame.columns) or "price_relative" in fitted:
        return np.ones(frame.height)
    planned, last, effect = (frame.get_column(name).to_numpy() for name in _COLUMNS)
    with np.errstate(divide="ignore"):
        # Features are exponentials of logarithms: without the rounding an unchanged price would
        # move forecasts by a rounding error.
        change = np.round(np.log(planned) - last, 6)
    logs = np.nan_to_num(np.minimum(effect, 0.0) * change)
    factors: Floats = np.clip(np.exp(logs), *_BOUNDS)
    return factors
