"""Published folder of churn: a fitted model in, `PublishedCustomerModel` out.

`training.customers.published` owns the files.
"""

from datetime import datetime
from pathlib import Path

from features.dataset import Dataset
from training.customers import published
from training.customers.published import PublishedCustomerModel
from training.models.churn.model import ChurnModel


def publish(model: ChurnModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, and every customer's features, curve and predictions at `as_of`."""
    published.publish(
        model,
        dataset,
        as_of,
        folder,
        lambda features, _: model.predict_from(features),
    )


def load(folder: Path) -> PublishedCustomerModel[ChurnModel]:
    """Read what `publish` wrote, curves excepted."""
    return PublishedCustomerModel.load(folder, ChurnModel)
