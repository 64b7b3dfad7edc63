"""The distribution around a mean forecast."""

import numpy as np
import polars as pl

from training.models.demand.distribution import CalibratedDistribution
from training.models.demand.quantiles import LEVELS


def test_the_mean_is_between_the_outer_deciles_where_nearly_all_outcomes_are_zero():
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.2, 0.4, 4_000)
    units = np.where(rng.random(len(mean)) < 0.01, 30.0, 0.0)
    features = pl.DataFrame({"level_log": np.log(mean), "season_step": np.arange(len(mean)) % 8})
    fitted = CalibratedDistribution.fit(features, mean, units, seed=0, threads=1)
    quantiles = fitted.predict(features, mean, LEVELS)
    assert (quantiles[:, LEVELS.index(0.1)] <= mean).all()
    assert (quantiles[:, LEVELS.index(0.9)] >= mean).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()
