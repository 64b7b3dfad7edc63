import numpy as np
import polars as pl
import pytest

from training.estimators.boosting import Booster


@pytest.fixture(scope="module")
def features():
    generator = np.random.default_rng(5)
    columns = {name: generator.normal(size=600) for name in ("loud", "quiet", "unused")}
    columns["place"] = generator.choice(["a", "b", "c"], size=600)
    return pl.DataFrame(columns).with_columns(
        pl.when(pl.col("loud") > 1).then(None).otherwise("loud").alias("loud")
    )


@pytest.fixture(scope="module")
def booster(features):
    loud = features.get_column("loud").fill_null(2.0).to_numpy()
    signal = 3 * loud + features.get_column("quiet").to_numpy()
    signal += 2 * (features.get_column("place") == "b").to_numpy()
    label = (signal > 1).astype(float)
    params = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 10}
    return Booster.fit(features, label, params, 40, categorical=["place"])


def test_the_parts_of_a_row_add_up_to_its_raw_score(booster, features):
    parts = booster.path_contributions(features).to_numpy()
    raw = booster.predict(features, raw_score=True)
    np.testing.assert_allclose(parts.sum(axis=1), raw, atol=1e-9)


def test_what_no_tree_splits_on_moves_nothing_and_what_matters_most_moves_most(booster, features):
    moved = booster.path_contributions(features).drop("base").select(pl.all().abs().mean())
    assert moved.item(0, "loud") == max(moved.row(0))
    assert moved.item(0, "unused") < moved.item(0, "quiet")


def test_parts_point_where_tree_shap_points(booster, features):
    paths = booster.path_contributions(features).get_column("loud").to_numpy()
    shap = booster.contributions(features).get_column("loud").to_numpy()
    assert np.corrcoef(paths, shap)[0, 1] > 0.95


def test_one_row_alone_has_the_parts_that_it_has_among_many(booster, features):
    many = booster.path_contributions(features)
    assert booster.path_contributions(features[7:8]).row(0) == many.row(7)


def test_no_rows_have_no_parts(booster, features):
    assert booster.path_contributions(features.clear()).columns[-1] == "base"


def test_a_loaded_booster_says_the_same(booster, features, tmp_path):
    booster.save(tmp_path / "b")
    loaded = Booster.load(tmp_path / "b")
    expected = booster.path_contributions(features).to_numpy()
    np.testing.assert_allclose(loaded.path_contributions(features).to_numpy(), expected, atol=1e-9)
