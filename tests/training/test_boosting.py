import numpy as np
import polars as pl

from training.estimators.boosting import Booster

PARAMS = {"objective": "binary", "min_data_in_leaf": 5, "num_leaves": 4}


def ages(rng):
    return pl.Series("age", rng.choice(["19-24", "25-34", "65+", "under 15", "unsaid"], 400))


def test_words_are_ordered_by_the_first_number_in_them():
    label = np.random.default_rng(0).integers(0, 2, 400)
    booster = Booster.fit(ages(np.random.default_rng(1)).to_frame(), label, PARAMS, 3)
    assert booster.categories["age"] == ("under 15", "19-24", "25-34", "65+", "unsaid")


def test_a_word_that_was_not_learnt_from_is_missing(tmp_path):
    rng = np.random.default_rng(2)
    words = ages(rng)
    label = (words == "65+").to_numpy() ^ (rng.random(400) < 0.1)
    Booster.fit(words.to_frame(), label, PARAMS, 20).save(tmp_path / "booster")
    booster = Booster.load(tmp_path / "booster")
    asked = pl.DataFrame({"age": ["65+", "new word", None, "19-24"]})
    old, new, missing, young = booster.predict(asked)
    assert new == missing
    assert old > 0.7 > 0.3 > young
