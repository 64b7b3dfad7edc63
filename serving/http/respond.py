"""Answer a request from the served version, in the shape that all answers share."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from anyio import to_thread
from starlette.responses import Response

from features.calendar import parse_as_of
from features.errors import InvalidInput, NotFound
from serving.entries import Result, split
from serving.events.follow import EventViews
from serving.events.live import Seen, UnseenEvents
from serving.http.metrics import metrics
from serving.http.rounding import round_answer
from serving.http.schemas import Request
from serving.http.threads import in_thread
from serving.predictor import VersionHolder
from serving.served import ServedVersion
from training.published.versions import PublishedModel

# Requests of up to so much work are answered on the event loop, in less than 5 ms; others run in a
# thread, so that they do not delay short ones (a thread costs more than a short answer).
INLINE = 50
# More is refused: it would not end within the time of an answer.
MOST_WORK = 200_000


# Adds fields to the results of a model.
Finish = Callable[[PublishedModel, list[dict[str, Any]]], None]


@dataclass(frozen=True)
class Responder:
    """Answers requests from the version that a `VersionHolder` serves.

    Attributes
    ----------
    versions
        The served versions.
    events
        The newest events, which the versions have not seen.
    """

    versions: VersionHolder
    events: EventViews

    async def answer(
        self,
        task: str,
        request: Request,
        compute: Callable[[Any], Sequence[Result]],
        size: int,
        *,
        rounded: bool = False,
        finish: Finish = lambda *_: None,
    ) -> Response:
        """Answer a request from the reader of one task.

        Parameters
        ----------
        task
            The task's name in `training.registry`.
        request
            The request; its `as_of` is checked.
        compute
            Returns the results, given the reader of the task.
        size
            Work, in looked-up entities.
        rounded
            Whether `compute` rounds its numbers.
        finish
            Adds fields to the results, given the model that they are of.

        Raises
        ------
        InvalidInput
            If the request is for another instant than the published one.
        Unavailable
            If nothing is published for the task.
        """
        return await self.answer_live(
            task,
            request,
            lambda reader, _: compute(reader),
            size,
            rounded=rounded,
            finish=finish,
        )

    async def answer_live(
        self,
        task: str,
        request: Request,
        compute: Callable[[Any, UnseenEvents], Sequence[Result]],
        size: int,
        *,
        rounded: bool = False,
        finish: Finish = lambda *_: None,
    ) -> Response:
        """Answer a request as `answer` does; `compute` also gets the events that are not seen."""

        async def respond(version: ServedVersion) -> Response:
            model, reader = version.reader_of(task)
            check_as_of(request, model.as_of)
            events = self.unseen(version, task)

            def results() -> Sequence[Result]:
                computed = compute(reader, events)
                finish(model, [result for result in computed if not isinstance(result, NotFound)])
                return computed

            return await reply(
                model.version,
                model.as_of,
                version.record.standing([task]),
                results,
                size,
                rounded=rounded,
            )

        return await self.with_current(request.dataset, respond)

    def unseen(self, version: ServedVersion, task: str) -> UnseenEvents:
        """Return the events that a model of a version has not seen."""
        model = version.record.models[task]
        seen = Seen(model.events_position, model.as_of)
        return UnseenEvents(self.events.view(version.record.dataset), seen)

    async def with_current(
        self, dataset: str | None, respond: Callable[[ServedVersion], Awaitable[Response]]
    ) -> Response:
        """Respond from the current version; from the next one if its files were deleted meanwhile.

        Parameters
        ----------
        dataset
            The dataset that the request names.

        Raises
        ------
        Unavailable
            If nothing is published.
        NotFound
            If nothing of the dataset is published.
        """
        versions = await self._holder(dataset)
        version = versions.current()
        try:
            return await respond(version)
        except FileNotFoundError:
            newer = await to_thread.run_sync(versions.newer_than, version)
            if newer is None:
                raise
            return await respond(newer)

    async def dataset(self, name: str | None) -> str:
        """Return the dataset that a request writes to; it need not be published if it is served.

        Raises
        ------
        NotFound, Unavailable, InvalidInput
            As `VersionHolder.load` and `VersionHolder.name` do.
        """
        return (await self._holder(name)).name

    async def _holder(self, dataset: str | None) -> VersionHolder:
        versions = self.versions.loaded(dataset)
        if versions is None and dataset is not None:
            versions = await to_thread.run_sync(self.versions.load, dataset)
        assert versions is not None, "without a name it is the default"  # noqa: S101
        return versions


async def reply(
    version: str,
    as_of: datetime,
    standing: Mapping[str, Any],
    compute: Callable[[], Sequence[Result]],
    size: int,
    models_as_of: Mapping[str, datetime] | None = None,
    *,
    rounded: bool = False,
) -> Response:
    """Compute results and return them in the shape of `Answer`.

    Parameters
    ----------
    compute
        Returns an answer or an error by entry.
    size
        Work, in looked-up entities.
    standing
        What `PublishedVersion.standing` returns for the models in the answer.
    models_as_of
        Instants of further models in the answer, where they differ from `as_of`.
    rounded
        Whether `compute` rounds its numbers.
    """

    def content() -> bytes:
        results, errors = split(compute())
        body: dict[str, Any] = {"model_version": version, "as_of": as_of, **standing}
        body |= {"models_as_of": models_as_of} if models_as_of else {}
        body["results"] = results if rounded else round_answer(results)
        body |= {"errors": errors} if errors else {}
        metrics().answers(version.partition("/")[0], results)
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)

    if size > MOST_WORK:
        raise InvalidInput(
            f"The request asks for the work of {size:,} short answers, and at most {MOST_WORK:,} "
            "are computed at a time; ask in parts."
        )
    body = content() if size <= INLINE else await in_thread(content)
    return Response(body, media_type="application/json")


def check_as_of(request: Request, as_of: datetime) -> None:
    """Refuse a request for another instant than that of the answer.

    Raises
    ------
    InvalidInput
        If `request.as_of` is given and differs.
    """
    if request.as_of is not None and parse_as_of(request.as_of) != as_of:
        raise InvalidInput(
            f"as_of = {request.as_of!r} is not what is published: answers are as of "
            f"{as_of.isoformat()}. Leave it out, or publish another.",
            field="as_of",
        )
