"""How a route asks: the held version's answer, in the one shape that answers have."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from anyio import to_thread
from starlette.responses import Response

from features.calendar import parse_as_of
from features.errors import InvalidInput
from serving.http.schemas import Request
from serving.predictor import Served, VersionHolder

# Up to this many entities are answered at once; more go to a thread, so that a long
# question does not hold up the short ones (a thread costs more than a short answer).
INLINE = 50


@dataclass(frozen=True)
class Responder:
    """Asks the models of the version that the predictor holds."""

    predictor: VersionHolder

    async def answer(
        self, task: str, ask: Request, of: Callable[[Any], list[dict[str, Any]]], size: int
    ) -> Response:
        """Answer a request from what is held for `task`.

        Parameters
        ----------
        task
            The task's name, as `training.registry` has it.
        ask
            The request, of which `as_of` is checked here.
        of
            Asks the reader of the task's published folder.
        size
            How many entities are asked about; more where each takes longer.

        Raises
        ------
        InvalidInput
            If the request is for another instant than the published one.
        Unavailable
            If nothing is published for the task.
        """

        async def asked(served: Served) -> Response:
            model, answers = served.ask(task)
            check_as_of(ask, model.as_of)
            return await reply(model.version, model.as_of, lambda: of(answers), size)

        return await self.held(asked)

    async def held(self, asked: Callable[[Served], Awaitable[Response]]) -> Response:
        """Ask the version that is held; where its files went meanwhile, the one after it.

        Raises
        ------
        Unavailable
            If nothing is published.
        """
        served = self.predictor.held()
        try:
            return await asked(served)
        except FileNotFoundError:
            after = await to_thread.run_sync(self.predictor.successor, served)
            if after is None:
                raise
            return await asked(after)


async def reply(
    version: str,
    as_of: datetime,
    of: Callable[[], list[dict[str, Any]]],
    size: int,
    others: Mapping[str, datetime] | None = None,
) -> Response:
    """Lay out what `of` answers about `size` entities in the one shape.

    `others` are the instants of models whose answers are among them, where they are others.
    """
    results = of() if size <= INLINE else await to_thread.run_sync(of)
    body: dict[str, Any] = {"model_version": version, "as_of": as_of}
    body |= {"models_as_of": others} if others else {}
    body["results"] = results
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")


def check_as_of(ask: Request, as_of: datetime) -> None:
    """Refuse a request for another instant than that of the answer.

    Raises
    ------
    InvalidInput
        If it is another.
    """
    if ask.as_of is not None and parse_as_of(ask.as_of) != as_of:
        raise InvalidInput(
            f"as_of = {ask.as_of!r} is not what is published: answers are as of "
            f"{as_of.isoformat()}. Leave it out, or publish another.",
            field="as_of",
        )
