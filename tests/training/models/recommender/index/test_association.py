"""Association: planted pairs are association, independent products are not associated."""

import numpy as np
import polars as pl
import pytest

from training.models.recommender.index.association import Association, discoveries, p_values


def baskets(rng, customers=300, each=10, products=60, together=(), size=4):
    """Independent baskets of popular and rare products, with planted pairs."""
    weight = 1 / np.arange(1, products + 1)
    rows = []
    for basket in range(customers * each):
        codes = set(rng.choice(products, size, replace=False, p=weight / weight.sum()).tolist())
        for first, second in together:
            if first in codes and rng.random() < 0.5:
                codes.add(second)
        rows += [(basket, basket // each, code) for code in codes]
    types = {"basket": pl.UInt32, "customer": pl.Int32, "code": pl.Int32}
    return pl.DataFrame(rows, types, orient="row")


def test_only_the_planted_pair_is_found():
    rng = np.random.default_rng(1)
    association = Association.from_baskets(baskets(rng, together=[(10, 30)]), 60)
    pairs = {
        tuple(sorted((code, int(partner))))
        for code in range(60)
        for partner in association.partner[association.span(code)]
    }
    assert (10, 30) in pairs
    assert len(pairs) <= 2
    pair = association.span(10).start + list(association.partner[association.span(10)]).index(30)
    assert association.lift[pair] > 3
    assert 0.3 < association.confidence[pair] < 0.8


def test_independent_products_are_not_associated():
    counts = []
    for seed in range(5):
        association = Association.from_baskets(baskets(np.random.default_rng(seed)), 60)
        counts.append(len(association.partner))
    assert sum(counts) <= 2


def test_mixed_basket_sizes_associate_nothing():
    rng = np.random.default_rng(2)
    small = baskets(rng, customers=150, size=2)
    large = baskets(rng, customers=150, size=20)
    large = large.with_columns(pl.col("basket") + 10_000, pl.col("customer") + 10_000)
    association = Association.from_baskets(pl.concat([small, large]), 60)
    assert len(association.partner) <= 6


def test_a_pair_bought_by_two_customers_only_is_not_associated():
    rows = baskets(np.random.default_rng(3))
    types = rows.schema
    pairs = [(50_000 + n, 9_000 + n % 2, code) for n in range(200) for code in (58, 59)]
    association = Association.from_baskets(
        pl.concat([rows, pl.DataFrame(pairs, types, orient="row")]), 60
    )
    assert 59 not in association.partner[association.span(58)]


def test_both_directions_of_a_pair_have_one_lift_and_support():
    association = Association.from_baskets(
        baskets(np.random.default_rng(4), together=[(10, 30)]), 60
    )
    forward, backward = (
        association.span(a).start + list(association.partner[association.span(a)]).index(b)
        for a, b in ((10, 30), (30, 10))
    )
    assert association.lift[forward] == association.lift[backward]
    assert association.support[forward] == association.support[backward]


def test_weights_of_several_products_add_up():
    association = Association.from_baskets(
        baskets(np.random.default_rng(4), together=[(10, 30), (11, 30)]), 60
    )
    one, both = (
        association.total_weights(np.array([10])),
        association.total_weights(np.array([10, 11])),
    )
    assert one[30] == pytest.approx(association.weight[association.span(10)][0])
    assert both == pytest.approx(one + association.total_weights(np.array([11])))
    assert both.argmax() == 30
    assert not association.total_weights(np.zeros(0, np.int64)).any()


def test_fewer_customers_make_a_pair_less_significant():
    many, few = p_values(np.array([40.0, 40.0]), np.array([40.0, 4.0]), np.array([10.0, 10.0]))
    assert many < few


def test_the_false_discovery_rate_counts_pairs_that_never_occur():
    p = np.array([1e-6, 1e-3])
    assert discoveries(p, 2).tolist() == [True, True]
    assert discoveries(p, 10_000).tolist() == [True, False]
