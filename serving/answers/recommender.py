"""Answers about what customers will want, from what the recommender published.

Lists are computed when publishing; here they are looked up, filtered and cut. The HTTP
routes ask here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.errors import InvalidInput

# With fewer baskets a list rests more on what others buy than on the customer's own.
FEW_BASKETS = 3


@dataclass(frozen=True)
class Lists:
    """Lists of products laid end to end."""

    product_id: list[str]
    score: list[float]
    reason: list[str]

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Take the columns of a frame in the order of its rows."""
        return cls(*(frame.get_column(name).to_list() for name in cls.__annotations__))

    def items(self, start: int, end: int, k: int, exclude: set[str]) -> list[dict[str, Any]]:
        """Return up to `k` items of one list, without the excluded; ranks are 1, 2, ..."""
        found: list[dict[str, Any]] = []
        for at in range(start, end):
            if self.product_id[at] in exclude:
                continue
            found.append(
                {
                    "rank": len(found) + 1,
                    "product_id": self.product_id[at],
                    "score": self.score[at],
                    "reason": self.reason[at],
                }
            )
            if len(found) == k:
                break
        return found


@dataclass(frozen=True)
class RecommenderAnswers:
    """One published version, in memory.

    Attributes
    ----------
    lists, spans
        All customers' lists, and where each customer's begins and ends.
    popular
        What customers without a history get.
    baskets
        How many baskets each customer has had.
    longest
        The longest list that can be asked for.
    as_of
        The instant up to which it knows, ISO.
    """

    lists: Lists
    spans: dict[str, tuple[int, int]]
    popular: Lists
    baskets: dict[str, int]
    longest: int
    as_of: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `RecommenderModel.publish` wrote."""
        about = json.loads((folder / "about.json").read_text())
        answers = pl.read_parquet(folder / "answers.parquet").sort("customer_id", "rank")
        lengths = answers.group_by("customer_id", maintain_order=True).len()
        ends = lengths.get_column("len").cum_sum().to_list()
        spans = dict(
            zip(lengths.get_column("customer_id"), zip([0, *ends], ends, strict=False), strict=True)
        )
        customers = pl.read_parquet(folder / "customers.parquet")
        return cls(
            Lists.of(answers),
            spans,
            Lists.of(pl.read_parquet(folder / "popular.parquet").sort("rank")),
            dict(customers.select("customer_id", "baskets").iter_rows()),
            about["list_length"],
            about["as_of"],
        )

    def answer(
        self, customer_ids: Sequence[str], k: int = 10, exclude_product_ids: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        customer_ids
            Customers; an unknown one gets what is popular, and the answer says so.
        k
            Products to recommend, 1 to 100; fewer come back where the customer's list is
            shorter.
        exclude_product_ids
            Products that are not to be recommended, such as those in the basket already.

        Returns
        -------
        list of dict
            customer_id, basis (`history`; `few_purchases`, below three baskets; `population`,
            none known) and items: rank, product_id, score, reason.

        Raises
        ------
        InvalidInput
            If `k` is out of range.
        """
        if not 1 <= k <= self.longest:
            raise InvalidInput(
                f"k = {k} cannot be answered: lists hold 1 to {self.longest} products; "
                f"ask for k from 1 to {self.longest}.",
                field="k",
            )
        exclude = set(exclude_product_ids)
        return [self._one(customer_id, k, exclude) for customer_id in customer_ids]

    def _one(self, customer_id: str, k: int, exclude: set[str]) -> dict[str, Any]:
        span = self.spans.get(customer_id)
        if span is None:
            items = self.popular.items(0, len(self.popular.product_id), k, exclude)
            return {"customer_id": customer_id, "basis": "population", "items": items}
        few = self.baskets[customer_id] < FEW_BASKETS
        return {
            "customer_id": customer_id,
            "basis": "few_purchases" if few else "history",
            "items": self.lists.items(*span, k, exclude),
        }
