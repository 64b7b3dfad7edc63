"""HTTP route of the status: the served version in, its description out."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from serving.demand.reader import MAX_EXPLAINED_SERIES
from serving.demand.schemas import MAX_PLAN_ROWS, MAX_SERIES
from serving.events.feedback import ListFeedback, rates
from serving.http.errors import ERRORS, NOT_MODIFIED
from serving.http.respond import Responder
from serving.http.route import ModelRoute
from serving.http.schemas import MOST_IDS
from serving.recommender.query import LISTS, MAX_LENGTH
from serving.recommender.routes import MAX_PAIRS
from serving.recommender.schemas import MAX_PRODUCTS
from serving.served import ServedVersion
from serving.status.schemas import DemandStatus, Limits, ModelStatus, Status, StatusQuery


def router(responder: Responder, max_body_bytes: int) -> APIRouter:
    """Build the route that describes what `responder` answers from."""
    router = APIRouter(route_class=ModelRoute, tags=["service"], responses=ERRORS)
    limits = Limits(
        body_bytes=max_body_bytes,
        customer_ids=MOST_IDS,
        product_ids=MAX_PRODUCTS,
        series=MAX_SERIES,
        plan_rows=MAX_PLAN_ROWS,
        explained_series=MAX_EXPLAINED_SERIES,
        list_length=MAX_LENGTH,
        pairs=MAX_PAIRS,
    )

    @router.get("/v1/status", response_model=Status, responses=NOT_MODIFIED)
    async def status(query: Annotated[StatusQuery, Query()]) -> Response:
        """Describe the served version: models, instants, lists, categories and limits."""

        async def answer(served: ServedVersion) -> Response:
            feedback = rates(responder.events.view(served.record.dataset).feedback)
            described = _describe(served, limits, responder.versions.fault, feedback)
            return Response(described.model_dump_json(), media_type="application/json")

        return await responder.with_current(query.dataset, answer)

    return router


def _describe(
    served: ServedVersion, limits: Limits, fault: str | None, feedback: list[ListFeedback]
) -> Status:
    record, readers = served.record, served.readers
    models = [
        ModelStatus(
            model=name,
            version=model.version,
            as_of=model.as_of,
            judged=model.standing.judged,
            behind=list(model.standing.behind),
        )
        for name, model in record.models.items()
    ]
    return Status(
        dataset=record.dataset,
        version=record.version,
        published_at=record.created,
        as_of=max(model.as_of for model in models),
        refused=fault,
        models=models,
        demand=_demand(readers),
        lists=list(LISTS) if "recommender" in readers else [],
        categories=sorted(readers["next-category"].categories)
        if "next-category" in readers
        else [],
        feedback=feedback,
        limits=limits,
    )


def _demand(readers: Mapping[str, Any]) -> DemandStatus | None:
    reader = readers.get("demand")
    if reader is None:
        return None
    return DemandStatus(
        grain=str(reader.grain),
        keys=list(reader.grain.keys),
        horizon_days=reader.horizon_days,
        quantiles=list(reader.quantiles),
        plan_known_until=reader.plan_known_until,
    )
