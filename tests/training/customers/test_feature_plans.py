"""Features of posted customers from planned queries."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from training.customers.cutoffs import customer_features
from training.customers.feature_plans import MOST_PLANS, FeaturePlans
from training.customers.population import Population

AS_OF = datetime(2017, 12, 1)


@pytest.fixture(scope="module")
def population(journey):
    return Population.measure(journey, AS_OF)


@pytest.fixture(scope="module")
def posted(journey, population):
    """Return a dataset of the orders of a few households, as posted."""
    orders = journey.known("orders", AS_OF).collect().to_polars()
    orders = orders.with_columns(pl.lit(None, pl.String).alias("category"))
    touchpoints = journey.known("touchpoints", AS_OF).collect().to_polars()

    def build(*customers, kind="sale"):
        chosen = pl.col("customer_id").is_in(customers)
        lines = orders.filter(chosen).with_columns(pl.lit(kind).alias("kind"))
        return population.dataset_of(lines, touchpoints.filter(chosen), {c: {} for c in customers})

    return build


@pytest.fixture(scope="module")
def households(journey):
    orders = journey.known("orders", AS_OF).collect().to_polars()
    return orders.get_column("customer_id").drop_nulls().unique().sort().head(8).to_list()


def test_planned_features_are_those_of_the_builder_to_the_last_bit(posted, households):
    plans = FeaturePlans()
    for customers in ([name] for name in households):
        planned, built = posted(*customers), posted(*customers)
        plans.store_features(planned, AS_OF)
        stored = customer_features.stored(planned, AS_OF)
        assert_frame_equal(stored, customer_features(built, AS_OF), check_exact=True)
    several = posted(*households)
    plans.store_features(several, AS_OF)
    assert_frame_equal(
        customer_features(several, AS_OF),
        customer_features(posted(*households), AS_OF),
        check_exact=True,
    )
    assert len(plans.plans) == 1


def test_orders_at_or_after_the_instant_do_not_change_planned_features(posted, households):
    earlier = AS_OF - timedelta(days=60)
    planned, cut = posted(households[0]), posted(households[0])
    FeaturePlans().store_features(planned, earlier)
    known = {
        "orders": cut.known("orders", earlier),
        "touchpoints": cut.known("touchpoints", earlier),
    }
    past = type(cut)(cut.name, "past", {**cut.tables, **known}, cut.population)
    assert_frame_equal(
        customer_features(planned, earlier), customer_features(past, earlier), check_exact=True
    )


def test_returns_are_left_to_the_builder(posted, households):
    dataset = posted(households[0], kind="return")
    FeaturePlans().store_features(dataset, AS_OF)
    assert customer_features.stored(dataset, AS_OF) is None


def test_plans_of_many_instants_do_not_pile_up(posted, households):
    plans = FeaturePlans()
    for days in range(MOST_PLANS + 2):
        plans.store_features(posted(households[0]), AS_OF - timedelta(days=days))
    assert len(plans.plans) == MOST_PLANS


def test_populations_of_equal_files_are_one_object(population, tmp_path):
    for name in ("churn", "value"):
        (tmp_path / name).mkdir()
        population.save(tmp_path / name)
    assert Population.load(tmp_path / "churn") is Population.load(tmp_path / "value")
