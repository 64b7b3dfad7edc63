"""Folds of training rows."""

import numpy as np
import polars as pl
import pytest

from training.models.demand.training_rows import assign_folds


@pytest.mark.parametrize("weeks", [1, 2, 3, 4, 9, 60])
def test_each_member_learns_from_some_rows_however_few_weeks_there_are(weeks):
    days = (17_000 + 7 * np.arange(weeks)).astype(np.int32)
    folds = assign_folds(pl.DataFrame({"day": np.tile(days, 2)}), 2, 7)
    assert set(folds.tolist()) == {0, 1}
