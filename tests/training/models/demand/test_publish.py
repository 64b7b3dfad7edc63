"""What is published is read back by the module that wrote it."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from training.models.demand.publish import (
    load_about,
    load_anomalies,
    load_model,
    load_records,
    load_series,
    load_totals,
    load_values,
    publish,
)
from training.models.demand.quantiles import LEVELS, level_name


@pytest.fixture(scope="module")
def folder(mailer_model, mailer_shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(mailer_model, mailer_shop.dataset, mailer_shop.as_of, folder)
    return folder


def answers_of(folder):
    """The published forecasts, a row per series and period."""
    values, dates = load_values(folder), load_about(folder).dates
    assert values.shape == (load_series(folder).height, len(dates), 1 + len(LEVELS))
    names = ["mean", *(level_name(level) for level in LEVELS)]
    forecasts = pl.DataFrame(values.reshape(-1, len(names)), schema=names, orient="row")
    date = pl.Series("date", dates * len(values)).str.to_date()
    return forecasts.with_columns(
        date, product_id=load_series(folder)["product_id"].repeat_by(len(dates)).explode()
    )


def test_a_published_folder_states_its_grain_horizon_and_dates(folder, mailer_shop):
    about = load_about(folder)
    assert (about.grain, about.horizon_days) == ("product:week", 28)
    assert about.as_of == mailer_shop.as_of.isoformat()
    assert about.dates[0] == mailer_shop.as_of.date().isoformat()
    assert len(about.dates) == 4


def test_published_forecasts_are_those_of_the_model(folder, mailer_forecast):
    answers = answers_of(folder)
    columns = ["product_id", "date", "mean", "q10", "q50", "q90"]
    assert_frame_equal(answers.select(columns), mailer_forecast.select(columns))


def test_a_published_model_forecasts_from_the_published_records(
    folder, mailer_shop, mailer_forecast
):
    records, model = load_records(folder), load_model(folder)
    ids = records.index[[3]].select("product_id")
    frame = model.features(records.dataset([3]), mailer_shop.as_of, ids)
    forecast = model.forecast(frame)
    product = mailer_forecast.filter(pl.col("product_id") == ids.item())
    assert forecast["mean"].to_list() == pytest.approx(product["mean"].to_list(), abs=1e-9)


def test_anomalies_and_totals_are_published_where_there_are_historical_forecasts(folder):
    assert (load_anomalies(folder) is not None) == bool(load_about(folder).total_levels)


def test_published_totals_are_the_sums_of_the_published_series(folder):
    series = answers_of(folder).group_by("date").agg(pl.col("mean").sum()).sort("date")
    totals = load_totals(folder).filter(level="all").sort("date")
    assert totals["mean"].to_list() == pytest.approx(series["mean"].to_list(), rel=1e-9)
    assert totals["assumes"].to_list() == [""] * 4


def test_published_quantiles_are_ordered_around_the_mean(folder):
    for rows in (answers_of(folder), load_totals(folder)):
        quantiles = rows.select(level_name(level) for level in LEVELS).to_numpy()
        assert (np.diff(quantiles, axis=1) >= 0).all()
        assert rows.select((pl.col("q10") <= pl.col("mean")).all()).item()
        assert rows.select((pl.col("mean") <= pl.col("q90")).all()).item()
