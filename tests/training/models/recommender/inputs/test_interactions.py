"""Interactions of real households as coded arrays."""

from datetime import datetime

import numpy as np
import pytest

from training.models.recommender.inputs.interactions import MIN_LINES, NEW_DAYS, interactions_at

AS_OF = datetime(2017, 10, 9)


@pytest.fixture(scope="module")
def interactions(journey):
    return interactions_at(journey, AS_OF)


def test_pairs_are_distinct_and_ordered(interactions):
    keys = interactions.rows * interactions.shape[1] + interactions.cols
    assert (np.diff(keys) > 0).all()


def test_products_with_few_lines_are_left_out_unless_they_are_new(interactions):
    old = np.setdiff1d(np.arange(interactions.shape[1]), interactions.new_products)
    assert interactions.product_features["lines"][old].min() >= MIN_LINES
    assert (interactions.product_features["first_days"][old] > NEW_DAYS).all()


def test_a_pair_that_was_never_bought_is_not_found(interactions):
    bought = set(interactions.cols[interactions.rows == 0].tolist())
    never = next(col for col in range(interactions.shape[1]) if col not in bought)
    assert interactions.find(np.array([0]), np.array([never])).tolist() == [-1]
