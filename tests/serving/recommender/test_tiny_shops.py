"""Shops with next to nothing to learn from still get lists, or one sentence of what they lack."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from features.dataset import Dataset
from features.errors import MissingData
from serving.recommender import batch
from serving.recommender.query import KINDS, ListQuery
from serving.recommender.request import ListRequest
from training.models.recommender import publish as list_draft
from training.models.recommender.index import erase as leaving
from training.models.recommender.index import likely_buyers as buyers
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish
from training.models.recommender.ranking import features as ranking_features

AS_OF = datetime(2024, 6, 3)


def shop(rows, **tables):
    """Orders as (customer, order, product, days before AS_OF)."""
    names = ["customer_id", "order_id", "product_id", "age"]
    orders = pl.DataFrame(rows, names, orient="row").with_columns(
        (pl.lit(AS_OF) - pl.duration(days="age")).alias("ts"),
        pl.lit(1.0).alias("quantity"),
        pl.lit("sale").alias("kind"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
    )
    return Dataset.from_frames("tiny", {"orders": orders.drop("age"), **tables})


def fitted(dataset):
    small = RecommenderModel(cutoffs=1, static_rounds=2, context_rounds=2, min_data_in_leaf=1)
    return small.fit(dataset, AS_OF)


def second_hand(orders):
    """Each thing is there once; four customers come again every few weeks."""
    return [(f"c{n % 4}", f"o{n}", f"thing {n}", 5 * n + 1) for n in range(orders)]


def test_a_shop_of_twenty_orders_of_second_hand_goods_has_lists(tmp_path):
    dataset = shop(second_hand(20))
    model = fitted(dataset)
    publish(model, dataset, AS_OF, tmp_path)
    shelf = RecommenderIndex.load(tmp_path)
    for kind in KINDS:
        request = ListRequest(shelf, ListQuery(kind=kind))
        known, nobody = request.answer("c1"), request.answer("nobody")
        assert known["customer_id"] == "c1"
        assert (len(known["items"]) > 0) == (len(nobody["items"]) > 0 or kind == "buy_again")
    # Nothing was learned that could be told of, of nobody at all.
    why = model.explain(dataset, AS_OF, pl.DataFrame({"customer_id": ["c1", "nobody"]}))
    assert why.columns == ["customer_id", "product_id", "reason", "contribution"]
    assert why.is_empty()


def corner(days):
    """Five customers who buy bread every few days, and now and then two of six other things."""
    rows = []
    for n in range(days * 2):
        customer, order = f"c{n % 5}", f"o{n}"
        rows.append((customer, order, "bread", 1 + n // 2))
        rows += [(customer, order, f"p{(n * at) % 6}", 1 + n // 2) for at in (1, 5) if n % at == 0]
    return list(dict.fromkeys(rows))


@pytest.fixture(scope="module")
def small():
    dataset = shop(corner(70))
    return dataset, fitted(dataset)


def test_buyers_who_are_dropped_on_the_way_change_nothing_that_is_published(
    small, tmp_path, monkeypatch
):
    dataset, model = small
    monkeypatch.setattr(buyers, "KEPT", 2)
    monkeypatch.setattr(ranking_features, "BLOCK", 1)
    for at_once in (10_000, 3):
        monkeypatch.setattr(list_draft, "BUYERS_AT_ONCE", at_once)
        (tmp_path / str(at_once)).mkdir()
        publish(model, dataset, AS_OF, tmp_path / str(at_once))
    one, other = tmp_path / "10000", tmp_path / "3"
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert Path("shelf/buyer_customer.npy") in files
    assert [
        path for path in files if (one / path).read_bytes() != (other / path).read_bytes()
    ] == []


@pytest.mark.parametrize("kind", ["for_you", "customers_for_product"])
def test_lists_laid_out_part_by_part_are_those_laid_out_at_once(small, monkeypatch, kind):
    dataset, model = small
    whole = batch.batch_list(model, dataset, AS_OF, kind)
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", 3)
    assert len(whole) > 3
    assert batch.batch_list(model, dataset, AS_OF, kind).equals(whole)


def test_one_thing_at_a_time_is_enough_to_list(tmp_path):
    dataset = shop([(f"c{n % 4}", f"o{n}", f"thing {n}", 40 * n + 1) for n in range(20)])
    publish(fitted(dataset), dataset, AS_OF, tmp_path)
    (item,) = ListRequest(RecommenderIndex.load(tmp_path), ListQuery(kind="new_to_you")).answer(
        "c1"
    )["items"]
    assert item["product_id"] == "thing 0"


def test_where_nobody_came_again_or_nothing_was_there_long_enough_one_sentence_says_so():
    once = [(f"c{n}", f"o{n}", f"thing {n}", 5 * n + 1) for n in range(20)]
    rare = [(f"c{n % 4}", f"o{n}", f"thing {n}", 40 * n + 20) for n in range(20)]
    for rows in (once, rare):
        with pytest.raises(MissingData, match="after no cut did a customer") as error:
            fitted(shop(rows))
        assert error.value.field == "orders"


def test_where_nothing_is_left_to_recommend_one_sentence_says_so(tmp_path):
    dataset = shop(second_hand(20))
    later = AS_OF + timedelta(days=60)
    with pytest.raises(MissingData, match="Nothing can be recommended as of 2024-08-02"):
        publish(fitted(dataset), dataset, later, tmp_path)


def test_where_nothing_was_learned_a_customer_can_be_forgotten(tmp_path):
    dataset = shop(second_hand(20))
    publish(fitted(dataset), dataset, AS_OF, tmp_path)
    customers = pl.read_parquet(tmp_path / leaving.CUSTOMERS)
    leaving.keep(tmp_path, customers, (customers["customer_id"] != "c1").to_numpy())
    request = ListRequest(RecommenderIndex.load(tmp_path), ListQuery())
    assert request.answer("c1")["basis"] == "population"
    assert request.answer("c2")["basis"] == "history"
