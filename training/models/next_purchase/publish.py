"""Published folder of next purchase: a fitted model in, `PublishedCustomerModel` out.

`training.customers.published` owns the files.
"""

from datetime import datetime
from pathlib import Path

from features.dataset import Dataset
from training.customers import published
from training.customers.published import PublishedCustomerModel
from training.models.next_purchase.model import NextPurchaseModel


def publish(model: NextPurchaseModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, and every customer's features, curve and predictions at `as_of`."""
    published.publish(model, dataset, as_of, folder, model.predict_from)


def load(folder: Path) -> PublishedCustomerModel[NextPurchaseModel]:
    """Read what `publish` wrote, curves excepted."""
    return PublishedCustomerModel.load(folder, NextPurchaseModel)
