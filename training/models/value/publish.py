"""Published folder of value: a fitted model in, `PublishedCustomerModel` out.

`training.customers.published` owns the files.
"""

from pathlib import Path

from training.customers.published import PublishedCustomerModel, erase, publish
from training.models.value.model import ValueModel

__all__ = ["erase", "load", "publish"]


def load(folder: Path) -> PublishedCustomerModel[ValueModel]:
    """Read what `publish` wrote."""
    return PublishedCustomerModel.load(folder, ValueModel)
