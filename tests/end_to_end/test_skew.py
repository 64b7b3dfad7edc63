"""Features and predictions are equal in training, in batch scoring and in serving."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import to_day
from features.dataset import open_dataset
from serving.http.rounding import DECIMALS
from serving.recommender.batch import batch_list
from training.customers.cutoffs import features_at_cutoff
from training.customers.published import FEATURES
from training.published import versions as published

# Answers are rounded; a value close to halfway between two steps may go either way.
STEP = 10.0**-DECIMALS
CLOSE = 0.6 * STEP


@pytest.fixture
def fresh(home, journey):
    """Opens the records without any cached feature."""
    return lambda: open_dataset(home, journey.name)


@pytest.fixture(scope="session")
def customers(journey, as_of):
    orders = journey.known("orders", as_of).collect().to_polars()
    return orders["customer_id"].drop_nulls().unique().sort().to_list()


def results(client, route, **body):
    response = client.post(f"/v1/{route}", json=body)
    assert response.status_code == 200, response.text
    return response.json()["results"]


@pytest.mark.parametrize("name", ["churn", "next-purchase"])
def test_features_are_bitwise_equal_in_training_batch_and_serving(
    fresh, as_of, models, published_home, name
):
    served = pl.read_parquet(published.current(published_home) / name / FEATURES)
    batch = models[name].features(fresh(), as_of)
    assert_frame_equal(batch, served, check_exact=True)

    later = fresh()
    trained = features_at_cutoff(later, later.end, to_day(as_of))
    assert_frame_equal(trained, served.select(trained.columns), check_exact=True)


def test_churn_is_served_as_scored(fresh, as_of, models, customers, client):
    answers = results(client, "churn", customer_ids=customers)
    scored = models["churn"].predict(fresh(), as_of, pl.DataFrame({"customer_id": customers}))
    served_rows = pl.DataFrame(answers).select(scored.columns)
    assert_frame_equal(served_rows, scored, check_dtypes=False, rel_tol=0, abs_tol=CLOSE)


def test_the_next_purchase_is_served_as_scored(fresh, as_of, models, customers, client, as_columns):
    answers = results(client, "next_purchase", customer_ids=customers)
    ids = pl.DataFrame({"customer_id": customers})
    scored = models["next-purchase"].predict(fresh(), as_of, ids)
    columns = ["customer_id", "expected_days", "q10", "q50", "q90"]
    columns += ["p_within_7", "p_within_14", "p_within_30"]
    assert_frame_equal(
        pl.DataFrame([*map(as_columns, answers)]).select(columns),
        scored.select(columns),
        check_dtypes=False,
        rel_tol=0,
        abs_tol=CLOSE,
    )


def test_recommendations_are_served_as_scored(fresh, as_of, models, customers, client):
    answers = results(client, "recommend", customer_ids=customers, k=10)
    scored = batch_list(models["recommender"], fresh(), as_of, "for_you").filter(
        pl.col("rank") <= 10
    )
    columns = ["customer_id", "rank", "product_id", "score", "reason", "explanations"]
    served_rows = pl.DataFrame(
        [{"customer_id": row["customer_id"], **item} for row in answers for item in row["items"]]
    )
    key = ["customer_id", "rank"]
    assert_frame_equal(
        served_rows.select(columns).sort(key),
        scored.select(columns).sort(key),
        check_dtypes=False,
        rel_tol=0,
        abs_tol=CLOSE,
    )


def test_forecasts_are_served_as_scored(scored_demand, client, as_columns):
    values = ["date", "mean", "q10", "q50", "q90"]
    assumed = ["plan_known_until", "assumes"]
    keys = [name for name in scored_demand.columns if name not in (*values, *assumed)]
    series = scored_demand.select(keys).unique(maintain_order=True).head(200)
    served_rows = pl.DataFrame(
        [
            {**{key: row[key] for key in keys}, **as_columns(point)}
            for row in results(client, "forecast", series=series.to_dicts())
            for point in row["forecast"]
        ]
    )
    scored = scored_demand.join(series, on=keys, how="semi").select(
        *keys, pl.col("date").cast(pl.String), *values[1:]
    )
    order = [*keys, "date"]
    assert_frame_equal(
        served_rows.select(scored.columns).sort(order),
        scored.sort(order),
        check_dtypes=False,
        rel_tol=0,
        abs_tol=CLOSE,
    )
