"""Shops with very few orders get lists, or an error that names what is missing."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from features.dataset import Dataset
from features.errors import MissingData
from serving.recommender import batch
from serving.recommender.query import LISTS, ListQuery
from serving.recommender.request import ListRequest
from training.contract import model_with_options
from training.models.recommender import publish as publishing
from training.models.recommender.index import likely_buyers
from training.models.recommender.index.erase import erase
from training.models.recommender.index.index import INDEX, RecommenderIndex
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
    small = model_with_options(
        RecommenderModel,
        {"cutoffs": 1, "rounds": 2, "min_data_in_leaf": 1},
    )
    return small.fit(dataset, AS_OF)


def sold_once(orders):
    """Each product is sold once; four customers return every few weeks."""
    return [(f"c{n % 4}", f"o{n}", f"thing {n}", 5 * n + 1) for n in range(orders)]


def test_a_shop_of_twenty_orders_of_unique_products_has_lists(tmp_path):
    dataset = shop(sold_once(20))
    model = fitted(dataset)
    publish(model, dataset, AS_OF, tmp_path)
    index = RecommenderIndex.load(tmp_path)
    for name in LISTS:
        request = ListRequest(index, ListQuery(list_name=name))
        known, nobody = next(request.answers(["c1"])), next(request.answers(["nobody"]))
        assert known["customer_id"] == "c1"
        assert (len(known["items"]) > 0) == (len(nobody["items"]) > 0 or name == "buy_again")
    # Nothing was learned that could explain a recommendation.
    contributions = model.explain(dataset, AS_OF, pl.DataFrame({"customer_id": ["c1", "nobody"]}))
    assert contributions.columns == ["customer_id", "product_id", "reason", "contribution"]
    assert contributions.is_empty()


def frequent(days):
    """Five customers who buy bread every few days, and sometimes two of six other products."""
    rows = []
    for n in range(days * 2):
        customer, order = f"c{n % 5}", f"o{n}"
        rows.append((customer, order, "bread", 1 + n // 2))
        rows += [
            (customer, order, f"p{(n * step) % 6}", 1 + n // 2) for step in (1, 5) if n % step == 0
        ]
    return list(dict.fromkeys(rows))


@pytest.fixture(scope="module")
def small():
    dataset = shop(frequent(70))
    return dataset, fitted(dataset)


def test_pruning_buyers_while_publishing_changes_nothing_published(small, tmp_path, monkeypatch):
    dataset, model = small
    monkeypatch.setattr(likely_buyers, "MOST_BUYERS", 2)
    monkeypatch.setattr(ranking_features, "BLOCK_CUSTOMERS", 1)
    for at_once in (10_000, 3):
        monkeypatch.setattr(publishing, "PURCHASES_AT_ONCE", at_once)
        (tmp_path / str(at_once)).mkdir()
        publish(model, dataset, AS_OF, tmp_path / str(at_once))
    first, second = tmp_path / "10000", tmp_path / "3"
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert Path(INDEX, "buyer_customer.npy") in files
    assert [
        path for path in files if (first / path).read_bytes() != (second / path).read_bytes()
    ] == []


@pytest.mark.parametrize("list_name", ["for_you", "customers_for_product"])
def test_lists_written_in_parts_equal_those_written_at_once(small, monkeypatch, list_name):
    dataset, model = small
    complete = batch.batch_list(model, dataset, AS_OF, list_name)
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", 3)
    assert len(complete) > 3
    assert batch.batch_list(model, dataset, AS_OF, list_name).equals(complete)


def test_one_available_product_is_enough_for_a_list(tmp_path):
    dataset = shop([(f"c{n % 4}", f"o{n}", f"thing {n}", 40 * n + 1) for n in range(20)])
    publish(fitted(dataset), dataset, AS_OF, tmp_path)
    request = ListRequest(RecommenderIndex.load(tmp_path), ListQuery(list_name="new_to_you"))
    (item,) = next(request.answers(["c1"]))["items"]
    assert item["product_id"] == "thing 0"


def test_without_returning_customers_or_lasting_products_orders_are_named():
    once = [(f"c{n}", f"o{n}", f"thing {n}", 5 * n + 1) for n in range(20)]
    rare = [(f"c{n % 4}", f"o{n}", f"thing {n}", 40 * n + 20) for n in range(20)]
    for rows in (once, rare):
        with pytest.raises(MissingData, match="after no cutoff did a customer") as error:
            fitted(shop(rows))
        assert error.value.field == "orders"


def test_without_products_to_recommend_the_instant_is_named(tmp_path):
    dataset = shop(sold_once(20))
    later = AS_OF + timedelta(days=60)
    with pytest.raises(MissingData, match="Nothing can be recommended as of 2024-08-02"):
        publish(fitted(dataset), dataset, later, tmp_path)


def test_without_a_ranking_model_a_customer_can_be_erased(tmp_path):
    dataset = shop(sold_once(20))
    publish(fitted(dataset), dataset, AS_OF, tmp_path)
    assert erase(tmp_path, lambda ids: ids == "c1") == {"c1"}
    request = ListRequest(RecommenderIndex.load(tmp_path), ListQuery())
    assert next(request.answers(["c1"]))["basis"] == "population"
    assert next(request.answers(["c2"]))["basis"] == "history"
