"""Reader of a published recommender: answers requests for lists.

A published folder in; answers by customer or product out. Candidates and tables of products are
computed at publishing; they are scored in context, filtered and re-ranked on request.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from serving.customers.posted_history import History, PostedCustomers, key_of
from serving.entries import Result, each
from serving.events.live import CustomerEvents, UnseenEvents
from serving.recommender import item_to_item, posted_history
from serving.recommender.live import excluding, in_context
from serving.recommender.query import Filters, ListQuery
from serving.recommender.request import ListRequest
from training.models.recommender.index.index import RecommenderIndex


@dataclass(frozen=True)
class RecommenderReader:
    """Answers of one published version.

    Attributes
    ----------
    index
        The published recommender, memory-mapped.
    default_requests
        Requests without options, by length; they are reused.
    """

    index: RecommenderIndex
    default_requests: dict[int, ListRequest] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a published folder."""
        index = RecommenderIndex.load(folder)
        answers = cls(index)
        # Computes what all requests share, so that the first one is not slower.
        answers.answer(["nobody", *index.customer_ids[:1]])
        return answers

    @property
    def known_ids(self) -> Container[str]:
        """The ids of customers with a purchase."""
        return self.index.candidates.customer_rows

    @property
    def as_of(self) -> datetime:
        """The instant of the published candidates."""
        return self.index.candidates.as_of

    def answer(
        self,
        customer_ids: Sequence[str],
        k: int = 10,
        exclude_product_ids: Sequence[str] = (),
        query: ListQuery | None = None,
        events: UnseenEvents | None = None,
        session_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return a list for each customer, in the order of the ids.

        Parameters
        ----------
        customer_ids
            Known or unknown customers. Lists of unknown ones rest on the basket, or else on
            popularity.
        k
            Number of products, 1 to 100; fewer are returned if there are no more.
        exclude_product_ids
            Products to leave out, besides those that the query excludes.
        query
            The list and its options; its `k` is replaced.
        events
            Events that the model has not seen; customers and sessions with any get lists in their
            context, and what is not available is left out.
        session_id
            The session of the request.

        Returns
        -------
        list of dict
            customer_id, basis (`history`; `few_purchases`, fewer than three baskets; `session`,
            the basket only; `population`, no data) and items: rank, product_id, score, reason,
            explanations.

        Raises
        ------
        InvalidInput, MissingData
            If an option cannot be applied.
        """
        options = query or ListQuery()
        filters = excluding(options.filters, events, options.at)
        if query is None and not exclude_product_ids and filters is options.filters:
            request = self._default_request(k)
        else:
            options = replace(options, filters=filters)
            request = self._request(k, exclude_product_ids, options)
        session = None if events is None or session_id is None else events.session(session_id)
        live = {} if events is None else self._live(customer_ids, events, session)
        lists = request.answers([name for name in customer_ids if name not in live])
        answered = {
            name: self._live_list(name, one, session, options, k, exclude_product_ids)
            for name, one in live.items()
        }
        return [answered[name] if name in answered else next(lists) for name in customer_ids]

    def _live(
        self, customer_ids: Sequence[str], events: UnseenEvents, session: CustomerEvents | None
    ) -> dict[str, CustomerEvents | None]:
        """Return the events of those customers whose lists depend on events."""
        logged = {name: events.customer(name) for name in dict.fromkeys(customer_ids)}
        return {name: one for name, one in logged.items() if one is not None or session is not None}

    def _live_list(
        self,
        customer_id: str,
        events: CustomerEvents | None,
        session: CustomerEvents | None,
        query: ListQuery,
        k: int,
        excluded: Sequence[str],
    ) -> dict[str, Any]:
        """Return the list of one customer in the context of events."""
        context = in_context(query, self.index, events, session)
        at = context.at or self.as_of
        orders = [] if events is None else [one for one in events.orders if one["ts"] <= at]
        if orders and customer_id not in self.known_ids and not query.recent_purchases:
            # The first purchases of a customer are a whole history.
            posted = replace(context, recent_purchases={}, at=at + timedelta(microseconds=1))
            history = {"customer_id": customer_id, "orders": orders}
            return self.posted([history], k, excluded, posted)[0]
        return next(self._request(k, excluded, context).answers([customer_id]))

    def posted(
        self,
        histories: Sequence[History],
        k: int = 10,
        exclude_product_ids: Sequence[str] = (),
        query: ListQuery | None = None,
        events: UnseenEvents | None = None,
    ) -> list[dict[str, Any]]:
        """Return a list for each customer with posted orders, in the order of the histories.

        Orders may be as late as `query.at`. Without orders of a product, a list rests on the
        basket, or else on popularity.

        Raises
        ------
        InvalidInput, MissingData
            If an option cannot be applied, or an order is not before `query.at`.
        """
        options = query or ListQuery()
        filters = excluding(options.filters, events, options.at)
        request = self._request(k, exclude_product_ids, replace(options, filters=filters))
        as_of = request.query.at or self.index.candidates.as_of
        customers = PostedCustomers.read(histories, as_of, "at")
        orders = posted_history.read(customers.orders, customers.as_of)
        return [
            request.answer_posted(name, orders.get(key_of(number)))
            for number, name in enumerate(customers.names)
        ]

    def rerank(
        self,
        customer_ids: Sequence[str],
        product_ids: Sequence[str],
        query: ListQuery,
        events: UnseenEvents | None = None,
    ) -> list[dict[str, Any]]:
        """Order given products for each customer.

        Products that the filters forbid are left out. Products that are no candidates of the
        customer come last, by popularity.
        """
        query = replace(query, filters=excluding(query.filters, events, query.at))
        request = ListRequest(self.index, query)
        live = {} if events is None else self._live(customer_ids, events, None)
        requests = {
            name: ListRequest(self.index, in_context(query, self.index, one, None))
            for name, one in live.items()
        }
        return [
            requests.get(customer, request).rerank(customer, product_ids)
            for customer in customer_ids
        ]

    def similar(self, product_ids: Sequence[str], k: int, filters: Filters) -> list[Result]:
        """Return substitutes of each product; the error of a product that is unknown."""
        return each(
            product_ids,
            "product_ids",
            lambda product, field: item_to_item.similar(self.index, product, k, filters, field),
        )

    def bought_together(
        self, product_ids: Sequence[str], k: int, filters: Filters
    ) -> list[dict[str, Any]]:
        """Return products associated with a basket."""
        return [item_to_item.bought_together(self.index, product_ids, k, filters)]

    def customers_for(self, product_ids: Sequence[str], k: int) -> list[Result]:
        """Return the likeliest buyers of each product; the error of one that is unknown."""
        return each(
            product_ids,
            "product_ids",
            lambda product, field: item_to_item.customers_for(self.index, product, k, field),
        )

    def _request(self, k: int, excluded: Sequence[str], query: ListQuery) -> ListRequest:
        products = [*query.filters.exclude_product_ids, *excluded]
        filters = replace(query.filters, exclude_product_ids=products)
        return ListRequest(self.index, replace(query, k=k, filters=filters))

    def _default_request(self, k: int) -> ListRequest:
        if k not in self.default_requests:
            self.default_requests[k] = ListRequest(self.index, ListQuery(k=k))
        return self.default_requests[k]
