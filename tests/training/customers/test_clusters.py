"""Behavioural clusters of customers."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from training.customers.clusters import Clusters, stability
from training.customers.cutoffs import customer_features

AS_OF = datetime(2017, 12, 4)


@pytest.fixture(scope="module")
def features(journey):
    return customer_features(journey, AS_OF)


@pytest.fixture(scope="module")
def clusters(features):
    return Clusters.fit(features)


def shoppers(seed=0):
    """Return customers of three kinds: daily small baskets, weekly full ones, rare discounts."""
    generator = np.random.default_rng(seed)
    kind = np.repeat([0, 1, 2], 80)

    def noisy(values, noise):
        return np.array(values)[kind] * np.exp(generator.normal(0, noise, len(kind)))

    features = pl.DataFrame(
        {
            "visits": noisy([150, 50, 10], 0.1),
            "tenure": noisy([350, 350, 350], 0.05),
            "lines_per_visit": noisy([3, 30, 12], 0.1),
            "discount_share": noisy([0.1, 0.1, 0.5], 0.1),
            "weekday_share_5": noisy([0.1, 0.1, 0.4], 0.1),
            "weekday_share_6": noisy([0.1, 0.1, 0.4], 0.1),
            "gap_sd": noisy([1, 3, 20], 0.1),
            "gap_mean": noisy([2, 7, 35], 0.1),
        }
    )
    return features, kind


def test_known_kinds_of_customers_are_clustered_and_named():
    features, kind = shoppers()
    clusters = Clusters.fit(features)
    labels = clusters.assign(features)
    assert adjusted_rand_score(kind, labels) > 0.95
    name = dict(zip(kind, clusters.name_of_each(features), strict=True))
    assert "often" in name[0]
    assert "full basket" in name[1]
    assert "on offer" in name[2] or "at weekends" in name[2] or "seldom" in name[2]


def test_equal_customers_are_one_cluster():
    features, _ = shoppers()
    equal = pl.concat([features.head(1)] * 150)
    clusters = Clusters.fit(equal)
    assert clusters.names == ("everyone",)
    assert set(clusters.name_of_each(equal)) == {"everyone"}
    assert len(Clusters.fit(pl.concat([equal, features.tail(1)])).names) == 1


def test_every_customer_has_one_of_the_distinct_names(clusters, features):
    assert len(set(clusters.names)) == len(clusters.names) >= 3
    assert set(clusters.name_of_each(features)) == set(clusters.names)


def test_the_same_customers_give_the_same_clusters(features, clusters):
    assert Clusters.fit(features) == clusters


def test_the_cluster_of_a_customer_does_not_depend_on_other_rows(features, clusters):
    many = clusters.assign(features)
    assert [clusters.assign(features[k : k + 1])[0] for k in range(20)] == many[:20].tolist()


def test_saved_clusters_are_loaded_unchanged(features, clusters, tmp_path):
    clusters.save(tmp_path / "clusters.json")
    assert Clusters.load(tmp_path / "clusters.json") == clusters


def test_few_customers_are_one_cluster(features):
    few = Clusters.fit(features.head(20))
    assert set(few.name_of_each(features)) == {"everyone"}


def test_traits_without_their_features_are_left_out(features):
    reduced = features.select(pl.col("^(visits|tenure|gap_.*|weekday_.*|lines_per_visit)$"))
    assert "price" not in Clusters.fit(reduced).traits


def test_clusters_are_stable_over_four_weeks(journey):
    (comparison,) = stability(journey, AS_OF, (28,))
    assert comparison.adjusted_rand > 0.3
    assert comparison.stayed > 0.7


def test_orders_at_or_after_as_of_do_not_change_clusters(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    known = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    assert Clusters.fit(customer_features(known, AS_OF)) == Clusters.fit(
        customer_features(journey, AS_OF)
    )
