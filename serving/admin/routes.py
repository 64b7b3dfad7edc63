"""HTTP routes of administration; they need a key with the scope `admin`."""

from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel
from starlette.responses import Response

from serving.admin import jobs
from serving.admin.schemas import Erased, EraseQuery, Erasure, Rollback, RollbackRequest, RolledBack
from serving.http.errors import ERRORS
from serving.http.route import ModelRoute


def router() -> APIRouter:
    """Build the routes."""
    router = APIRouter(route_class=ModelRoute, tags=["administration"], responses=ERRORS)

    @router.post("/v1/admin/rollback", response_model=Rollback)
    async def rollback(request: Annotated[RollbackRequest, Body()]) -> Response:
        """Serve the former champion of a model again, or another version by its number."""
        options = request.model_dump(exclude_none=True)
        rows = await jobs.run("rollback", **options)
        return _json(Rollback(results=[RolledBack.model_validate(row) for row in rows]))

    @router.delete("/v1/customers", response_model=Erasure)
    async def erase(query: Annotated[EraseQuery, Query()]) -> Response:
        """Erase a customer everywhere, for good; their sales stay as anonymous lines."""
        rows = await jobs.run("forget", **query.model_dump(exclude_none=True))
        return _json(Erasure(results=[Erased.model_validate(row) for row in rows]))

    return router


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
