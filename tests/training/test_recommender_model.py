"""How the recommender behaves, on real households."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.dataset import Dataset
from features.errors import MissingData
from training.models.recommender import hits as outcomes
from training.models.recommender.inputs.interactions import interactions_at
from training.models.recommender.model import RecommenderModel
from training.models.recommender.ranking.features import ranks
from training.models.recommender.task import RECOMMENDER, evaluate, plots

AS_OF = datetime(2017, 11, 6)
OPTIONS = {"horizon_days": 28}
# Few trees of one cut, and a net of two, are enough to see how it behaves.
SMALL = {
    "cutoffs": 1,
    "static_rounds": 30,
    "context_rounds": 30,
    "scored_products": 800,
    "min_data_in_leaf": 50,
}


@pytest.fixture(scope="module")
def journey(journey, rewritten):
    """The households with the promotions that the cuts can see, a fifth of a year's."""
    day = (AS_OF - datetime(1970, 1, 1)).days
    near = (
        journey.table("promotions")
        .to_native()
        .filter(pl.col("to_day") > day - 50, pl.col("from_day") < day + 28)
    )
    sold = journey.table("orders").to_native().select("product_id").unique()
    return rewritten(journey, promotions=near.join(sold, on="product_id", how="semi").collect())


@pytest.fixture(scope="module")
def model(journey):
    return RecommenderModel(**OPTIONS, **SMALL).fit(journey, AS_OF)


@pytest.fixture(scope="module")
def lists(model, journey):
    return model.predict(journey, AS_OF)


def test_every_customer_gets_a_full_list_without_doubles(lists, journey):
    everyone = RECOMMENDER.population(journey, AS_OF, OPTIONS)
    lengths = lists.filter(pl.col("rank") <= 100).group_by("customer_id").len()
    assert lengths.height == everyone.height
    assert lengths.get_column("len").unique().to_list() == [100]
    assert lists.select("customer_id", "product_id").is_duplicated().sum() == 0


def test_scores_fall_with_rank_and_are_chances(lists):
    falls = lists.select(pl.col("score").diff().over("customer_id").max()).item()
    assert falls <= 0
    for kind in ("score", "month", "explore"):
        assert lists.get_column(kind).drop_nulls().is_between(0, 1).all()


def test_reasons_say_repeat_exactly_for_what_was_bought_before(lists, journey):
    bought = journey.known("orders", AS_OF).to_native().select("customer_id", "product_id").unique()
    marked = lists.join(
        bought.collect().with_columns(pl.lit(value=True).alias("bought")),
        on=["customer_id", "product_id"],
        how="left",
    )
    repeat = marked.get_column("reason") == "repeat"
    own = marked.get_column("bought").fill_null(value=False)
    # Own products beyond the liveliest come back through other sources.
    assert (repeat == own).mean() > 0.999
    assert not (repeat & ~own).any()


def test_an_unknown_customer_gets_the_popular_list(model, journey):
    ids = pl.DataFrame({"customer_id": ["nobody"]})
    answer = model.predict(journey, AS_OF, ids)
    known = interactions_at(journey, AS_OF)
    assert answer.get_column("product_id").to_list() == list(
        known.products[known.most_popular(100)]
    )
    assert set(answer.get_column("reason")) == {"popular"}


def test_a_customer_with_one_basket_gets_a_list(model, journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    first = orders.filter(pl.col("ts") < AS_OF).row(0, named=True)
    one = orders.filter(pl.col("order_id") == first["order_id"]).with_columns(
        pl.lit("newcomer").alias("customer_id"), pl.lit("first").alias("order_id")
    )
    more = rewritten(journey, orders=pl.concat([orders, one]))
    answer = model.predict(more, AS_OF, pl.DataFrame({"customer_id": ["newcomer"]}))
    assert answer.filter(pl.col("rank") <= 100).height == 100
    assert "repeat" in set(answer.get_column("reason"))


def test_a_list_does_not_depend_on_who_else_is_asked(model, journey, lists):
    ids = lists.select("customer_id").unique().sort("customer_id")[[3, 40, 200]]
    alone = model.predict(journey, AS_OF, ids)
    assert_frame_equal(alone, lists.join(ids, on="customer_id", how="semi"), check_exact=True)


def test_orders_after_as_of_do_not_change_lists(model, journey, rewritten, lists):
    orders = journey.table("orders").to_native().collect()
    past = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    assert_frame_equal(model.predict(past, AS_OF), lists, check_exact=True)


def test_where_and_when_the_next_basket_is_bought_does_not_change_lists(
    model, journey, rewritten, lists
):
    orders = journey.table("orders").to_native().collect()
    future = pl.col("ts") >= AS_OF
    moved = orders.with_columns(
        pl.when(future).then(pl.lit("1")).otherwise("location_id").alias("location_id"),
        pl.when(future).then(pl.col("ts") + pl.duration(days=7)).otherwise("ts").alias("ts"),
        pl.when(future).then(pl.col("day") + 7).otherwise("day").alias("day"),
    )
    again = model.predict(rewritten(journey, orders=moved), AS_OF)
    assert_frame_equal(again, lists, check_exact=True)


def test_a_promotion_next_week_does_not_lower_a_product_for_its_regular_buyers(
    model, journey, rewritten, lists
):
    day = (AS_OF - datetime(1970, 1, 1)).days
    promotions = journey.table("promotions").to_native().collect()
    regulars = lists.filter(pl.col("rank").is_between(5, 20), pl.col("reason") == "repeat")
    promoted = regulars.group_by("product_id").len().sort("len", "product_id").tail(15)
    shops = promotions.select("location_id").unique()
    week = (
        promoted.select("product_id")
        .join(shops, how="cross")
        .with_columns(
            pl.lit("mailer").alias("kind"),
            pl.lit("D").alias("placement"),
            pl.lit(day, pl.Int32).alias("from_day"),
            pl.lit(day + 7, pl.Int32).alias("to_day"),
        )
    )
    without = promotions.join(promoted, on="product_id", how="anti")
    # The plans differ in these products' mailers of the coming week and in nothing else.
    plain = model.predict(rewritten(journey, promotions=without), AS_OF)
    mailed = model.predict(
        rewritten(journey, promotions=pl.concat([without, week.select(without.columns)])), AS_OF
    )
    pairs = regulars.join(promoted, on="product_id", how="semi").select("customer_id", "product_id")
    before = pairs.join(plain, on=["customer_id", "product_id"], how="left")
    after = pairs.join(mailed, on=["customer_id", "product_id"], how="left")
    assert after.get_column("score").mean() > before.get_column("score").mean()
    assert after.get_column("rank").mean() <= before.get_column("rank").mean()


def test_contributions_add_up_to_the_score(model, journey, lists):
    top = lists.filter(pl.col("rank") == 1).head(3)
    why = model.explain(journey, AS_OF, top.select("customer_id", "product_id"))
    total = why.group_by("customer_id", "product_id").agg(pl.col("contribution").sum())
    known = interactions_at(journey, AS_OF)
    size = known.customer_features["customer_size"][
        known.customer_codes(top.get_column("customer_id"))
    ]
    odds = top.join(total, on=["customer_id", "product_id"], maintain_order="left")
    expected = model.ranker_.blend.chance["now"].at(
        odds.get_column("contribution").to_numpy(), size
    )
    assert odds.get_column("score").to_numpy() == pytest.approx(expected, rel=1e-6)


def test_what_more_people_take_than_any_product_learned_from_goes_on_rising(model, journey):
    ranking, ranker = model._ranking(journey, AS_OF), model.ranker_
    features = ranking.taste(next(ranking.blocks(np.arange(3))))
    at, above = (
        features.with_columns(pl.lit(times * ranker.beyond.largest).alias("product_takers_1d"))
        for times in (1.0, 4.0)
    )
    first, second = ranker.score_static(at).odds["next"], ranker.score_static(above).odds["next"]
    assert second - first == pytest.approx(np.full(len(first), np.log(4)))


def test_orders_alone_are_enough(journey):
    columns = ["customer_id", "order_id", "line", "product_id", "ts", "day", "quantity", "kind"]
    orders = journey.table("orders").to_native().select(columns).collect()
    bare = Dataset.from_frames("bare", {"orders": orders})
    lists = RecommenderModel(**OPTIONS, **SMALL).fit(bare, AS_OF).predict(bare, AS_OF)
    assert lists.get_column("customer_id").n_unique() == interactions_at(bare, AS_OF).shape[0]


def test_too_short_a_history_is_refused(journey):
    with pytest.raises(MissingData, match="56 are needed"):
        RecommenderModel(**OPTIONS).fit(journey, datetime(2017, 2, 1))


def test_it_beats_the_customers_own_habits_on_their_next_baskets(journey, lists):
    own = RECOMMENDER.baselines["personal_frequency"](**OPTIONS).fit(journey, AS_OF)

    def ndcg(frame):
        scores = evaluate(journey, AS_OF, OPTIONS, frame)
        return next(s.value for s in scores if (s.slice, s.metric) == ("all", "ndcg_10"))

    assert ndcg(lists) > ndcg(own.predict(journey, AS_OF))


def test_a_perfect_list_has_an_ndcg_of_one(journey):
    orders = journey.table("orders").to_native().collect()
    ahead = pl.col("ts").is_between(AS_OF, AS_OF + timedelta(days=28), closed="left")
    window = orders.drop_nulls("product_id").filter(ahead).sort("ts", "order_id")
    first = window.unique("customer_id", keep="first", maintain_order=True).select("order_id")
    truth = window.join(first, on="order_id", how="semi")
    perfect = truth.unique(["customer_id", "product_id"], maintain_order=True).select(
        "customer_id",
        "product_id",
        pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("customer_id").alias("rank"),
    )
    value = {
        s.metric: s.value for s in evaluate(journey, AS_OF, OPTIONS, perfect) if s.slice == "all"
    }
    assert value["ndcg_10"] == value["ndcg_20"] == value["hit_rate_10"] == pytest.approx(1.0)
    assert value["window_precision_10"] < 1.0


def test_a_customer_without_a_list_counts_as_a_miss(journey, lists):
    some = lists.filter(pl.col("customer_id") < "5")
    whole = {s.metric: s for s in evaluate(journey, AS_OF, OPTIONS, lists) if s.slice == "all"}
    part = {s.metric: s for s in evaluate(journey, AS_OF, OPTIONS, some) if s.slice == "all"}
    assert part["ndcg_10"].n == whole["ndcg_10"].n
    assert part["ndcg_10"].value < whole["ndcg_10"].value


def test_ranks_start_at_zero_for_each_customer():
    rows = np.array([0, 0, 0, 4, 4])
    scores = np.array([0.1, np.nan, 0.9, 0.2, 0.3], dtype=np.float32)
    assert ranks(rows, scores).tolist() == [1, 2, 0, 1, 0]


def test_plots_show_recall_by_the_length_of_the_list(journey, lists):
    figures = plots(journey, AS_OF, OPTIONS, lists)
    recall = figures["recall_by_k"].axes[0].lines[0].get_ydata()
    assert len(recall) == 100
    assert (np.diff(recall) >= 0).all()


def test_of_very_many_customers_an_even_pick_is_judged(journey, lists, monkeypatch):
    monkeypatch.setattr(outcomes, "MOST_JUDGED", 40)
    apart = Dataset(journey.name, journey.snapshot, journey.tables)
    ids = RECOMMENDER.population(apart, AS_OF, OPTIONS)
    known = interactions_at(apart, AS_OF)
    truth = outcomes.truth_at(apart, AS_OF, OPTIONS)
    asked = lists.join(ids, on="customer_id", how="semi")
    judged = outcomes.customer_metrics(apart, AS_OF, OPTIONS, asked)["ndcg_10"]
    whole = outcomes.customer_metrics(journey, AS_OF, OPTIONS, lists)["ndcg_10"]
    everyone = outcomes.truth_at(journey, AS_OF, OPTIONS).rows
    assert ids.height == 40
    assert 0 < len(truth.rows) <= 40
    assert set(known.customers[truth.rows]) <= set(ids.get_column("customer_id"))
    # Sums over another number of rows may differ in their last bit.
    assert judged.tolist() == pytest.approx(whole[np.isin(everyone, truth.rows)].tolist())


def test_what_was_answered_at_a_cut_is_learned_from_as_if_prepared_anew(journey):
    model = RecommenderModel(**OPTIONS, **SMALL)
    afresh = Dataset(journey.name, journey.snapshot, journey.tables)
    cut = AS_OF - timedelta(days=28)
    model._ranking(journey, cut)
    reused, anew = model._compute_examples(journey, cut), model._compute_examples(afresh, cut)
    assert_frame_equal(reused.taste, anew.taste, check_exact=True)
    assert_frame_equal(reused.moment, anew.moment, check_exact=True)
