"""Set up a task for a dataset: its options, the reason for them, and the folds to evaluate on.

Every command and the nightly job use these functions, so that they agree on what can run.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from features.cadence import cadence
from features.calendar import to_date, to_day
from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from features.privacy.consent import columns_of, consent_columns
from training.contract import Task
from training.standing import UNJUDGED, Standing


@dataclass(frozen=True)
class TaskSetup:
    """A task with the options for one dataset.

    Attributes
    ----------
    task, options
        The task and its options.
    reason
        Property of the records that led to the options; empty where the caller gave them.
    folds
        Evaluation windows of one horizon each: as many as requested, or as fit.
    note
        Why there are fewer folds than requested; empty where there are not.
    params
        Options of the model over its defaults.
    """

    task: Task
    options: dict[str, Any]
    reason: str
    folds: int
    note: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def standing(self) -> Standing:
        """What is known of a version before its evaluation."""
        if self.folds:
            return UNJUDGED
        return Standing(words=self.note or "not judged: trained without evaluation")

    def describe(self) -> str:
        """Return task, grain, horizon, reason and note in one line."""
        grain = f"{self.options['grain']}, " if self.options.get("grain") else ""
        text = f"{self.task.name}: {grain}{self.options['horizon_days']} days ahead"
        reason = f" ({self.reason})" if self.reason else ""
        return text + reason + (f"; {self.note}" if self.note else "")


def set_up(
    task: Task,
    dataset: Dataset,
    as_of: datetime,
    *,
    folds: int,
    exactly: bool = False,
    grain: str | None = None,
    horizon_days: int | None = None,
    country: str | None = None,
    explain_attributes: bool = False,
) -> TaskSetup:
    """Choose a task's options by what is known at `as_of`, and the folds that fit before it.

    Parameters
    ----------
    folds
        Most evaluation windows; 0 for no evaluation. Where not even one fits, there is none.
    exactly
        Whether fewer folds than requested are an error.
    grain, horizon_days
        Options to use instead of those that suit the records.
    country
        ISO code of the country whose public holidays count; only demand reads it.
    explain_attributes
        Whether explanations may name attributes of customers; only customer models read it.

    Raises
    ------
    MissingData
        If the dataset lacks a required table or column, or is too short to learn from.
    InvalidInput
        If the grain is unknown, or fewer folds fit than required.
    """
    task.model.needs.check(dataset, task.name)
    options = task.options(
        dataset, grain=grain, horizon_days=horizon_days, as_of=as_of, country=country
    )
    fitting, note = fitting_folds(task, dataset, options, as_of, folds)
    if exactly and fitting < folds:
        raise InvalidInput(
            f"{folds} folds of {options['horizon_days']} days do not fit before "
            f"{as_of.date()} in dataset {dataset.name}; ask for {fitting} or fewer, or for a "
            "shorter horizon.",
            field="folds",
        )
    chosen = grain is None and horizon_days is None
    reason = task.reason(dataset, options, as_of) if chosen else ""
    params = model_params(task, explain_attributes=explain_attributes)
    return TaskSetup(task, options, reason, fitting, note, params)


def model_params(task: Task, **params: Any) -> dict[str, Any]:
    """Return those options that the task's model has and whose default differs."""
    known = {option.name: option.default for option in fields(task.model)}
    return {name: value for name, value in params.items() if known.get(name, value) != value}


def folds_to_judge(
    task: Task, dataset: Dataset, options: dict[str, Any], as_of: datetime, folds: int
) -> int:
    """Count the windows before `as_of` that leave enough days to learn from, at least one.

    Raises
    ------
    MissingData
        If not even one fits.
    """
    fitting, note = fitting_folds(task, dataset, options, as_of, folds)
    if not fitting:
        raise MissingData(
            f"{task.name} {options['horizon_days']} days ahead cannot be judged on dataset "
            f"{dataset.name} before {to_date(to_day(as_of))}; {note}. `foresell train {task.name}` "
            "trains it unjudged; to judge it, import a longer history, or ask for a shorter "
            "horizon.",
            field="horizon",
        )
    return fitting


def fitting_folds(
    task: Task, dataset: Dataset, options: dict[str, Any], as_of: datetime, folds: int
) -> tuple[int, str]:
    """Count the windows before `as_of` that leave enough days to learn from.

    Returns
    -------
    tuple of int and str
        The number of folds, at most `folds`; and a note if they are fewer or records are short.

    Raises
    ------
    MissingData
        If records are too short to predict from.
    """
    horizon = options["horizon_days"]
    needed = task.needed_days(dataset, options, as_of)
    least = task.least_days(dataset, options, as_of) if task.least_days else needed
    known = cadence(dataset, as_of)
    days = known.customer_days if task.needs_customers else known.history_days
    # Where no window leaves enough days to learn from, the fallback is evaluated on one window.
    fitting = min(folds, max((days - needed) // horizon, min((days - least) // horizon, 1)))
    consents = consent_columns(columns_of(dataset.tables, "customers"))
    if task.needs_customers and not days and consents:
        raise MissingData(
            f"{task.name} needs customers, and no buyer in dataset {dataset.name} has given "
            f"consent in {' and '.join(consents)} of its customers table. Import the consents, or "
            "leave the column out where no consent is needed.",
            field=consents[0],
        )
    if days < least:
        raise MissingData(
            f"{task.name} {horizon} days ahead needs {least} days of records to predict from, and "
            f"dataset {dataset.name} has {days} before {to_date(to_day(as_of))}. Import a longer "
            "history, or ask for a shorter horizon.",
            field="horizon",
        )
    if fitting < min(folds, 1):
        return 0, (
            f"not judged: of {days} days of records, {least} are needed to predict from and "
            f"{horizon} to be evaluated on"
        )
    return fitting, _note(folds, fitting, days, needed, short=days - fitting * horizon < needed)


def _note(folds: int, fitting: int, days: int, needed: int, *, short: bool) -> str:
    """Say why there are fewer folds, and what fewer days than `needed` mean for predictions."""
    if fitting == folds and not short:
        return ""
    note = f"of {days} days of records, {needed} are needed to learn from"
    if fitting < folds:
        windows = "window" if fitting == 1 else "windows"
        note = f"evaluated on {fitting} {windows} rather than {folds}: {note}"
    if short:
        note += "; with fewer, predictions rest on a buying process more than on what was learned"
    return note
