"""Evaluation of recommendations on real households."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from training.models.recommender.task import RECOMMENDER, evaluate, plots

AS_OF = datetime(2017, 11, 6)


def overall(households, options, frame):
    """Scores of all customers, by metric."""
    scores = evaluate(households, AS_OF, options, frame)
    return {score.metric: score for score in scores if score.slice == "all"}


def test_it_hits_more_next_baskets_and_more_of_the_horizon_than_decayed_frequency(
    households, options, recommendations
):
    baseline = RECOMMENDER.baselines["decayed_frequency"](**options).fit(households, AS_OF)
    frequency = overall(households, options, baseline.predict(households, AS_OF))
    model = overall(households, options, recommendations)
    for metric in ("hit_rate_10", "window_ndcg_10"):
        assert model[metric].value > frequency[metric].value


def test_a_perfect_list_has_an_ndcg_of_one(households, options):
    orders = households.table("orders").to_native().collect()
    ahead = pl.col("ts").is_between(AS_OF, AS_OF + timedelta(days=28), closed="left")
    window = orders.drop_nulls("product_id").filter(ahead).sort("ts", "order_id")
    first = window.unique("customer_id", keep="first", maintain_order=True).select("order_id")
    truth = window.join(first, on="order_id", how="semi")
    perfect = truth.unique(["customer_id", "product_id"], maintain_order=True).select(
        "customer_id",
        "product_id",
        pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("customer_id").alias("rank"),
    )
    scores = overall(households, options, perfect)
    for metric in ("ndcg_10", "ndcg_20", "hit_rate_10"):
        assert scores[metric].value == pytest.approx(1.0)
    assert scores["window_precision_10"].value < 1.0


def test_a_customer_without_a_list_counts_as_a_miss(households, options, recommendations):
    some = recommendations.filter(pl.col("customer_id") < "5")
    complete = overall(households, options, recommendations)
    partial = overall(households, options, some)
    assert partial["ndcg_10"].n == complete["ndcg_10"].n
    assert partial["ndcg_10"].value < complete["ndcg_10"].value


def test_plots_show_recall_by_the_length_of_the_list(households, options, recommendations):
    figures = plots(households, AS_OF, options, recommendations)
    recall = figures["recall_by_k"].axes[0].lines[0].get_ydata()
    assert len(recall) == 100
    assert (np.diff(recall) >= 0).all()
