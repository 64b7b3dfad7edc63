from datetime import datetime

import numpy as np
import pytest

from training.customers.cutoffs import Cutoff
from training.models.churn.task import CHURN
from training.models.next_purchase.baselines import kaplan_meier
from training.models.next_purchase.task import NEXT_PURCHASE

AS_OF = datetime(2017, 11, 6)
CASES = [(task, name) for task in (CHURN, NEXT_PURCHASE) for name in task.baselines]


@pytest.mark.parametrize(("task", "name"), CASES, ids=[f"{t.name}-{n}" for t, n in CASES])
def test_a_baseline_answers_for_those_asked_in_their_order(task, name, journey):
    options = task.options(journey)
    ids = task.population(journey, AS_OF, options).head(15).reverse()
    method = task.baselines[name](**options).fit(journey, AS_OF)
    answer = method.predict(journey, AS_OF, ids)
    assert answer.get_column("customer_id").equals(ids.get_column("customer_id"))
    assert sum(answer.null_count().row(0)) == 0


def test_kaplan_meier_is_the_product_of_who_stayed_among_those_still_followed():
    one = Cutoff(0, None, np.array([0, 2, 5]), np.array([True, True, False]), 5)
    cut_short = Cutoff(0, None, np.array([0, 2]), np.array([True, False]), 2)
    curve = kaplan_meier([one, cut_short], 5)
    stayed = (1 - 2 / 5) * (1 - 1 / 2)
    np.testing.assert_allclose(curve, [0.4, 0.4, 1 - stayed, 1 - stayed, 1 - stayed])
