"""Answers about value, from what the value model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.errors import InvalidInput
from features.segments import FEW_VISITS
from training.models.known_customers import KnownCustomers
from training.models.value import ValueModel

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
    """

    model: ValueModel
    customers: KnownCustomers

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `ValueModel.publish` wrote."""
        return cls(ValueModel.load(folder / "model", threads=1), KnownCustomers.load(folder))

    def answer(
        self, customer_ids: Sequence[str], horizons: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        customer_ids
            Customers; an unknown one gets what is expected of a new one.
        horizons
            Days ahead, by default those that `score` writes.

        Returns
        -------
        list of dict
            The columns that `score` writes, and basis: `history`, `few_purchases` (fewer than
            three visits) or `population` (none known).

        Raises
        ------
        InvalidInput
            If a number of days is not a whole one from 1 to 3650.
        """
        for number, days in enumerate(horizons or ()):
            if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
                raise InvalidInput(
                    f"horizons[{number}] = {days!r} cannot be answered: ask for whole days from "
                    f"1 to {MOST_DAYS}.",
                    field=f"horizons[{number}]",
                )
        as_of = datetime.fromisoformat(self.customers.as_of)
        known = self.customers.of(customer_ids)
        rare = known.get_column("visits") < FEW_VISITS
        basis = pl.select(pl.when(rare).then(pl.lit("few_purchases")).otherwise(pl.lit("history")))
        answers = self.model.predict_from(known, as_of, horizons)
        answers = answers.with_columns(basis.to_series().alias("basis"))
        said = {row["customer_id"]: row for row in answers.iter_rows(named=True)}
        new = sorted(set(customer_ids) - said.keys())
        if new:
            population = self.model.newcomers(pl.Series(new), as_of, horizons)
            for row in population.iter_rows(named=True):
                said[row["customer_id"]] = {**row, "basis": "population"}
        return [said[one] for one in customer_ids]
