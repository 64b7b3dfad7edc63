"""Published folder of churn: a fitted model in, `PublishedCustomerModel` out.

`training.customers.published` owns the files.
"""

from pathlib import Path

from training.customers.published import PublishedCustomerModel, erase, publish
from training.models.churn.model import ChurnModel

__all__ = ["erase", "load", "publish"]


def load(folder: Path) -> PublishedCustomerModel[ChurnModel]:
    """Read what `publish` wrote."""
    return PublishedCustomerModel.load(folder, ChurnModel)
