"""Boosted trees on text columns, and flat options."""

from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl
import pytest

from training.contract import model_with_options, options_of
from training.estimators.boosting import Booster, BoostingOptions

PARAMS = {"objective": "binary", "min_data_in_leaf": 5, "num_leaves": 4}


def ages(rng):
    return pl.Series("age", rng.choice(["19-24", "25-34", "65+", "under 15", "unknown"], 400))


def test_texts_are_ordered_by_the_first_number_in_them():
    label = np.random.default_rng(0).integers(0, 2, 400)
    booster = Booster.fit(ages(np.random.default_rng(1)).to_frame(), label, PARAMS, 3)
    assert booster.categories["age"] == ("under 15", "19-24", "25-34", "65+", "unknown")


def test_an_unknown_level_is_treated_as_missing(tmp_path):
    rng = np.random.default_rng(2)
    column = ages(rng)
    label = (column == "65+").to_numpy() ^ (rng.random(400) < 0.1)
    Booster.fit(column.to_frame(), label, PARAMS, 20).save(tmp_path / "booster")
    booster = Booster.load(tmp_path / "booster")
    rows = pl.DataFrame({"age": ["65+", "unknown level", None, "19-24"]})
    old, unknown, missing, young = booster.predict(rows)
    assert unknown == missing
    assert old > 0.7 > 0.3 > young


TREES = BoostingOptions(
    learning_rate=0.1, num_leaves=4, min_data_in_leaf=5, feature_fraction=0.5, lambda_l2=1.0
)


@dataclass
class Model:
    """A model with an option of its own and those of trees."""

    rounds: int = 10
    trees: BoostingOptions = TREES


def test_options_of_trees_are_flat_outside_a_model():
    options = {"rounds": 3, "num_leaves": 9, "lambda_l2": 2.0}
    model = model_with_options(Model, options)
    assert model == Model(3, replace(TREES, num_leaves=9, lambda_l2=2.0))
    assert options_of(model) == {"rounds": 3, **asdict(model.trees)}
    assert model_with_options(Model, options_of(model)) == model


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="depth"):
        model_with_options(Model, {"depth": 3})
