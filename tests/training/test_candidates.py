"""Where candidates come from, on histories small enough to check by hand."""

from datetime import datetime

import numpy as np
import pytest

from training.models import histories
from training.models.candidates import (
    Ease,
    Neighbours,
    Popular,
    UserPopularity,
    best,
    collect,
    default_sources,
    own,
)

AS_OF = datetime(2017, 10, 9)


@pytest.fixture(scope="module")
def known(journey):
    return histories.known_at(journey, AS_OF)


@pytest.fixture(scope="module")
def cols(known):
    return np.sort(known.most_popular(400))


def test_histories_hold_each_pair_once_in_order(known):
    keys = known.rows * known.shape[1] + known.cols
    assert (np.diff(keys) > 0).all()


def test_histories_leave_out_products_that_hardly_sell(known):
    assert known.by_product("lines").min() >= histories.MIN_LINES


def test_a_pair_never_bought_is_not_found(known):
    bought = set(known.cols[known.rows == 0].tolist())
    never = next(col for col in range(known.shape[1]) if col not in bought)
    assert known.find(np.array([0]), np.array([never])).tolist() == [-1]


@pytest.mark.parametrize("source", default_sources(), ids=lambda source: source.name)
def test_every_source_scores_customers_alike_alone_and_together(source, known, cols):
    fitted = source.fit(known, cols)
    together = fitted.scores(np.arange(10))
    alone = np.concatenate([fitted.scores(np.array([row])) for row in range(10)])
    assert together.shape == (10, len(cols))
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("source", default_sources(), ids=lambda source: source.name)
def test_every_source_proposes_something_to_everyone(source, known, cols):
    scores = source.fit(known, cols).scores(np.arange(50))
    assert best(scores, source.limit).any(axis=1).all()


def test_ease_weights_are_the_inverse_of_the_regularised_gram(known, cols):
    few = cols[:30]
    ease = Ease(l2=10.0).fit(known, few)
    x = known.matrix(np.log1p(known.pairs["baskets"]), few).toarray().astype(float)
    for product in (0, 7):
        others = np.delete(np.arange(30), product)
        ridge = np.linalg.solve(
            x[:, others].T @ x[:, others] + 10.0 * np.eye(29), x[:, others].T @ x[:, product]
        )
        assert ease.weights_[others, product] == pytest.approx(ridge, abs=1e-4)
        assert ease.weights_[product, product] == 0.0


def test_nobody_is_their_own_neighbour(known, cols):
    everyone = np.arange(known.shape[0])
    near = Neighbours(k=known.shape[0] - 1).fit(known, cols)
    others = near.seen_.toarray().sum(axis=0) - near.seen_.toarray()
    assert near.scores(everyone) == pytest.approx(others / (known.shape[0] - 1), abs=1e-5)


def test_user_popularity_leans_on_customers_with_the_same_range(known, cols):
    narrow = UserPopularity(q=50.0, alpha=0.5).fit(known, cols)
    own_share = narrow.recent_[3].toarray().ravel()
    scores = narrow.scores(np.array([3])).ravel()
    assert np.corrcoef(scores, own_share)[0, 1] > 0.99


def test_popular_is_the_same_for_everyone_and_ordered_by_recent_baskets(known):
    top = known.most_popular(20)
    recent = known.by_product("baskets_28d")[top]
    scores = Popular().fit(known, top).scores(np.array([0, 5]))
    assert np.array_equal(scores[0], scores[1])
    assert (np.diff(recent) <= 0).all()


def test_own_candidates_are_the_liveliest(known):
    rows, cols = own(known, np.array([0]), 5)
    mine = known.rows == 0
    fifth = np.sort(known.pairs["decay_basket"][mine])[-5]
    chosen = known.pairs["decay_basket"][known.find(rows, cols)]
    assert len(cols) == 5
    assert chosen.min() >= fifth


def test_collected_candidates_are_distinct_and_hold_every_proposal(known, cols):
    rows = np.arange(4)
    scores = Popular().fit(known, cols).scores(rows)
    positions, products = collect(known, rows, cols, [scores], [10], own_limit=20)
    pairs = set(zip(positions.tolist(), products.tolist(), strict=True))
    assert len(pairs) == len(positions)
    assert {(0, int(col)) for col in known.most_popular(10)} <= pairs
