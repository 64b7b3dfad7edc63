"""Reader of a published customer model: customers in, one answer each in request order out.

Known customers are looked up by id; customers with posted orders are scored by the same model.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from serving.customers.posted_history import PostedCustomers
from training.customers.population import Population
from training.customers.published import AnyModel, PublishedCustomerModel

Row = dict[str, Any]
Customers = Sequence[str] | PostedCustomers
Options = TypeVar("Options")


@dataclass(frozen=True)
class CustomerReader(ABC, Generic[AnyModel, Options]):
    """Answers for customers by id or by posted orders; subclasses implement the look-ups.

    `Options` is the type of what a request may choose, such as the days ahead.

    Attributes
    ----------
    published
        The published model; further files of its folder are read when they are needed.
    """

    published: PublishedCustomerModel[AnyModel]

    @property
    def model(self) -> AnyModel:
        """The published model."""
        return self.published.model

    @property
    def population(self) -> Population:
        """The population that posted customers are scored with."""
        return self.published.population

    @property
    def as_of(self) -> datetime:
        """The instant of the published answers."""
        return self.published.as_of

    @property
    @abstractmethod
    def known_ids(self) -> Container[str]:
        """The ids of known customers."""

    @abstractmethod
    def known_rows(self, customer_ids: Sequence[str], options: Options) -> Mapping[str, Row]:
        """Return the answers for the known ones among the customers, by id."""

    @abstractmethod
    def posted_rows(self, customers: PostedCustomers, options: Options) -> Iterable[Row]:
        """Score posted customers; rows carry their keys as `customer_id`.

        A customer without enough purchases has no row.
        """

    @abstractmethod
    def new_row(self, as_of: datetime, options: Options) -> Row:
        """Return the answer for a customer without enough purchases at `as_of`."""

    def rows(self, customers: Customers, options: Options) -> list[Row]:
        """Return one answer a customer, in request order.

        A customer that is neither known nor posted with enough purchases gets the answer for a
        new customer, of basis `population`.
        """
        keys: Sequence[str]
        names: Sequence[str]
        if isinstance(customers, PostedCustomers):
            rows: Mapping[str, Row] = {
                row["customer_id"]: row for row in self.posted_rows(customers, options)
            }
            keys, names, as_of = customers.keys, customers.names, customers.as_of
        else:
            rows = self.known_rows(customers, options)
            keys, names, as_of = customers, customers, self.as_of
        new: Row = {}
        if any(key not in rows for key in keys):
            new = self.new_row(as_of, options) | {"basis": "population"}
        return [
            rows.get(key, new) | {"customer_id": name}
            for key, name in zip(keys, names, strict=True)
        ]
