"""Comparison of lists with later purchases."""

from datetime import datetime

import numpy as np
import pytest

from features.dataset import Dataset
from training.models.recommender import hits
from training.models.recommender.inputs.interactions import interactions_at
from training.models.recommender.task import RECOMMENDER

AS_OF = datetime(2017, 11, 6)


def test_evaluated_customers_are_limited_to_an_evenly_spaced_part(
    households, options, recommendations, monkeypatch
):
    # Before the limit: what is computed for the shared dataset is kept.
    complete = hits.customer_metrics(households, AS_OF, options, recommendations)["ndcg_10"]
    all_rows = hits.truth_at(households, AS_OF, options).rows
    monkeypatch.setattr(hits, "MAX_EVALUATED", 40)
    limited = Dataset(households.name, households.snapshot, households.tables)
    ids = RECOMMENDER.population(limited, AS_OF, options)
    interactions = interactions_at(limited, AS_OF)
    truth = hits.truth_at(limited, AS_OF, options)
    some = recommendations.join(ids, on="customer_id", how="semi")
    part = hits.customer_metrics(limited, AS_OF, options, some)["ndcg_10"]
    assert ids.height == 40
    assert 0 < len(truth.rows) <= 40
    assert set(interactions.customers[truth.rows]) <= set(ids.get_column("customer_id"))
    # Sums over another number of rows may differ in their last bit.
    assert part.tolist() == pytest.approx(complete[np.isin(all_rows, truth.rows)].tolist())
