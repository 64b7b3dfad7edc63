"""What is added for a product that more people take than any that trees learned from."""

import numpy as np
import polars as pl
import pytest

from training.models.recommender.ranking.extrapolation import (
    EXTRAPOLATED_FEATURE,
    LinearExtrapolation,
)


def features(*takers: float) -> pl.DataFrame:
    return pl.DataFrame({EXTRAPOLATED_FEATURE: np.array(takers, np.float32)})


def test_up_to_the_largest_value_learned_from_nothing_is_added():
    learned = LinearExtrapolation.fit(features(0.0, 20.0, np.nan, 80.0))
    assert learned.log_odds(features(0.0, 20.0, 80.0, np.nan)).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_beyond_it_log_odds_grow_with_the_log():
    learned = LinearExtrapolation.fit(features(10.0, 80.0))
    assert learned.log_odds(features(160.0, 480.0)).tolist() == pytest.approx(
        [np.log(2), np.log(6)]
    )


def test_where_nothing_was_learned_nothing_is_added():
    assert LinearExtrapolation.fit(features()).log_odds(features(5.0)).tolist() == [0.0]
    assert LinearExtrapolation.fit(features(0.0, np.nan)).log_odds(features(5.0)).tolist() == [0.0]
