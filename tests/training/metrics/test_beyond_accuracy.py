"""Properties of lists, against values computed by hand."""

import numpy as np
import pytest

from training import metrics

LISTS = np.array([[0, 1, 2], [0, 3, -1]])


def test_coverage_counts_each_product_once():
    assert metrics.catalogue_coverage(LISTS, 8) == 0.5


def test_novelty_is_self_information_in_bits():
    assert metrics.novelty(LISTS, [0.5, 0.25, 0.125, 0.5]) == pytest.approx([2.0, 1.0])


def test_distance_is_one_without_common_groups_and_zero_within_one_group():
    group = (1.0, np.array([0, 1, 2, 0]))
    assert metrics.intra_list_distance(LISTS, [group]) == pytest.approx([1.0, 0.0])
    wider = (0.5, np.array([0, 0, 0, 0]))
    assert metrics.intra_list_distance(LISTS, [group, wider]) == pytest.approx([0.5, 0.0])


def test_products_without_a_group_are_similar_to_none():
    none = (1.0, np.full(4, -1))
    assert metrics.intra_list_distance(LISTS, [none]) == pytest.approx([1.0, 1.0])


def test_the_long_tail_excludes_the_best_sellers():
    sales = [70.0, 15.0, 10.0, 5.0]
    assert metrics.long_tail(sales).tolist() == [False, False, True, True]
    assert metrics.long_tail_share(LISTS, sales) == pytest.approx([1 / 3, 1 / 2])


def test_the_popularity_lift_is_zero_for_lists_as_popular_as_purchases():
    sales = [3.0, 2.0, 1.0, 5.0]
    assert metrics.popularity_lift(LISTS, sales, [2.0, 2.0]) == pytest.approx([0.0, 1.0])


def test_the_popularity_lift_is_finite_for_customers_with_unpopular_purchases():
    lift = metrics.popularity_lift(LISTS, [3.0, 2.0, 1.0, 5.0], [4.0, 0.0])
    assert lift.mean() == pytest.approx((2.0 + 4.0) / (4.0 + 0.0) - 1)


def test_the_price_gap_is_the_relative_price_difference():
    log_price = np.log([1.0, 2.0, 4.0, 1.0])
    assert metrics.price_gap(LISTS, log_price, np.log([2.0, 0.5])) == pytest.approx([0.0, 1.0])
