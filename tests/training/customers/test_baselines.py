from datetime import datetime

import polars as pl
import pytest

from training.models.churn.task import CHURN
from training.models.next_purchase.task import NEXT_PURCHASE

AS_OF = datetime(2017, 11, 6)
CASES = [(task, name) for task in (CHURN, NEXT_PURCHASE) for name in task.baselines]


@pytest.mark.parametrize(("task", "name"), CASES, ids=[f"{t.name}-{n}" for t, n in CASES])
def test_a_baseline_predicts_for_the_requested_customers_in_their_order(task, name, journey):
    options = task.options(journey)
    ids = task.population(journey, AS_OF, options).head(15).reverse()
    baseline = task.baselines[name](**options).fit(journey, AS_OF)
    predictions = baseline.predict(journey, AS_OF, ids)
    assert predictions.get_column("customer_id").equals(ids.get_column("customer_id"))
    # Days are null where they lie beyond the follow-up.
    known = predictions.select(pl.exclude("expected_days", "q10", "q50", "q90"))
    assert sum(known.null_count().row(0)) == 0
