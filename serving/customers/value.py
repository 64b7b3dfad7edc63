"""Answers about value, from what the value model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.errors import InvalidInput
from serving.customers.posted_history import PostedCustomers
from training.customers.population import Population
from training.customers.published import KnownCustomers, basis
from training.models.value.model import ValueModel

# A process fitted to the past says nothing of what lies further ahead than this.
MOST_DAYS = 3650


@dataclass(frozen=True)
class ValueAnswers:
    """One published version, in memory.

    Attributes
    ----------
    model
        The model, predicting with one thread, which is fastest for few customers.
    customers
        Those that the version knows.
    population
        What those it does not know are scored with.
    folder
        Where the features lie, which only horizons that are not published are answered from.
    """

    model: ValueModel
    customers: KnownCustomers
    population: Population
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `ValueModel.publish` wrote."""
        model = ValueModel.load(folder / "model", threads=1)
        return cls(model, KnownCustomers.load(folder), Population.load(folder), folder)

    def answer(
        self, who: Sequence[str] | PostedCustomers, horizons_days: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        who
            Customers, by id or by their own orders; one of whom no purchase is known gets what
            is expected of a new one.
        horizons_days
            Days ahead, by default those that `score` writes.

        Returns
        -------
        list of dict
            The columns that `score` writes, and basis, as
            `training.customers.published.basis` has it.

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650, or an order lacks what is
            needed.
        """
        for number, days in enumerate(horizons_days or ()):
            if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
                where = f"horizons_days[{number}]"
                raise InvalidInput(
                    f"{where} = {days!r} cannot be answered: ask for whole days from 1 to "
                    f"{MOST_DAYS}.",
                    field=where,
                )
        if isinstance(who, PostedCustomers):
            features = self.model.features(who.dataset(self.population), who.as_of)
            rows = self._scored(features, who.as_of, horizons_days)
            return who.named(rows, lambda one: self._unknown(one, who.as_of, horizons_days))
        as_of = datetime.fromisoformat(self.customers.as_of)
        if horizons_days is None or list(horizons_days) == self.model.horizons:
            said = self.customers.of(who)
        else:
            places = sorted({self.customers.rows[one] for one in who if one in self.customers.rows})
            rows = self._scored(self._features[places], as_of, horizons_days)
            said = {row["customer_id"]: row for row in rows}
        if all(one in said for one in who):
            return [said[one] for one in who]
        unknown = self._unknown("", as_of, horizons_days)
        return [said.get(one) or unknown | {"customer_id": one} for one in who]

    @cached_property
    def _features(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "features.parquet")

    def _scored(
        self, features: pl.DataFrame, as_of: datetime, horizons: Sequence[int] | None
    ) -> list[dict[str, Any]]:
        answers = self.model.predict_from(features, as_of, horizons)
        return answers.with_columns(basis(features)).to_dicts()

    def _unknown(
        self, customer_id: str, as_of: datetime, horizons: Sequence[int] | None
    ) -> dict[str, Any]:
        answers = self.model.newcomers(pl.Series([customer_id]), as_of, horizons)
        return answers.row(0, named=True) | {"basis": "population"}
