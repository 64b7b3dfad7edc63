"""Routes whose function takes one request model, read from the JSON body or from the query.

FastAPI describes them. Reading is done here, because it is stricter than FastAPI's: see `decode`.
"""

import re
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, get_args, get_origin, get_type_hints

from anyio import to_thread
from fastapi import Request
from fastapi.params import Body
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.responses import Response

from features.errors import ForesellError, InvalidInput
from serving.http.caching import compressed, with_entity_tag
from serving.http.decode import REMEDY, MalformedBody, decode_json
from serving.http.fields import invalid_input
from serving.http.threads import RECEIVE

# Larger bodies are read in a thread: 100 kB take some milliseconds.
INLINE_BYTES = 50_000

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Read = Callable[[Request], Coroutine[Any, Any, Any]]


class ModelRoute(APIRoute):
    """A route whose function has one parameter, `Annotated[MODEL, Body()]` or `Query()`."""

    def get_route_handler(self) -> Handler:
        """Return what reads the request and calls the function."""
        annotation = next(iter(get_type_hints(self.endpoint, include_extras=True).values()))
        model, *marks = get_args(annotation)
        is_body = any(isinstance(mark, Body) for mark in marks)
        return self._posted(annotation, model) if is_body else self._queried(model)

    def _posted(self, annotation: Any, model: Any) -> Handler:
        read = _body_reader(annotation, model)

        async def handle(request: Request) -> Response:
            body = await read(request)
            RECEIVE.set(request.receive)
            return await compressed(request, await self.endpoint(body))

        return handle

    def _queried(self, model: type[BaseModel]) -> Handler:
        read = _query_reader(model)

        async def handle(request: Request) -> Response:
            query = read(request)
            RECEIVE.set(request.receive)
            try:
                response = await self.endpoint(query)
            except ForesellError as error:
                raise _of_query(error) from None
            return await compressed(request, with_entity_tag(request, response))

        return handle


def _body_reader(annotation: Any, model: Any) -> Read:
    validate = TypeAdapter(annotation).validate_python
    is_tagged = get_origin(model) is not None

    def parse(body: bytes) -> Any:
        try:
            return validate(decode_json(body))
        except ValidationError as error:
            raise invalid_input(error, is_tagged=is_tagged) from None

    async def read(request: Request) -> Any:
        body = await request.body()
        _check_content_type(request.headers.get("content-type", ""))
        return parse(body) if len(body) <= INLINE_BYTES else await to_thread.run_sync(parse, body)

    return read


def _query_reader(model: type[BaseModel]) -> Callable[[Request], Any]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    lists = {name for name, field in fields.items() if get_origin(field.annotation) is list}

    def read(request: Request) -> Any:
        query = request.query_params
        values: dict[str, Any] = {}
        for name in query:
            given = query.getlist(name)
            if name not in lists and len(given) > 1:
                raise InvalidInput(f"{name[:60]} is given {len(given)} times.", field=name[:60])
            values[name] = given if name in lists else given[0]
        try:
            # Not strictly: every value of a query is a text.
            return model.model_validate(values, strict=False)
        except ValidationError as error:
            raise invalid_input(error) from None

    return read


def _of_query(error: ForesellError) -> ForesellError:
    """Name the fields of a query in an error that names those of a request for many."""

    def renamed(text: str) -> str:
        return re.sub(r"series\[0\]\.|(?<=customer_id)s\[0\]|(?<=product_id)s\[0\]", "", text)

    field = None if error.field is None else renamed(error.field)
    return type(error)(renamed(error.message), field=field)


def _check_content_type(value: str) -> None:
    if value == "application/json":
        return
    message = Message()
    message["content-type"] = value
    if not message.get_content_type().endswith(("/json", "+json")):
        raise MalformedBody(f"Content-Type = {value[:60]!r} is not JSON. {REMEDY}")
