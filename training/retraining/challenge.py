"""The challenge of one task: fit a challenger, backtest it and the champion, apply the gate."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from features.dataset import Dataset
from features.storage.kept import digest, recall, remember, sources_digest
from training.backtest import Progress, Report, backtest, rolling_origins
from training.inputs import backtest_digest, code_digest, training_digest
from training.promote import promote
from training.published.versions import FORMAT
from training.registered import GATE, PASSED, Registry, Version
from training.retraining.backtests import keep_backtest, kept_backtest
from training.retraining.folder import retraining_folder
from training.retraining.gate import DEFAULTS, Verdict, decide
from training.retraining.guards import Candidate
from training.retraining.report import JobReport, Outcome
from training.standing import judge
from training.task_setup import TaskSetup

if TYPE_CHECKING:
    from training.tracking import Tracker

# MLflow refuses longer ones.
_LONGEST_TAG = 5000
_GATE = ("training/retraining/*.py", "training/standing.py")


@dataclass(frozen=True)
class Place:
    """Where challenges take place, and what they add to.

    Attributes
    ----------
    home, registry
        The home, and the store of registered versions.
    tracker
        Opens the store for writing.
    threads
        Threads of the numeric libraries.
    report
        The report of the job, which gets the steps.
    progress
        Called with a description of each step.
    """

    home: Path
    registry: Registry
    tracker: "Callable[[], Tracker]"
    threads: int
    report: JobReport
    progress: Progress


@dataclass(frozen=True)
class Challenge:
    """One task on one dataset.

    Attributes
    ----------
    place, setup, dataset
        Where, what, and on which records.
    tuned
        Tuned options of the model by the first origin that is evaluated.
    """

    place: Place
    setup: TaskSetup
    dataset: Dataset
    tuned: Callable[[datetime], dict[str, Any]]

    @cached_property
    def champion(self) -> Version | None:
        """The champion before this challenge."""
        return self.place.registry.champion(self.dataset.name, self.setup.task.name)

    @cached_property
    def origins(self) -> list[datetime]:
        """The origins of the backtest."""
        setup = self.setup
        return rolling_origins(self.dataset, setup.options, setup.folds, self.dataset.end)

    def recipes(self) -> list[dict[str, Any]]:
        """Return the options of the model to try: today's, then the champion's on newer records."""
        today = self.setup.params | self.tuned(min(self.origins, default=self.dataset.end))
        champion = self.champion
        if champion is None or champion.params == today or champion.options != self.setup.options:
            return [today]
        return [today] if champion.snapshot == self.dataset.snapshot else [today, champion.params]

    def plan(self) -> tuple[str, str]:
        """Return what `run` would do, in a word, and why."""
        params, champion = self.recipes()[0], self.champion
        if champion is None:
            return "train", "there is no champion"
        if champion.inputs == self._inputs(params):
            return "nothing", "nothing changed since the champion"
        if self._registered(params) is not None:
            return "compare", "the challenger is trained"
        present = {
            "records": (champion.snapshot, champion.as_of)
            == (self.dataset.snapshot, self.dataset.end),
            "options": champion.options == self.setup.options,
            "options of the model": champion.params == params,
            "code": champion.source == code_digest(self.setup.task),
        }
        changed = [name for name, is_equal in present.items() if not is_equal]
        return "train", f"changed since the champion: {', '.join(changed) or 'the format of files'}"

    def run(self) -> Outcome:
        """Train a challenger if anything changed since the champion, and pass it through the gate.

        Where changed options are refused, the champion's are trained on the newer records.
        """
        outcomes: list[Outcome] = []
        for params in self.recipes():
            outcomes.append(self._try(params))
            if not outcomes[-1].refused:
                break
        last = outcomes[-1]
        if len(outcomes) > 1:
            refused = f"{outcomes[0].version} is refused: {outcomes[0].reason}"
            return replace(last, reason=f"{last.reason}; {refused}", refused=True)
        return last

    def _try(self, params: dict[str, Any]) -> Outcome:
        name, champion, folder = self.setup.task.name, self.champion, self._folder
        inputs = self._inputs(params)
        if champion is not None and champion.inputs == inputs and champion.format == FORMAT:
            return Outcome(name, "nothing changed since the champion", version=champion.label)
        version = self._registered(params)
        if version is not None and version.rolled_back:
            reason = f"{version.label} was rolled back, and nothing changed since"
            return Outcome(name, reason, version=version.label)
        judged_by = digest(
            inputs,
            champion and champion.run_id,
            self.origins,
            sources_digest(*_GATE),
            asdict(DEFAULTS),
        )
        refusal = recall(folder, f"refused-{name}", judged_by)
        if refusal is not None:
            with self.place.report.step("gate", name) as step:
                step.kept = True
            return Outcome(**refusal | {"behind": tuple(refusal["behind"])})
        with self.place.report.step("fit", name) as step:
            step.kept = version is not None
            version = version or self._fit(params)
        self.place.report.fit_seconds += step.seconds
        outcome = self._judge(version, params)
        if outcome.refused:
            kept = {**asdict(outcome), "verdict": None, "trained": False}
            remember(folder, f"refused-{name}", judged_by, kept)
        return replace(outcome, trained=not step.kept)

    def _judge(self, version: Version, params: dict[str, Any]) -> Outcome:
        """Backtest a challenger and the champion, and promote by the gate's verdict."""
        setup, tracker = self.setup, self.place.tracker()
        name = setup.task.name
        if not setup.folds:
            reason = f"promoted without comparison; {setup.standing.words}"
            promote(tracker, self.dataset.name, version, reason)
            return Outcome(name, reason, promoted=True, version=version.label)
        with self.place.report.step("backtest of the challenger", name) as step:
            report, step.kept = self._challenger_report(version, params)
        former = None
        if self.champion is not None:
            with self.place.report.step("backtest of the champion", name) as step:
                former, step.kept = self._champion_report(self.champion, params, report)
        with self.place.report.step("gate", name):
            verdict = self._decide(version, report, former)
            words = judge(report).words
            with tracker.resume(version.run_id):
                tracker.log_document("gate", asdict(verdict))
            state = PASSED if verdict.promoted else "refused"
            tracker.tag(version.run_id, {GATE: f"{state}: {verdict.reason}"[:_LONGEST_TAG]})
            if verdict.promoted:
                promote(tracker, self.dataset.name, version, verdict.reason)
        standing = judge(report)
        return Outcome(
            name,
            f"{verdict.reason}; {words}",
            promoted=verdict.promoted,
            refused=not verdict.promoted,
            version=version.label,
            judged=standing.judged,
            behind=standing.behind,
            verdict=verdict,
        )

    def _decide(self, version: Version, report: Report, former: Report | None) -> Verdict:
        champion, candidate = self.champion, Candidate(report, _size(version.folder))
        if champion is None or former is None:
            return decide(candidate, None, newer=True)
        newer = (version.snapshot, version.as_of) != (champion.snapshot, champion.as_of)
        same_code = former is not report or champion.source == version.source
        before = Candidate(
            former,
            _size(champion.folder),
            self._population(champion.as_of) if newer else None,
            recorded=() if same_code else champion.primary,
            behind=champion.standing.behind,
        )
        candidate = replace(
            candidate, population=self._population(version.as_of) if newer else None
        )
        return decide(candidate, before, newer=newer)

    def _population(self, as_of: datetime) -> pl.DataFrame | None:
        describe = self.setup.task.main_features
        return None if describe is None else describe(self.dataset, as_of, self.setup.options)

    def _fit(self, params: dict[str, Any]) -> Version:
        from training.train import train

        return train(
            self.setup.task,
            self.dataset,
            self.place.tracker(),
            options=self.setup.options,
            params=params,
            standing=self.setup.standing,
            threads=self.place.threads,
            progress=self.place.progress,
        )

    def _challenger_report(self, version: Version, params: dict[str, Any]) -> tuple[Report, bool]:
        """Return the backtest of a version, and whether it was kept."""
        from training.train import evaluate

        task = self.setup.task
        key = self._key(params, code_digest(task), task.baselines)
        kept = self._kept(key)
        if kept is not None and version.primary:
            return kept, True
        if version.primary:
            # Its metrics are logged; a second time they would count twice.
            report = backtest(
                task,
                self.dataset,
                self.origins,
                self.setup.options,
                params={**params, "threads": self.place.threads},
                progress=self.place.progress,
            )
        else:
            report = evaluate(
                task,
                self.dataset,
                self.place.tracker(),
                version,
                folds=self.setup.folds,
                threads=self.place.threads,
                progress=self.place.progress,
            )
        self._keep(key, report)
        return report, False

    def _champion_report(
        self, champion: Version, params: dict[str, Any], report: Report
    ) -> tuple[Report, bool]:
        """Return the champion's backtest on the challenger's folds, and whether it was kept.

        Other code of the champion counts where it was run on these folds; else its options are
        refitted by today's.
        """
        task, code = self.setup.task, code_digest(self.setup.task)
        same_options = (champion.options, champion.params) == (self.setup.options, params)
        if champion.source != code and champion.options == self.setup.options:
            own = self._kept(self._key(champion.params, champion.source, task.baselines))
            if own is not None:
                return own, True
        if same_options:
            return report, True
        for baselines in (task.baselines, ()):
            kept = self._kept(self._key(champion.params, code, baselines))
            if kept is not None:
                return kept, True
        former = backtest(
            task,
            self.dataset,
            self.origins,
            self.setup.options,
            params={**champion.params, "threads": self.place.threads},
            baselines=(),
            progress=self.place.progress,
        )
        self._keep(self._key(champion.params, code, ()), former)
        return former, False

    def _inputs(self, params: dict[str, Any]) -> str:
        setup, dataset = self.setup, self.dataset
        return training_digest(setup.task, dataset, dataset.end, setup.options, params)

    def _registered(self, params: dict[str, Any]) -> Version | None:
        """Return the newest version that was trained from these inputs."""
        inputs = self._inputs(params)
        versions = self.place.registry.versions(self.dataset.name, self.setup.task.name)
        return next((v for v in versions if v.inputs == inputs and v.format == FORMAT), None)

    def _key(self, params: dict[str, Any], code: str, baselines: Any) -> str:
        return backtest_digest(
            self.setup.task,
            self.dataset,
            self.origins,
            self.setup.options,
            params,
            baselines=baselines,
            code=code,
        )

    def _kept(self, key: str) -> Report | None:
        setup, home = self.setup, self.place.home
        return kept_backtest(home, key, setup.task, self.dataset, self.origins, setup.options)

    def _keep(self, key: str, report: Report) -> None:
        keep_backtest(self.place.home, key, report)
        self.place.report.fit_seconds += sum(report.seconds.values())

    @property
    def _folder(self) -> Path:
        return retraining_folder(self.place.home, self.dataset.name)


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
