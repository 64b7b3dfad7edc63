"""Generated requests, valid and invalid, get only responses that OpenAPI describes.

`FORESELL_TEST_EXAMPLES` sets the number of requests of each operation; with more than a few, there
are also requests that violate each statement of OpenAPI in turn, which take most of the time.
"""

import os
import shutil

import pytest
import schemathesis
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from serving.admin import jobs
from serving.app import OPENAPI, build_app
from serving.predictor import VersionHolder
from serving.readers import READERS
from training.published import versions as published

FEW = 2
EXAMPLES = int(os.environ.get("FORESELL_TEST_EXAMPLES", FEW))
# What OpenAPI cannot express is refused with 422, such as conditions that are not of the language.
VALID = ["2xx", "404", "422"]
INVALID = ["400", "404", "405", "413", "422"]
CONFIG = {
    "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
    "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": EXAMPLES > FEW}},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": VALID},
        "negative_data_rejection": {"expected-statuses": INVALID},
    },
    # Each event of a batch is judged alone: an invalid one is an error of its entry.
    "operations": [
        {
            "include-name": "POST /v1/events",
            "checks": {"negative_data_rejection": {"expected-statuses": [*INVALID, "202"]}},
        }
    ],
}
ROWS = {
    "rollback": {"model": "churn", "champion": "churn/1", "replaced": "churn/2", "published": "v"},
    "forget": dict.fromkeys(
        ("orders", "customers", "touchpoints", "snapshots", "quarantine", "events"), 0
    )
    | {"dataset": "d", "published": False, "again": False},
}


@pytest.fixture(scope="module")
def api(published_home, tmp_path_factory):
    """The description of an application in this process, on a copy of the published home."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(published.root(published_home), published.root(home), copy_function=os.link)
    versions = VersionHolder([home], READERS, 60)
    versions.refresh()

    async def run(action, **_):
        """A job is a process of seconds."""
        return [ROWS[action]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "run", run)
        config = schemathesis.Config.from_dict(CONFIG)
        yield schemathesis.openapi.from_asgi(OPENAPI, build_app(versions), config=config)


def test_every_response_is_described(api):
    failures, labels = [], set()
    for event in from_schema(api).execute():
        assert not isinstance(event, FatalError), event.exception
        if isinstance(event, NonFatalError):
            failures.append(f"{event.label}: {event.value}")
        if isinstance(event, ScenarioFinished):
            labels.add(event.recorder.label)
            failures += described(event.recorder)
    assert labels == {operation.ok().label for operation in api.get_all_operations()}
    assert not failures, "\n\n".join(failures)


def described(recorder):
    """Describe the failed checks of an operation's requests."""
    for checks in recorder.checks.values():
        for check in checks:
            if check.status is Status.FAILURE:
                info = check.failure_info
                yield f"{recorder.label}: {info.failure.message}\n{info.code_sample}"
