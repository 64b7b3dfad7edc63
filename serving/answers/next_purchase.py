"""Answers about the next purchase, from what its model published; the HTTP routes ask here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.errors import InvalidInput
from training.models.known_customers import KnownCustomers
from training.models.next_purchase import FEW_VISITS, NextPurchaseModel, answers_from

# Always answered; the chances are those of the days asked for.
COLUMNS = ("customer_id", "expected_days", "q10", "q50", "q90")


@dataclass(frozen=True)
class NextPurchaseAnswers:
    """One published version, in memory.

    Attributes
    ----------
    model
        The model, predicting with one thread, which is fastest for few customers.
    customers
        Those that the version knows.
    """

    model: NextPurchaseModel
    customers: KnownCustomers

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `NextPurchaseModel.publish` wrote."""
        return cls(NextPurchaseModel.load(folder / "model", threads=1), KnownCustomers.load(folder))

    def answer(
        self,
        customer_ids: Sequence[str],
        within_days: Sequence[int] = (7, 14, 30),
        category: str | None = None,
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        customer_ids
            Customers; an unknown one gets the newcomers' distribution.
        within_days
            Answer the chance of a purchase within each of these many days.
        category
            None: the next purchase is predicted overall only.

        Returns
        -------
        list of dict
            customer_id, expected_days, q10, q50, q90 (days from `as_of`, at most the horizon),
            p_within_{n} for each n asked, and basis: `history`, `few_purchases` (fewer than three
            visits) or `population` (none known).

        Raises
        ------
        InvalidInput
            If a number of days is beyond the horizon, or a category is named.
        """
        self._check(within_days, category)
        known = self.customers.of(customer_ids)
        few = known.get_column("visits") < FEW_VISITS
        basis = ["few_purchases" if rare else "history" for rare in few]
        said = self._rows(
            known.get_column("customer_id"), self.model.curves(known), within_days, basis
        )
        new = sorted(set(customer_ids) - said.keys())
        if new:
            curves = np.tile(self.model.newcomer_curve_, (len(new), 1))
            said |= self._rows(pl.Series(new), curves, within_days, ["population"] * len(new))
        return [said[one] for one in customer_ids]

    def _rows(
        self,
        customer_ids: pl.Series,
        curves: NDArray[np.float64],
        within_days: Sequence[int],
        basis: Sequence[str],
    ) -> dict[str, dict[str, Any]]:
        answers = answers_from(customer_ids, curves).select(COLUMNS)
        return {
            row["customer_id"]: {
                **row,
                **{f"p_within_{days}": float(curve[days - 1]) for days in within_days},
                "basis": rests_on,
            }
            for row, curve, rests_on in zip(
                answers.iter_rows(named=True), curves, basis, strict=True
            )
        }

    def _check(self, within_days: Sequence[int], category: str | None) -> None:
        horizon = self.model.horizon_days
        for number, days in enumerate(within_days):
            if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= horizon:
                raise InvalidInput(
                    f"within_days[{number}] = {days!r} cannot be answered; customers are followed "
                    f"for {horizon} days: ask for whole days from 1 to {horizon}.",
                    field=f"within_days[{number}]",
                )
        if category is not None:
            raise InvalidInput(
                f"category = {category!r} cannot be answered: the next purchase is predicted "
                "overall only; leave category out.",
                field="category",
            )
