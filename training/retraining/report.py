"""Reports of the nightly job: what it did for each model, step by step, as JSON and as a page."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from features.ingest.health import ImportHealth
from features.storage.snapshots import write_durably

if TYPE_CHECKING:
    from training.retraining.gate import Verdict

# Exit codes of the command, beside 2 for a mistake in it; `docs/retraining.md` lists them.
DONE = 0
ALL_FAILED = 1
SOME_FAILED = 3
REFUSED = 4
IMPORT_FAILED = 5
BUSY = 6
NOTHING_TO_PUBLISH = 7
_LATEST = "latest"
_KEPT = 30


@dataclass
class Step:
    """A step of the job: whether its output was kept from before, and its CPU seconds."""

    name: str
    model: str = ""
    kept: bool = False
    seconds: float = 0.0


@dataclass
class Outcome:
    """What the job did for one task.

    Attributes
    ----------
    task, version
        The task, and the version that it is about.
    reason
        Why the version is champion or not; with `failed`, an error, and the champion stays.
    trained, promoted, refused, failed
        Whether a model was fitted, became champion, was refused by the gate, or failed.
    judged, behind
        Whether it was backtested, and the baselines that are better beyond noise.
    verdict
        Figures of the gate; None where it did not decide.
    """

    task: str
    reason: str
    trained: bool = False
    promoted: bool = False
    refused: bool = False
    failed: bool = False
    version: str | None = None
    judged: bool = False
    behind: tuple[str, ...] = ()
    verdict: "Verdict | None" = None

    @property
    def state(self) -> str:
        """The outcome in one word."""
        states = ("failed", "promoted", "refused")
        return next((state for state in states if getattr(self, state)), "unchanged")


@dataclass
class JobReport:
    """What the job did.

    Attributes
    ----------
    dataset, snapshot, started
        The dataset, its snapshot, and when the job began.
    imports
        Health of the imports; None if there is no dataset yet.
    import_failure
        Why the import failed, and with it the job; None if it did not.
    published
        Name of the served version; None if there is none.
    outcomes, steps
        By task, and in order.
    fit_seconds
        CPU seconds of fitting and predicting, backtests included.
    """

    dataset: str
    snapshot: str | None = None
    started: datetime = field(default_factory=datetime.now)
    imports: ImportHealth | None = None
    import_failure: str | None = None
    published: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    fit_seconds: float = 0.0

    @contextmanager
    def step(self, name: str, model: str = "") -> Iterator[Step]:
        """Time a step."""
        step, started = Step(name, model), time.process_time()
        self.steps.append(step)
        try:
            yield step
        finally:
            step.seconds = round(time.process_time() - started, 2)

    def replace(self, outcome: Outcome) -> None:
        """Put an outcome in the place of the task's former one."""
        others = [other for other in self.outcomes if other.task != outcome.task]
        self.outcomes = [*others, outcome]

    @property
    def failed(self) -> list[str]:
        """The tasks that failed."""
        return [outcome.task for outcome in self.outcomes if outcome.failed]

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        if self.import_failure is not None:
            return IMPORT_FAILED
        if self.failed:
            return ALL_FAILED if len(self.failed) == len(self.outcomes) else SOME_FAILED
        if self.published is None:
            return NOTHING_TO_PUBLISH
        return REFUSED if any(outcome.refused for outcome in self.outcomes) else DONE

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.import_failure is not None:
            return f"{self.dataset}: import failed, nothing changed: {self.import_failure}"
        states = [outcome.state for outcome in self.outcomes]
        counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        served = f"served {self.published}" if self.published else "nothing to publish"
        return f"{self.dataset}: {', '.join([*counts, served])}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        extra = {"exit_code": self.exit_code, "summary": self.summary}
        return {**asdict(self), "started": self.started.isoformat(), **extra}


def write_report(folder: Path, report: JobReport) -> None:
    """Write a report as JSON and as a page, by its instant and as the latest; old ones go."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"json": json.dumps(report.to_json(), indent=1, default=str), "html": page(report)}
    for suffix, text in texts.items():
        for name in (f"{report.started:%Y%m%d-%H%M%S}", _LATEST):
            write_durably(folder / f"{name}.{suffix}", text)
        dated = sorted(path for path in folder.glob(f"*.{suffix}") if path.stem != _LATEST)
        for path in dated[:-_KEPT]:
            path.unlink()


def page(report: JobReport) -> str:
    """Return the report as a page without scripts or links."""
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return template.from_string(_PAGE).render(report=report)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Retraining of {{ report.dataset }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1.5rem }
th, td { border-bottom: 1px solid #ddd; padding: .2rem .8rem .2rem 0; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.promoted { color: #17692e } .refused { color: #8a5a00 } .failed { color: #a11 }
</style></head><body>
<h1>Retraining of {{ report.dataset }}</h1>
<p>{{ report.summary }}</p>
<p>Started {{ report.started.isoformat(" ", "seconds") }},
snapshot {{ report.snapshot or "none" }}.</p>
<h2>Models</h2>
<table><tr><th>model</th><th>version</th><th>outcome</th><th>reason</th></tr>
{% for outcome in report.outcomes %}
<tr><td>{{ outcome.task }}</td><td>{{ outcome.version or "" }}</td>
<td class="{{ outcome.state }}">{{ outcome.state }}</td><td>{{ outcome.reason }}</td></tr>
{% endfor %}
</table>
{% for outcome in report.outcomes if outcome.verdict and outcome.verdict.guards %}
<h2>Guards of {{ outcome.version }}</h2>
<table><tr><th>guard</th><th>value</th><th>bound</th><th>passed</th><th>measured</th></tr>
{% for guard in outcome.verdict.guards %}
<tr><td>{{ guard.name }}</td><td class="number">{{ "%.4g"|format(guard.value) }}</td>
<td class="number">{{ "%.4g"|format(guard.bound) }}</td>
<td class="{{ '' if guard.passed else 'failed' }}">{{ "yes" if guard.passed else "no" }}</td>
<td>{{ guard.reason }}</td></tr>
{% endfor %}
</table>
{% endfor %}
<h2>Steps</h2>
<table><tr><th>step</th><th>model</th><th></th><th>CPU seconds</th></tr>
{% for step in report.steps %}
<tr><td>{{ step.name }}</td><td>{{ step.model }}</td><td>{{ "kept" if step.kept else "" }}</td>
<td class="number">{{ "%.1f"|format(step.seconds) }}</td></tr>
{% endfor %}
</table>
<p>{{ "%.1f"|format(report.fit_seconds) }} CPU seconds of fitting and predicting.</p>
</body></html>
"""
