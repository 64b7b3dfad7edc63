"""Check that records have revenue: a dataset and an instant in, an error if there is none."""

from datetime import datetime

import narwhals as nw

from features.customers.integer_sums import MONEY_UNIT
from features.dataset import Dataset
from features.errors import MissingData
from features.returns import net_purchases


def check_revenue(dataset: Dataset, as_of: datetime) -> None:
    """Check that a purchase by a known customer before `as_of` has revenue.

    Raises
    ------
    MissingData
        Naming `orders.revenue`.
    """
    for column in ("customer_id", "revenue"):
        dataset.require("orders", column, by="value")
    paid = net_purchases(dataset, as_of).filter(
        ~nw.col("customer_id").is_null(), nw.col("revenue") * MONEY_UNIT >= 1
    )
    if paid.select("revenue").head(1).collect().is_empty():
        raise MissingData(
            f"value needs what customers pay, and no purchase by a known customer in dataset "
            f"{dataset.name} before {as_of.date()} has a revenue above 0. Map the column that "
            "holds it, or leave value out.",
            field="orders.revenue",
        )
