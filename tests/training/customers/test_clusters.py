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
def groups(features):
    return Clusters.fit(features)


def shoppers(seed=0):
    """Three kinds: daily small baskets, weekly full ones, and seldom, on offer, at weekends."""
    generator = np.random.default_rng(seed)
    kind = np.repeat([0, 1, 2], 80)

    def about(values, noise):
        return np.array(values)[kind] * np.exp(generator.normal(0, noise, len(kind)))

    features = pl.DataFrame(
        {
            "visits": about([150, 50, 10], 0.1),
            "tenure": about([350, 350, 350], 0.05),
            "lines_per_visit": about([3, 30, 12], 0.1),
            "discount_share": about([0.1, 0.1, 0.5], 0.1),
            "weekday_share_5": about([0.1, 0.1, 0.4], 0.1),
            "weekday_share_6": about([0.1, 0.1, 0.4], 0.1),
            "gap_sd": about([1, 3, 20], 0.1),
            "gap_mean": about([2, 7, 35], 0.1),
        }
    )
    return features, kind


def test_known_kinds_of_shoppers_are_found_and_named():
    features, kind = shoppers()
    groups = Clusters.fit(features)
    labels = groups.assign(features)
    assert adjusted_rand_score(kind, labels) > 0.95
    name = dict(zip(kind, groups.named(features), strict=True))
    assert "often" in name[0]
    assert "full basket" in name[1]
    assert "on offer" in name[2] or "at weekends" in name[2] or "seldom" in name[2]


def test_customers_who_are_all_alike_are_one_group():
    features, _ = shoppers()
    alike = pl.concat([features.head(1)] * 150)
    groups = Clusters.fit(alike)
    assert groups.names == ("everyone",)
    assert set(groups.named(alike)) == {"everyone"}
    assert len(Clusters.fit(pl.concat([alike, features.tail(1)])).names) == 1


def test_every_customer_has_one_of_the_names_and_no_name_comes_twice(groups, features):
    assert len(set(groups.names)) == len(groups.names) >= 3
    assert set(groups.named(features)) == set(groups.names)


def test_the_same_customers_give_the_same_groups(features, groups):
    assert Clusters.fit(features) == groups


def test_one_alone_is_assigned_as_among_many(features, groups):
    many = groups.assign(features)
    assert [groups.assign(features[k : k + 1])[0] for k in range(20)] == many[:20].tolist()


def test_groups_that_were_saved_say_the_same(features, groups, tmp_path):
    groups.save(tmp_path / "clusters.json")
    assert Clusters.load(tmp_path / "clusters.json") == groups


def test_too_few_customers_are_one_group(features):
    few = Clusters.fit(features.head(20))
    assert set(few.named(features)) == {"everyone"}


def test_a_log_without_money_or_products_is_grouped_by_what_it_has(features):
    bare = features.select(pl.col("^(visits|tenure|gap_.*|weekday_.*|lines_per_visit)$"))
    assert "price" not in Clusters.fit(bare).traits


def test_groups_hold_over_four_weeks_better_than_chance(journey):
    (found,) = stability(journey, AS_OF, (28,))
    assert found.adjusted_rand > 0.3
    assert found.stayed > 0.7


def test_the_future_changes_no_group(journey, rewritten):
    orders = journey.table("orders").to_native().collect()
    known = rewritten(journey, orders=orders.filter(pl.col("ts") < AS_OF))
    assert Clusters.fit(customer_features(known, AS_OF)) == Clusters.fit(
        customer_features(journey, AS_OF)
    )
