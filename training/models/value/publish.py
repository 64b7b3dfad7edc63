"""Published folder of value: a fitted model in, `PublishedCustomerModel` out.

`training.customers.published` owns the files.
"""

from datetime import datetime
from pathlib import Path

from features.dataset import Dataset
from training.customers import published
from training.customers.published import PublishedCustomerModel
from training.models.value.model import ValueModel


def publish(model: ValueModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the model, and every customer's features, curve and predictions at `as_of`."""
    published.publish(
        model,
        dataset,
        as_of,
        folder,
        lambda features, curves: model.predict_from(features, as_of, curves=curves),
    )


def load(folder: Path) -> PublishedCustomerModel[ValueModel]:
    """Read what `publish` wrote, curves excepted."""
    return PublishedCustomerModel.load(folder, ValueModel)
