"""Re-ranking: order, categories, diversity and pinned products, on generated candidates."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidInput
from serving.recommender.rerank import Slate, require_codes, rerank
from training.models.recommender.index.catalogue import Catalogue


def catalogue(categories):
    frame = pl.DataFrame(
        {
            "product_id": [str(code) for code in range(len(categories))],
            "subcategory": categories,
            "price": [1.0] * len(categories),
            "share": pl.Series([0.1] * len(categories), dtype=pl.Float32),
            "buyers": [1] * len(categories),
            "gap": [7.0] * len(categories),
            "discontinued": [False] * len(categories),
        }
    )
    return Catalogue(
        frame, pl.DataFrame(schema={"location_id": pl.String, "product_id": pl.String})
    )


# Category and score of each candidate.
CANDIDATES = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0.01, 1)), min_size=1, max_size=30
)


@given(CANDIDATES, st.integers(1, 12), st.floats(0, 1), st.sets(st.integers(0, 29), max_size=4))
@settings(max_examples=60, deadline=None)
def test_each_allowed_product_is_listed_once_and_no_category_twice_in_a_row(
    rows, k, diversity, barred
):
    products = catalogue([category for category, _ in rows])
    scores = np.array([score for _, score in rows])
    codes = np.arange(len(rows), dtype=np.int32)
    allowed = ~np.isin(codes, list(barred))
    shown = rerank(codes, scores, allowed, products, Slate(k, diversity))
    assert len(shown) == min(k, int(allowed.sum()))
    assert len(set(shown)) == len(shown)
    assert not set(shown) & barred
    categories = [rows[code][0] for code in shown]
    for position in range(1, len(shown)):
        if categories[position] == categories[position - 1]:
            left = [rows[code][0] for code in codes[allowed] if code not in shown[:position]]
            assert set(left) == {categories[position]}
    longer = rerank(codes, scores, allowed, products, Slate(k + 3, diversity))
    assert longer[: len(shown)] == shown


@given(CANDIDATES)
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_candidates_does_not_matter(rows):
    products = catalogue([category for category, _ in rows])
    scores = np.array([score for _, score in rows])
    codes = np.arange(len(rows), dtype=np.int32)
    allowed = np.ones(len(rows), bool)
    shown = rerank(codes, scores, allowed, products, Slate(10, 0.3))
    reverse = rerank(codes[::-1], scores[::-1], allowed, products, Slate(10, 0.3))
    assert [int(codes[::-1][position]) for position in reverse] == shown


def test_the_product_before_a_pinned_one_has_another_category():
    products = catalogue(["a", "b", "a", "b"])
    codes, scores = np.arange(4, dtype=np.int32), np.array([0.9, 0.8, 0.7, 0.1])
    slate = Slate(4, pinned={2: 2})
    shown = rerank(codes, scores, np.ones(4, bool), products, slate)
    assert shown[:2] == [1, 2]


def test_products_pinned_beyond_the_last_candidate_move_up():
    products = catalogue(["a", "b", "c", "d"])
    codes, scores = np.array([0, 1], np.int32), np.array([0.9, 0.8])
    slate = Slate(9, pinned={6: 2, 9: 3})
    allowed = np.ones(4, bool)
    assert rerank(codes, scores, allowed, products, slate) == [0, 1, -3, -4]
    none = np.zeros(0, np.int32)
    assert rerank(none, np.zeros(0), allowed, products, slate) == [-3, -4]


def test_an_unknown_product_is_refused_by_its_position():
    with pytest.raises(InvalidInput) as error:
        require_codes(catalogue(["a"]), ["0", "7"], "pinned")
    assert error.value.field == "pinned[1]"
