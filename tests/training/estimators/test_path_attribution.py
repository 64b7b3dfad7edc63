"""Contributions along the paths of trees."""

import numpy as np
import polars as pl
import pytest

from training.estimators.boosting import Booster


@pytest.fixture(scope="module")
def features():
    generator = np.random.default_rng(5)
    columns = {name: generator.normal(size=600) for name in ("strong", "weak", "unused")}
    columns["location"] = generator.choice(["a", "b", "c"], size=600)
    return pl.DataFrame(columns).with_columns(
        pl.when(pl.col("strong") > 1).then(None).otherwise("strong").alias("strong")
    )


@pytest.fixture(scope="module")
def booster(features):
    strong = features.get_column("strong").fill_null(2.0).to_numpy()
    signal = 3 * strong + features.get_column("weak").to_numpy()
    signal += 2 * (features.get_column("location") == "b").to_numpy()
    label = (signal > 1).astype(float)
    params = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 10}
    return Booster.fit(features, label, params, 40, categorical=["location"])


def test_contributions_sum_to_the_raw_score(booster, features):
    parts = booster.path_contributions(features).to_numpy()
    raw = booster.predict(features, raw_score=True)
    np.testing.assert_allclose(parts.sum(axis=1), raw, atol=1e-9)


def test_contributions_are_largest_for_the_strongest_feature(booster, features):
    size = booster.path_contributions(features).drop("base").select(pl.all().abs().mean())
    assert size.item(0, "strong") == max(size.row(0))
    assert size.item(0, "unused") < size.item(0, "weak")


def test_contributions_correlate_with_tree_shap(booster, features):
    paths = booster.path_contributions(features).get_column("strong").to_numpy()
    shap = booster.contributions(features).get_column("strong").to_numpy()
    assert np.corrcoef(paths, shap)[0, 1] > 0.95


def test_contributions_of_a_row_do_not_depend_on_other_rows(booster, features):
    many = booster.path_contributions(features)
    assert booster.path_contributions(features[7:8]).row(0) == many.row(7)


def test_without_rows_there_are_no_contributions(booster, features):
    assert booster.path_contributions(features.clear()).columns[-1] == "base"


def test_a_loaded_booster_gives_the_same_contributions(booster, features, tmp_path):
    booster.save(tmp_path / "b")
    loaded = Booster.load(tmp_path / "b")
    expected = booster.path_contributions(features).to_numpy()
    np.testing.assert_allclose(loaded.path_contributions(features).to_numpy(), expected, atol=1e-9)
