"""Answers about what customers will want, from what the recommender published.

Candidates, look-alikes and associations are computed when publishing; here they are weighed
for the moment, filtered and arranged. The HTTP routes ask here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from serving.customers.posted_history import History, PostedCustomers, key_of
from serving.recommender import item_to_item as goods
from serving.recommender import posted_history as posted
from serving.recommender.query import Filters, ListQuery
from serving.recommender.request import ListRequest
from training.models.recommender.index.index import RecommenderIndex


@dataclass(frozen=True)
class RecommenderAnswers:
    """One published version, mapped into memory.

    Attributes
    ----------
    shelf
        What was published.
    plain
        By length, requests without any wish, which are the same each time.
    """

    shelf: RecommenderIndex
    plain: dict[int, ListRequest] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `RecommenderModel.publish` wrote."""
        shelf = RecommenderIndex.load(folder)
        answers = cls(shelf)
        # The first request pays for nothing that all of them need.
        answers.answer(["nobody", *shelf.customer_ids[:1]])
        return answers

    def answer(
        self,
        customer_ids: Sequence[str],
        k: int = 10,
        exclude_product_ids: Sequence[str] = (),
        wish: ListQuery | None = None,
    ) -> list[dict[str, Any]]:
        """Answer for each customer, in the order asked.

        Parameters
        ----------
        customer_ids
            Customers; for an unknown one the basket speaks, or else what is popular, and the
            answer says so.
        k
            Products to recommend, 1 to 100; fewer come back where there are no more.
        exclude_product_ids
            Products that are not to be recommended, besides those that the wish excludes.
        wish
            What kind of list, and all that may be asked of it.

        Returns
        -------
        list of dict
            customer_id, basis (`history`; `few_purchases`, below three baskets; `session`, the
            basket alone; `population`, none known) and items: rank, product_id, score, reason,
            explanations.

        Raises
        ------
        InvalidInput, MissingData
            If what is wished for cannot be answered.
        """
        if wish is None and not exclude_product_ids:
            request = self._plain(k)
        else:
            request = self._request(k, exclude_product_ids, wish or ListQuery())
        return [request.answer(one) for one in customer_ids]

    def posted(
        self,
        histories: Sequence[History],
        k: int = 10,
        exclude_product_ids: Sequence[str] = (),
        wish: ListQuery | None = None,
    ) -> list[dict[str, Any]]:
        """Answer for customers by their own orders, in the order posted.

        Orders may come up to `wish.at`. Answers are like those of `answer`; without any order
        of a product the basket speaks, or else what is popular, and the answer says so.

        Raises
        ------
        InvalidInput, MissingData
            If what is wished for cannot be answered, or an order has no instant before `at`.
        """
        request = self._request(k, exclude_product_ids, wish or ListQuery())
        read = PostedCustomers.read(histories, request.wish.at or self.shelf.ranked.as_of, "at")
        known = posted.read(read.orders, read.as_of)
        return [
            request.answer_posted(name, known.get(key_of(number)))
            for number, name in enumerate(read.names)
        ]

    def _request(self, k: int, excluded: Sequence[str], wish: ListQuery) -> ListRequest:
        products = [*wish.filters.exclude_product_ids, *excluded]
        filters = replace(wish.filters, exclude_product_ids=products)
        return ListRequest(self.shelf, replace(wish, k=k, filters=filters))

    def _plain(self, k: int) -> ListRequest:
        """Return the request without any wish, of which there are as many as lengths."""
        if k not in self.plain:
            self.plain[k] = ListRequest(self.shelf, ListQuery(k=k))
        return self.plain[k]

    def rerank(
        self, customer_ids: Sequence[str], product_ids: Sequence[str], wish: ListQuery
    ) -> list[dict[str, Any]]:
        """Put the products in the order in which each customer wants them.

        All come back but those that the filters forbid; products that are no candidates of
        the customer stand behind, in the order of their popularity.
        """
        request = ListRequest(self.shelf, wish)
        return [request.rerank(one, product_ids) for one in customer_ids]

    def similar(self, product_ids: Sequence[str], k: int, filters: Filters) -> list[dict[str, Any]]:
        """List what can stand for each product."""
        return [goods.similar(self.shelf, one, k, filters) for one in product_ids]

    def together(
        self, product_ids: Sequence[str], k: int, filters: Filters
    ) -> list[dict[str, Any]]:
        """List what the basket lacks."""
        return [goods.together(self.shelf, product_ids, k, filters)]

    def customers_for(self, product_ids: Sequence[str], k: int) -> list[dict[str, Any]]:
        """List who is likeliest to buy each product."""
        return [goods.customers_for(self.shelf, one, k) for one in product_ids]
