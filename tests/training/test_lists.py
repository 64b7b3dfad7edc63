"""What lists are made from: association, popularity, layout and sentences, on known truth."""

from datetime import datetime, timedelta

import narwhals as nw
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import Dataset
from features.errors import NotFound
from serving.recommender.phrases import Facts, sentences
from serving.recommender.query import Filters
from serving.recommender.rerank import Layout, arrange
from training.models.recommender.index.association import Association
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.popularity import PopularNow
from training.models.recommender.index.replenishment import ReplenishmentCurve

AS_OF = datetime(2024, 6, 3)


def shop(rows, **tables):
    """Orders as (customer, order, product, days before AS_OF, location)."""
    names = ["customer_id", "order_id", "product_id", "age", "location_id"]
    orders = pl.DataFrame(rows, names, orient="row").with_columns(
        (pl.lit(AS_OF) - pl.duration(days="age")).alias("ts"),
        pl.lit(1.0).alias("quantity"),
        pl.lit(2.0).alias("revenue"),
        pl.lit("sale").alias("kind"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
    )
    return Dataset.from_frames("shop", {"orders": orders.drop("age"), **tables})


def catalogue(kinds):
    frame = pl.DataFrame(
        {
            "product_id": [str(at) for at in range(len(kinds))],
            "subcategory": kinds,
            "price": [1.0] * len(kinds),
            "share": pl.Series([0.1] * len(kinds), dtype=pl.Float32),
            "buyers": [1] * len(kinds),
            "gap": [7.0] * len(kinds),
        }
    )
    return Catalogue(
        frame, pl.DataFrame(schema={"location_id": pl.String, "product_id": pl.String})
    )


LISTED = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 1)), min_size=1, max_size=30)


@given(LISTED, st.integers(1, 12), st.floats(0, 1), st.sets(st.integers(0, 29), max_size=4))
@settings(max_examples=60, deadline=None)
def test_lists_hold_each_allowed_product_once_and_no_kind_twice_in_a_row(rows, k, variety, barred):
    products = catalogue([kind for kind, _ in rows])
    scores = np.array([score for _, score in rows])
    codes = np.arange(len(rows), dtype=np.int32)
    allowed = ~np.isin(codes, list(barred))
    shown = arrange(codes, scores, allowed, products, Layout(k, variety))
    assert len(shown) == min(k, int(allowed.sum()))
    assert len(set(shown)) == len(shown)
    assert not set(shown) & barred
    kinds = [rows[at][0] for at in shown]
    for place in range(1, len(shown)):
        if kinds[place] == kinds[place - 1]:
            left = [rows[at][0] for at in codes[allowed] if at not in shown[:place]]
            assert set(left) == {kinds[place]}
    again = arrange(codes, scores, allowed, products, Layout(k + 3, variety))
    assert again[: len(shown)] == shown


@given(LISTED)
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_candidates_does_not_matter(rows):
    products = catalogue([kind for kind, _ in rows])
    scores = np.array([score for _, score in rows])
    codes = np.arange(len(rows), dtype=np.int32)
    allowed = np.ones(len(rows), bool)
    shown = arrange(codes, scores, allowed, products, Layout(10, 0.3))
    turned = arrange(codes[::-1], scores[::-1], allowed, products, Layout(10, 0.3))
    assert [int(codes[::-1][at]) for at in turned] == shown


def test_a_pinned_neighbour_is_not_of_the_kind_before_it():
    products = catalogue(["a", "b", "a", "b"])
    codes, scores = np.arange(4, dtype=np.int32), np.array([0.9, 0.8, 0.7, 0.1])
    layout = Layout(4, pinned={2: 2})
    shown = arrange(codes, scores, np.ones(4, bool), products, layout)
    assert shown[:2] == [1, 2]


def test_what_is_pinned_behind_the_last_candidate_follows_it():
    products = catalogue(["a", "b", "c", "d"])
    codes, scores = np.array([0, 1], np.int32), np.array([0.9, 0.8])
    layout = Layout(9, pinned={6: 2, 9: 3})
    allowed = np.ones(4, bool)
    assert arrange(codes, scores, allowed, products, layout) == [0, 1, -3, -4]
    nobody = np.zeros(0, np.int32)
    assert arrange(nobody, np.zeros(0), allowed, products, layout) == [-3, -4]


def test_popular_here_differs_from_popular_in_the_chain_as_far_as_it_is_sure():
    rows = [(f"c{n}", f"x{n}", "tea", 3, "north") for n in range(300)]
    rows += [(f"d{n}", f"y{n}", "coffee", 3, "south") for n in range(400)]
    rows += [("e", "z", "maté", 3, "kiosk")]
    dataset = shop(rows)
    products = Catalogue.build(dataset, AS_OF)
    popular = PopularNow.build(dataset, AS_OF, products)

    def first(place):
        return products.ids[int(popular.popular(popular.find(place) if place else -1)[0][0])]

    assert (first("north"), first("south"), first(None)) == ("tea", "coffee", "coffee")
    # One basket says little of a place.
    assert first("kiosk") == "coffee"
    assert first("a new shop") == "coffee"


def test_what_sold_better_a_year_ago_from_now_on_comes_forward():
    rows = [(f"c{n}", f"a{n}", "ice", 10, "x") for n in range(90)]
    rows += [(f"c{n}", f"b{n}", "soup", 10, "x") for n in range(110)]
    year = 364
    for n in range(300):
        rows.append((f"c{n}", f"p{n}", "soup" if n % 4 else "ice", year + 14, "x"))
        rows.append((f"c{n}", f"q{n}", "ice" if n % 4 else "soup", year - 14, "x"))
    dataset = shop(rows)
    products = Catalogue.build(dataset, AS_OF)
    popular = PopularNow.build(dataset, AS_OF, products)
    assert popular.seasonal[0]
    assert products.ids[int(popular.top[-1][0])] == "ice"
    recent = shop([row for row in rows if row[3] < 100])
    assert not PopularNow.build(recent, AS_OF, Catalogue.build(recent, AS_OF)).seasonal[0]


def test_later_orders_change_nothing_that_lists_are_made_from():
    rng = np.random.default_rng(5)
    rows = [
        (f"c{rng.integers(40)}", f"o{n}", f"p{rng.integers(30)}", int(rng.integers(1, 90)), "x")
        for n in range(3000)
    ]
    later = [(f"c{n}", f"l{n}", f"p{n % 30}", -1 - n % 9, "x") for n in range(500)]
    past, more = shop(rows), shop(rows + later)
    for build in (
        lambda dataset, products: products.frame,
        lambda dataset, products: PopularNow.build(dataset, AS_OF, products).top,
        lambda dataset, products: Association.build(dataset, AS_OF, products).partner,
    ):
        one, other = (build(d, Catalogue.build(d, AS_OF)) for d in (past, more))
        same = one.equals(other) if isinstance(one, pl.DataFrame) else np.array_equal(one, other)
        assert same


def test_stock_counts_by_its_newest_record_and_by_place():
    day = (AS_OF - datetime(1970, 1, 1)).days
    stock = pl.DataFrame(
        [
            ("a", "n", day - 1, 0.0),
            ("a", "s", day - 1, 0.0),
            ("a", "n", day - 5, 9.0),
            ("b", "n", day - 1, 0.0),
            ("b", "s", day - 1, 3.0),
            ("c", "n", day + 1, 0.0),
        ],
        {"product_id": pl.String, "location_id": pl.String, "day": pl.Int32, "on_hand": pl.Float64},
        orient="row",
    )
    rows = [("x", f"o{one}", one, 3, "n") for one in "abc"]
    products = Catalogue.build(shop(rows, stock=stock), AS_OF)

    def left(place):
        allowed = Filters(location_id=place).allowed(products)
        return [one for one, may in zip(products.ids, allowed, strict=True) if may]

    assert left(None) == ["b", "c"]
    assert left("n") == ["c"]
    assert left("s") == ["b", "c"]


def test_stock_without_a_location_is_that_of_the_one_shop():
    day = (AS_OF - datetime(1970, 1, 1)).days
    stock = pl.DataFrame(
        [("a", day - 1, 0.0), ("a", day - 5, 9.0), ("b", day - 1, 3.0)],
        {"product_id": pl.String, "day": pl.Int32, "on_hand": pl.Float64},
        orient="row",
    )
    rows = [("x", f"o{one}", one, 3, "n") for one in "abc"]
    products = Catalogue.build(shop(rows, stock=stock), AS_OF)
    for place in (None, "n"):
        assert Filters(location_id=place).allowed(products).tolist() == [False, True, True]


def test_a_location_that_no_table_names_is_refused_where_others_are_named():
    rows = [("x", "o", "a", 3, "n"), ("x", "p", "a", -3, "later")]
    planned = pl.DataFrame({"location_id": ["new"], "name": ["The new shop"]})
    products = Catalogue.build(shop(rows, locations=planned), AS_OF)
    for place in (None, "n", "new"):
        assert Filters(location_id=place).allowed(products).all()
    with pytest.raises(NotFound, match="'later' is unknown: nothing was sold there") as error:
        Filters(location_id="later").allowed(products)
    assert error.value.field == "location_id"
    orders = shop(rows).table("orders").to_native().drop("location_id")
    bare = Catalogue.build(Dataset.from_frames("bare", {"orders": orders}), AS_OF)
    assert Filters(location_id="the one").allowed(bare).all()


@pytest.fixture(scope="module")
def steady():
    """Customers who buy their tea about every tenth day, and give up one time in fifteen."""
    rng = np.random.default_rng(8)
    rows = []
    for customer in range(400):
        age = 200.0
        while age > 1:
            rows.append((f"c{customer}", f"o{customer}/{len(rows)}", "tea", round(age), "x"))
            age -= rng.gamma(12, 10 / 12)
            if rng.random() < 1 / 15:
                break
    return shop(rows)


def test_what_is_due_is_bought_more_often_than_what_comes_soon_or_later(steady):
    cut = AS_OF - timedelta(days=40)
    rhythm = ReplenishmentCurve.learn(steady, cut, Catalogue.build(steady, cut))
    elapsed = np.array([0, 2, 5, 8, 10, 14, 30, 60])
    clock = rhythm.at(np.full(8, 8), elapsed, np.full(8, 10.0), np.full(8, 10.0), 4)
    assert clock.states[[0, -1]].tolist() == ["not_yet", "lapsed"]
    assert clock.states[[3, 4]].tolist() == ["due", "due"]
    # What grows likelier until its time has come falls from then on.
    assert clock.chance[:5].tolist() == sorted(clock.chance[:5])
    assert clock.chance[4:].tolist() == sorted(clock.chance[4:], reverse=True)
    assert clock.expected[:5] == pytest.approx([10, 8, 5, 2, 0], abs=0.01)


def test_a_clocks_chances_come_true(steady):
    cut = AS_OF - timedelta(days=40)
    day = (cut - datetime(1970, 1, 1)).days
    rhythm = ReplenishmentCurve.learn(steady, cut, Catalogue.build(steady, cut))
    orders = steady.table("orders").to_native().collect()
    known = (
        orders.filter(pl.col("day") < day)
        .group_by("customer_id")
        .agg(pl.len().alias("times"), pl.col("day").max(), pl.col("day").min().alias("first"))
    )
    known = known.join(
        orders.filter(pl.col("day").is_between(day, day + 6)).select("customer_id").unique(),
        on="customer_id",
        how="left",
        coalesce=False,
    )
    came = known["customer_id_right"].is_not_null().to_numpy()
    times = known["times"].to_numpy()
    gap = (known["day"] - known["first"]).to_numpy() / np.maximum(times - 1, 1)
    elapsed = day - known["day"].to_numpy()
    clock = rhythm.at(times, elapsed, gap, np.full(len(times), 10.0), 7)
    share = {state: came[clock.states == state].mean() for state in np.unique(clock.states)}
    assert share["due"] > share.get("soon", 0.5) > share.get("not_yet", 0.0) >= 0
    assert share["due"] > 0.5 > 0.1 > share["lapsed"]
    assert clock.chance.mean() == pytest.approx(came.mean(), abs=0.06)


def test_the_clock_weighs_a_customers_own_gaps_more_the_more_there_are(steady):
    rhythm = ReplenishmentCurve.learn(steady, AS_OF, Catalogue.build(steady, AS_OF))
    few, many = (rhythm.at([times], [0], [10.0], [30.0], 7).gap[0] for times in (2, 10))
    assert 10 < many < few < 30
    # With one purchase and a product of which nothing is known, the usual gap of all.
    assert rhythm.at([1], [0], [0.0], [np.nan], 7).gap[0] == pytest.approx(rhythm.usual_gap)


def test_later_orders_do_not_change_a_clock(steady):
    cut = AS_OF - timedelta(days=40)
    past = steady.table("orders").filter(nw.col("ts") < cut)
    before = Dataset.from_frames("past", {"orders": past.to_native().collect()})
    one, other = (
        ReplenishmentCurve.learn(d, cut, Catalogue.build(d, cut)) for d in (steady, before)
    )
    np.testing.assert_array_equal(one.hazard, other.hazard)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            Facts("repeat", ("habit", "offer"), 9, 11, 12.2, promoted=("discount",)),
            ["you buy this every 12 days", "reduced this week"],
        ),
        (
            Facts("repeat", ("habit", "rhythm"), 9, 11, 12.2, due=True, promoted=("discount",)),
            ["you buy this every 12 days", "about time again"],
        ),
        (Facts("repeat", times=1, age_days=21), ["you bought this 21 days ago"]),
        (
            Facts(
                "similar",
                ("neighbours", "kind", "offer"),
                goes_with="BREAD",
                often=True,
                kind="CHEESE",
                promoted=("display",),
                offered_here=True,
            ),
            ["goes with BREAD, which you buy", "on display here this week"],
        ),
        (Facts("popular", here=True), ["popular here now"]),
        # The chain's promotions stand in at a place that has no plan of its own.
        (
            Facts("popular", ("offer",), promoted=("display",), here=True),
            ["on display this week"],
        ),
        (Facts("neighbours"), ["customers who buy what you buy choose this"]),
        (Facts("new", like="TEA", new=True), ["new in the range"]),
        (Facts("new", like="TEA"), ["like TEA, which you bought"]),
        # What did not move the ranker is not told: neither the offer nor the season.
        (Facts("popular", ("kind", "season"), kind="TEA", promoted=("x",)), ["you often buy TEA"]),
        (Facts("seasonal", ("season",)), ["of the season"]),
    ],
)
def test_reasons_read_as_a_person_speaks(facts, told):
    assert sentences(facts) == told


def test_a_dataset_without_a_catalogue_or_money_has_lists_too():
    rows = [(f"c{n % 5}", f"o{n}", f"p{n % 7}", n % 50 + 1, "x") for n in range(200)]
    bare = shop(rows)
    orders = bare.table("orders").to_native().drop("revenue")
    dataset = Dataset.from_frames("bare", {"orders": orders})
    products = Catalogue.build(dataset, AS_OF + timedelta(days=1))
    assert products.size == 7
    assert (products.kinds == -1).all()
    assert np.isnan(products.price).all()
