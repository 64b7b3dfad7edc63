"""What goes with what: pairs that were planted are found, and chance finds none."""

import numpy as np
import polars as pl
import pytest

from training.models.recommender.index.association import Association, discoveries, p_values


def baskets(rng, customers=300, each=10, products=60, together=(), size=4):
    """Independent baskets of popular and rare products, into which pairs are planted."""
    chance = 1 / np.arange(1, products + 1)
    rows = []
    for basket in range(customers * each):
        held = set(rng.choice(products, size, replace=False, p=chance / chance.sum()).tolist())
        for first, second in together:
            if first in held and rng.random() < 0.5:
                held.add(second)
        rows += [(basket, basket // each, code) for code in held]
    types = {"basket": pl.UInt32, "customer": pl.Int32, "code": pl.Int32}
    return pl.DataFrame(rows, types, orient="row")


def test_a_planted_pair_is_found_and_nothing_else_is():
    rng = np.random.default_rng(1)
    found = Association.of(baskets(rng, together=[(10, 30)]), 60)
    pairs = {
        tuple(sorted((code, int(other))))
        for code in range(60)
        for other in found.partner[found.span(code)]
    }
    assert (10, 30) in pairs
    assert len(pairs) <= 2
    at = found.span(10).start + list(found.partner[found.span(10)]).index(30)
    assert found.lift[at] > 3
    assert 0.3 < found.confidence[at] < 0.8


def test_independent_products_are_not_associated():
    counts = []
    for seed in range(5):
        found = Association.of(baskets(np.random.default_rng(seed)), 60)
        counts.append(len(found.partner))
    assert sum(counts) <= 2


def test_large_baskets_beside_small_ones_associate_nothing():
    rng = np.random.default_rng(2)
    small = baskets(rng, customers=150, size=2)
    large = baskets(rng, customers=150, size=20)
    large = large.with_columns(pl.col("basket") + 10_000, pl.col("customer") + 10_000)
    found = Association.of(pl.concat([small, large]), 60)
    assert len(found.partner) <= 6


def test_the_habit_of_two_customers_is_no_association():
    rows = baskets(np.random.default_rng(3))
    types = rows.schema
    habit = [(50_000 + at, 9_000 + at % 2, code) for at in range(200) for code in (58, 59)]
    found = Association.of(pl.concat([rows, pl.DataFrame(habit, types, orient="row")]), 60)
    assert 59 not in found.partner[found.span(58)]


def test_both_directions_of_a_pair_have_one_lift_and_support():
    found = Association.of(baskets(np.random.default_rng(4), together=[(10, 30)]), 60)
    there, back = (
        found.span(a).start + list(found.partner[found.span(a)]).index(b)
        for a, b in ((10, 30), (30, 10))
    )
    assert found.lift[there] == found.lift[back]
    assert found.support[there] == found.support[back]


def test_products_speak_together_for_what_each_of_them_goes_with():
    found = Association.of(baskets(np.random.default_rng(4), together=[(10, 30), (11, 30)]), 60)
    one, both = found.of_all(np.array([10])), found.of_all(np.array([10, 11]))
    assert one[30] == pytest.approx(found.weight[found.span(10)][0])
    assert both == pytest.approx(one + found.of_all(np.array([11])))
    assert both.argmax() == 30
    assert not found.of_all(np.zeros(0, np.int64)).any()


def test_fewer_customers_make_a_pair_less_sure():
    many, few = p_values(np.array([40.0, 40.0]), np.array([40.0, 4.0]), np.array([10.0, 10.0]))
    assert many < few


def test_false_discoveries_are_bounded_by_all_tests_not_those_seen():
    p = np.array([1e-6, 1e-3])
    assert discoveries(p, 2).tolist() == [True, True]
    assert discoveries(p, 10_000).tolist() == [True, False]
