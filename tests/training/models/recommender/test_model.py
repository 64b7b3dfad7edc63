"""Recommendations of real households: coverage, order, reasons, and what they depend on."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.errors import MissingData
from training.contract import model_with_options
from training.models.recommender.inputs.interactions import interactions_at
from training.models.recommender.model import RecommenderModel
from training.models.recommender.task import RECOMMENDER

AS_OF = datetime(2017, 11, 6)


def test_every_customer_gets_a_full_list_of_distinct_products(recommendations, households, options):
    customers = RECOMMENDER.population(households, AS_OF, options)
    lengths = recommendations.filter(pl.col("rank") <= 100).group_by("customer_id").len()
    assert lengths.height == customers.height
    assert lengths.get_column("len").unique().to_list() == [100]
    assert recommendations.select("customer_id", "product_id").is_duplicated().sum() == 0


def test_scores_are_probabilities_that_fall_with_rank(recommendations):
    steps = recommendations.select(pl.col("score").diff().over("customer_id").max()).item()
    assert steps <= 0
    for name in ("score", "month", "explore"):
        assert recommendations.get_column(name).drop_nulls().is_between(0, 1).all()


def test_the_reason_is_repeat_for_products_bought_before(recommendations, households):
    orders = households.known("orders", AS_OF).to_native()
    bought = orders.select("customer_id", "product_id").unique().collect()
    marked = recommendations.join(
        bought.with_columns(pl.lit(value=True).alias("bought")),
        on=["customer_id", "product_id"],
        how="left",
    )
    repeat = marked.get_column("reason") == "repeat"
    before = marked.get_column("bought").fill_null(value=False)
    # Purchases beyond the limit of the repeat generator may come from other generators.
    assert (repeat == before).mean() > 0.999
    assert not (repeat & ~before).any()


def test_an_unknown_customer_gets_the_popular_products(model, households):
    ids = pl.DataFrame({"customer_id": ["nobody"]})
    answer = model.predict(households, AS_OF, ids)
    interactions = interactions_at(households, AS_OF)
    popular = interactions.products[interactions.most_popular(100)]
    assert answer.get_column("product_id").to_list() == list(popular)
    assert set(answer.get_column("reason")) == {"popular"}


def test_a_customer_with_one_basket_gets_a_full_list(model, households, rewritten):
    orders = households.table("orders").to_native().collect()
    first = orders.filter(pl.col("ts") < AS_OF).row(0, named=True)
    basket = orders.filter(pl.col("order_id") == first["order_id"]).with_columns(
        pl.lit("newcomer").alias("customer_id"), pl.lit("first").alias("order_id")
    )
    extended = rewritten(households, orders=pl.concat([orders, basket]))
    answer = model.predict(extended, AS_OF, pl.DataFrame({"customer_id": ["newcomer"]}))
    assert answer.filter(pl.col("rank") <= 100).height == 100
    assert "repeat" in set(answer.get_column("reason"))


def test_a_list_does_not_depend_on_the_other_customers(model, households, recommendations):
    ids = recommendations.select("customer_id").unique().sort("customer_id")[[3, 40, 200]]
    alone = model.predict(households, AS_OF, ids)
    expected = recommendations.join(ids, on="customer_id", how="semi")
    assert_frame_equal(alone, expected, check_exact=True)


def test_orders_after_as_of_do_not_change_lists(model, households, rewritten, recommendations):
    orders = households.table("orders").to_native().collect()
    past = rewritten(households, orders=orders.filter(pl.col("ts") < AS_OF))
    assert_frame_equal(model.predict(past, AS_OF), recommendations, check_exact=True)


def test_time_and_location_of_later_orders_do_not_change_lists(
    model, households, rewritten, recommendations
):
    orders = households.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    moved = orders.with_columns(
        pl.when(future).then(pl.lit("1")).otherwise("location_id").alias("location_id"),
        pl.when(future).then(pl.col("ts") + pl.duration(days=7)).otherwise("ts").alias("ts"),
        pl.when(future).then(pl.col("day") + 7).otherwise("day").alias("day"),
    )
    again = model.predict(rewritten(households, orders=moved), AS_OF)
    assert_frame_equal(again, recommendations, check_exact=True)


def test_a_promotion_next_week_does_not_lower_a_product_for_its_regular_buyers(
    model, households, rewritten, recommendations
):
    day = (AS_OF - datetime(1970, 1, 1)).days
    promotions = households.table("promotions").to_native().collect()
    regular = recommendations.filter(pl.col("rank").is_between(5, 20), pl.col("reason") == "repeat")
    promoted = regular.group_by("product_id").len().sort("len", "product_id").tail(15)
    locations = promotions.select("location_id").unique()
    week = (
        promoted.select("product_id")
        .join(locations, how="cross")
        .with_columns(
            pl.lit("mailer").alias("kind"),
            pl.lit("D").alias("placement"),
            pl.lit(day, pl.Int32).alias("from_day"),
            pl.lit(day + 7, pl.Int32).alias("to_day"),
        )
    )
    others = promotions.join(promoted, on="product_id", how="anti")
    # The plans differ only in these products' mailers of the coming week.
    plain = model.predict(rewritten(households, promotions=others), AS_OF)
    with_week = pl.concat([others, week.select(others.columns)])
    mailed = model.predict(rewritten(households, promotions=with_week), AS_OF)
    pairs = regular.join(promoted, on="product_id", how="semi").select("customer_id", "product_id")
    before = pairs.join(plain, on=["customer_id", "product_id"], how="left")
    after = pairs.join(mailed, on=["customer_id", "product_id"], how="left")
    assert after.get_column("score").mean() > before.get_column("score").mean()
    assert after.get_column("rank").mean() <= before.get_column("rank").mean()


def test_contributions_add_up_to_the_score(model, households, recommendations):
    top = recommendations.filter(pl.col("rank") == 1).head(3)
    contributions = model.explain(households, AS_OF, top.select("customer_id", "product_id"))
    total = contributions.group_by("customer_id", "product_id").agg(pl.col("contribution").sum())
    interactions = interactions_at(households, AS_OF)
    codes = interactions.customer_codes(top.get_column("customer_id"))
    size = interactions.customer_features["customer_size"][codes]
    joined = top.join(total, on=["customer_id", "product_id"], maintain_order="left")
    expected = model.ranker_.calibrations["now"].probability(
        joined.get_column("contribution").to_numpy(), size
    )
    assert joined.get_column("score").to_numpy() == pytest.approx(expected, rel=1e-6)


def test_a_loaded_model_recommends_the_same(model, households, recommendations, tmp_path):
    model.save(tmp_path)
    ids = recommendations.select("customer_id").unique().sort("customer_id").head(20)
    expected = recommendations.join(ids, on="customer_id", how="semi")
    loaded = RecommenderModel.load(tmp_path).predict(households, AS_OF, ids)
    assert_frame_equal(loaded, expected, check_exact=True)


def test_orders_alone_are_enough(households, small):
    columns = ["customer_id", "order_id", "line", "product_id", "ts", "day", "quantity", "kind"]
    orders = households.table("orders").to_native().select(columns).collect()
    bare = Dataset.from_frames("bare", {"orders": orders})
    lists = model_with_options(RecommenderModel, small).fit(bare, AS_OF).predict(bare, AS_OF)
    assert lists.get_column("customer_id").n_unique() == interactions_at(bare, AS_OF).shape[0]


def test_a_dataset_that_is_too_short_is_refused(households, options):
    with pytest.raises(MissingData, match="56 are needed"):
        model_with_options(RecommenderModel, options).fit(households, datetime(2017, 2, 1))


def test_examples_are_the_same_with_a_stored_ranking_and_without(households, small):
    model = model_with_options(RecommenderModel, small)
    fresh = Dataset(households.name, households.snapshot, households.tables)
    stored = Dataset(households.name, households.snapshot, households.tables)
    cutoff = AS_OF - timedelta(days=28)
    model.ranking(stored, cutoff)
    reused, built = model._examples(stored, cutoff), model._examples(fresh, cutoff)
    assert_frame_equal(reused.static, built.static, check_exact=True)
    assert_frame_equal(reused.context, built.context, check_exact=True)
