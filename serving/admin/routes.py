"""HTTP routes of administration; they need a key with the scope `admin`."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from serving.admin import jobs
from serving.admin.schemas import Erasure, Rollback, RollbackRequest
from serving.http.errors import ERRORS


def router() -> APIRouter:
    """Build the routes."""
    router = APIRouter()

    @router.post("/v1/admin/rollback", response_model=Rollback, responses=ERRORS)
    async def rollback(request: Annotated[RollbackRequest, Body()]) -> Any:
        """Serve the former champion of a model again, or another version by its number."""
        options = request.model_dump(exclude_none=True)
        return {"results": await jobs.run("rollback", **options)}

    @router.delete("/v1/customers", response_model=Erasure, responses=ERRORS)
    async def erase(
        customer_id: Annotated[str, Query(min_length=1, max_length=200)],
        dataset: Annotated[str | None, Query(max_length=200)] = None,
    ) -> Any:
        """Erase a customer everywhere, for good; their sales stay as anonymous lines."""
        options = {} if dataset is None else {"dataset": dataset}
        return {"results": await jobs.run("forget", customer_id=customer_id, **options)}

    return router
