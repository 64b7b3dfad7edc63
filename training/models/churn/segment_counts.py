"""Counts of customers by lifecycle stage, RFM segment and behavioural cluster.

In: a churn model, a dataset and an instant. Out: a document of counts, cluster centres and the
stability of clusters over time.
"""

from datetime import datetime
from typing import Any

from features.calendar import to_day
from features.dataset import Dataset
from training.customers.clusters import Clusters, stability
from training.customers.cutoffs import customer_features
from training.models.churn.model import ChurnModel

# Days before the instant at which the clusters are compared: one and three months.
DAYS_BEFORE = (28, 91)


def segment_counts(model: ChurnModel, dataset: Dataset, as_of: datetime) -> dict[str, Any]:
    """Count customers by stage, RFM segment and cluster, and measure the stability of clusters.

    Parameters
    ----------
    model
        Stages depend on its probabilities.
    dataset, as_of
        The records before `as_of` are known.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    features = customer_features(dataset, as_of)
    clusters = Clusters.fit(features)
    customers = model.segments(features).with_columns(clusters.name_of_each(features))
    history_days = to_day(as_of) - dataset.days[0]
    return {
        "horizon_days": model.horizon_days,
        "customers": customers.height,
        **{
            name: customers.get_column(name).value_counts(sort=True, name="customers").to_dicts()
            for name in ("stage", "rfm_segment", "cluster")
        },
        "centres": {
            name: dict(zip(clusters.traits, centre, strict=True))
            for name, centre in zip(clusters.names, clusters.centres, strict=True)
        },
        "stability": [
            {
                "as_of": comparison.as_of.isoformat(),
                "customers": comparison.customers,
                "adjusted_rand": comparison.adjusted_rand,
                "stayed": comparison.stayed,
            }
            for comparison in stability(
                dataset, as_of, tuple(days for days in DAYS_BEFORE if days < history_days)
            )
        ],
    }
