"""Where candidates come from, on real households and on histories small enough to check by hand."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from features.dataset import Dataset
from training.models.recommender.candidates import RecommenderInputs, collect, default_generators
from training.models.recommender.candidates.base import DenseScores, SparseScores
from training.models.recommender.candidates.cold_start import ColdStart
from training.models.recommender.candidates.ease import Ease
from training.models.recommender.candidates.popular import Popular
from training.models.recommender.candidates.popular_at_location import PopularAtLocation
from training.models.recommender.candidates.repeat import Repeat
from training.models.recommender.candidates.same_category import SameCategory
from training.models.recommender.candidates.seasonal import Seasonal
from training.models.recommender.candidates.tifu_knn import TifuKnn
from training.models.recommender.candidates.user_knn import UserKnn
from training.models.recommender.inputs.interactions import MIN_LINES, NEW_DAYS, interactions_at

AS_OF = datetime(2017, 10, 9)
NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))


@pytest.fixture(scope="module")
def known(journey):
    return interactions_at(journey, AS_OF)


@pytest.fixture(scope="module")
def inputs(journey, known):
    return RecommenderInputs.at(journey, AS_OF, known)


@pytest.fixture(scope="module")
def cols(known):
    return np.sort(known.most_popular(400))


@pytest.fixture(scope="module")
def pairs(cols):
    """Every one of ten customers with every scored product."""
    return np.repeat(np.arange(10), len(cols)), np.tile(cols, 10)


def test_histories_hold_each_pair_once_in_order(known):
    keys = known.rows * known.shape[1] + known.cols
    assert (np.diff(keys) > 0).all()


def test_histories_leave_out_products_that_hardly_sell_unless_they_are_new(known):
    old = np.setdiff1d(np.arange(known.shape[1]), known.new_products)
    assert known.product_features["lines"][old].min() >= MIN_LINES
    assert (known.product_features["first_days"][old] > NEW_DAYS).all()


def test_a_pair_never_bought_is_not_found(known):
    bought = set(known.cols[known.rows == 0].tolist())
    never = next(col for col in range(known.shape[1]) if col not in bought)
    assert known.find(np.array([0]), np.array([never])).tolist() == [-1]


@pytest.mark.parametrize("source", default_generators(), ids=lambda source: source.name)
def test_every_source_scores_customers_alike_alone_and_together(source, inputs, cols, pairs):
    fitted = source.fit(inputs, cols)
    together = fitted.scores(np.arange(10)).at(*pairs)
    alone = [
        fitted.scores(np.array([row])).at(np.zeros(len(cols), np.int64), cols) for row in range(10)
    ]
    assert np.array_equal(together, np.concatenate(alone), equal_nan=True)


@pytest.mark.parametrize("source", default_generators(), ids=lambda source: source.name)
def test_no_source_proposes_more_than_its_limit_or_what_is_left_out(source, inputs, cols):
    scores = source.fit(inputs, cols).scores(np.arange(20))
    positions, products = scores.best(source.limit, NOTHING)
    if not len(positions):
        assert source.name == "seasonal"  # the bundled year has no year before it
        return
    out = (positions[:5], products[:5])
    rest = set(zip(*(part.tolist() for part in scores.best(source.limit, out)), strict=True))
    assert not rest & set(zip(*(part.tolist() for part in out), strict=True))
    assert np.bincount(positions).max() <= source.limit


def test_scores_at_zero_are_no_proposals():
    dense = DenseScores(np.array([3, 7]), np.array([[0.0, 2.0]], np.float32))
    assert dense.best(2, NOTHING)[1].tolist() == [7]


def test_sparse_proposals_are_each_customers_best_and_ties_go_to_the_lower_code():
    scores = SparseScores(sparse.csr_matrix(np.array([[0, 2, 1, 3, 2, 2], [0, 0, 0, 0, 0, 5]])))
    positions, products = scores.best(2, (np.array([0]), np.array([3])))
    assert list(zip(positions.tolist(), products.tolist(), strict=True)) == [(0, 1), (0, 4), (1, 5)]


def test_of_what_ties_at_the_limit_the_first_are_proposed():
    cols = np.array([3, 5, 7, 9])
    scores = np.array([[1, 2, 1, 1], [0, 1, 0, 1], [4, 3, 2, 1], [0, 0, 0, 0]], np.float32)
    positions, products = DenseScores(cols, scores).best(2, NOTHING)
    assert positions.tolist() == [0, 0, 1, 1, 2, 2]
    assert products.tolist() == [3, 5, 5, 9, 3, 5]
    nothing = DenseScores(cols[:0], scores[:, :0]).best(2, NOTHING)
    assert [part.tolist() for part in nothing] == [[], []]


def test_sparse_scores_are_zero_where_they_say_nothing(known, inputs, cols):
    own = Repeat().fit(inputs, cols).scores(np.array([0]))
    assert isinstance(own, SparseScores)
    never = np.setdiff1d(np.arange(known.shape[1]), known.cols[known.rows == 0])[:3]
    assert own.at(np.zeros(3, np.int64), never).tolist() == [0, 0, 0]


def test_ease_weights_are_the_inverse_of_the_regularised_gram(known, inputs, cols):
    few = cols[:30]
    ease = Ease(l2=10.0).fit(inputs, few)
    x = known.matrix(np.log1p(known.features["baskets"]), few).toarray().astype(float)
    for product in (0, 7):
        others = np.delete(np.arange(30), product)
        ridge = np.linalg.solve(
            x[:, others].T @ x[:, others] + 10.0 * np.eye(29), x[:, others].T @ x[:, product]
        )
        assert ease.weights_[others, product] == pytest.approx(ridge, abs=1e-4)
        assert ease.weights_[product, product] == 0.0


def test_nobody_is_their_own_neighbour(known, inputs, cols):
    everyone = np.arange(known.shape[0])
    near = TifuKnn(k=known.shape[0] - 1).fit(inputs, cols)
    others = near.seen_.toarray().sum(axis=0) - near.seen_.toarray()
    expected = others / (known.shape[0] - 1)
    assert near.scores(everyone).values == pytest.approx(expected, abs=1e-5)


def test_user_knn_leans_on_customers_with_the_same_range(inputs, cols):
    narrow = UserKnn(q=50.0, alpha=0.5).fit(inputs, cols)
    own_share = narrow.recent_[3].toarray().ravel()
    scores = narrow.scores(np.array([3])).values.ravel()
    assert np.corrcoef(scores, own_share)[0, 1] > 0.99


def test_popular_is_the_same_for_everyone_and_ordered_by_recent_baskets(known, inputs):
    top = known.most_popular(20)
    recent = known.sum_by_product("baskets_28d")[top]
    scores = Popular().fit(inputs, np.sort(top)).scores(np.array([0, 5])).values
    assert np.array_equal(scores[0], scores[1])
    assert (np.diff(recent) <= 0).all()


def test_own_candidates_are_the_liveliest(known, inputs, cols):
    positions, products = Repeat().fit(inputs, cols).scores(np.array([0])).best(5, NOTHING)
    fifth = np.sort(known.features["decay_basket"][known.rows == 0])[-5]
    chosen = known.features["decay_basket"][known.find(positions, products)]
    assert len(products) == 5
    assert chosen.min() >= fifth


def test_collected_candidates_are_distinct_and_the_others_add_only_what_is_new(known, inputs, cols):
    rows = np.arange(4)
    scores = [source.fit(inputs, cols).scores(rows) for source in (Repeat(), Popular())]
    positions, products = collect(scores, [20, 10], known.shape[1])
    pairs = set(zip(positions.tolist(), products.tolist(), strict=True))
    assert len(pairs) == len(positions)
    new = known.find(rows[positions], products) < 0
    assert np.bincount(positions[new], minlength=4).tolist() == [10] * 4


def lines(*rows: tuple[str, str, str, str, str], products: dict[str, str]) -> Dataset:
    """Order lines of (customer, order, product, day, location) and a catalogue of categories."""
    schema = ["customer_id", "order_id", "product_id", "ts", "location_id"]
    orders = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.col("ts").str.to_datetime("%Y-%m-%d", time_unit="us"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("sale").alias("kind"),
        pl.lit(1.0).alias("quantity"),
    )
    orders = orders.with_columns(pl.col("ts").dt.date().cast(pl.Int32).alias("day"))
    catalogue = pl.DataFrame({"product_id": list(products), "category": list(products.values())})
    return Dataset.from_frames("made", {"orders": orders, "products": catalogue})


def at(dataset: Dataset, as_of: datetime = AS_OF) -> tuple[RecommenderInputs, np.ndarray]:
    known = interactions_at(dataset, as_of)
    return RecommenderInputs.at(dataset, as_of, known), np.arange(known.shape[1])


def proposals(source, inputs: RecommenderInputs, cols: np.ndarray, customer: str) -> list[str]:
    row = inputs.interactions.customer_codes(pl.Series([customer]))
    _, products = source.fit(inputs, cols).scores(row).best(3, NOTHING)
    return inputs.interactions.products[products].tolist()


@pytest.fixture
def two_shops() -> Dataset:
    bought = [
        (customer, f"{customer}{week}", product, f"2017-09-{4 + 7 * week:02d}", shop)
        for customer, product, shop in (("a", "milk", "north"), ("b", "tea", "south"))
        for week in range(4)
    ]
    more = [
        ("b", f"b{week}", "coffee", f"2017-09-{4 + 7 * week:02d}", "south") for week in range(4)
    ]
    new = [*more, ("b", "n", "cheese", "2017-10-02", "south")]
    kinds = {"milk": "dairy", "cheese": "dairy", "tea": "drinks", "coffee": "drinks"}
    return lines(*bought, *new, products=kinds)


def test_popular_here_puts_what_sells_at_the_customers_shop_first(two_shops):
    inputs, cols = at(two_shops)
    scores = PopularAtLocation().fit(inputs, cols).scores(np.array([0, 1])).values
    milk, tea = (list(inputs.interactions.products).index(name) for name in ("milk", "tea"))
    assert scores[0, milk] > scores[1, milk]
    assert scores[1, tea] > scores[0, tea]


def test_a_new_product_is_proposed_to_those_who_buy_its_like(two_shops):
    inputs, cols = at(two_shops)
    assert "cheese" in proposals(ColdStart(), inputs, cols, "a")


def test_other_products_of_a_kind_are_proposed_to_its_buyers(two_shops):
    inputs, cols = at(two_shops)
    assert proposals(SameCategory(), inputs, cols, "a") == ["cheese", "milk"]


def test_what_sold_in_these_weeks_a_year_ago_is_in_season():
    old = [("a", f"o{k}", "pumpkin", f"2016-10-{12 + k}", "x") for k in range(4)]
    now = [("a", f"n{k}", "milk", f"2017-09-{12 + k}", "x") for k in range(4)]
    recent = [("a", "n9", "pumpkin", "2017-09-01", "x")]
    first = [("a", "o0", "milk", "2016-09-01", "x")]
    products = {"pumpkin": "veg", "milk": "dairy"}
    inputs, cols = at(lines(*first, *old, *recent, *now, products=products))
    assert proposals(Seasonal(), inputs, cols, "a") == ["pumpkin"]
