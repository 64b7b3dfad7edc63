"""How a shop's customers divide: by stage, RFM segment and cluster, and how long clusters hold.

A dataset and an instant in, plain counts out; churn's runs keep them, `foresell segments` shows
them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import narwhals as nw

from features.calendar import to_day
from features.customers.segments import Rfm, stage
from features.dataset import Dataset
from training.customers.clusters import Clusters, stability
from training.customers.cutoffs import customer_features

# The clusters of today are compared with those of one and of three months before.
DAYS_BEFORE = (28, 91)


def segment_counts(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> dict[str, Any]:
    """Count customers by stage, RFM segment and cluster, and say how stable the clusters are.

    Parameters
    ----------
    options
        Those of churn; the horizon tells the stages.

    Raises
    ------
    MissingData
        If there are no order lines with a customer.
    """
    features = customer_features(dataset, as_of)
    frame = nw.from_native(features).lazy()
    named = Rfm.fit(frame).with_segments(frame)
    named = named.with_columns(stage(options["horizon_days"]).alias("stage"))
    found = Clusters.fit(features)
    laid = named.collect().to_polars().with_columns(found.named(features))
    known = to_day(as_of) - dataset.days[0]
    return {
        "horizon_days": options["horizon_days"],
        "customers": laid.height,
        **{
            name: laid.get_column(name).value_counts(sort=True, name="customers").to_dicts()
            for name in ("stage", "rfm_segment", "cluster")
        },
        "centres": {
            name: dict(zip(found.traits, centre, strict=True))
            for name, centre in zip(found.names, found.centres, strict=True)
        },
        "stability": [
            {
                "as_of": one.as_of.isoformat(),
                "customers": one.customers,
                "adjusted_rand": one.adjusted_rand,
                "stayed": one.stayed,
            }
            for one in stability(dataset, as_of, tuple(d for d in DAYS_BEFORE if d < known))
        ],
    }
