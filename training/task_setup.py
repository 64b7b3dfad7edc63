"""What a dataset is asked: the options that suit it, why they do, and how often that is judged.

Every verb, the nightly job and `foresell data show` ask here, so that what is said to run does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.cadence import cadence
from features.calendar import to_date, to_day
from features.dataset import Dataset
from features.errors import InvalidInput, MissingData
from features.privacy.consent import columns_of, consent_columns
from training.contract import Task


@dataclass(frozen=True)
class TaskSetup:
    """A task as it is put to one dataset.

    Attributes
    ----------
    task, options
        The task, and what sets its question.
    reason
        What in the records the options follow from; empty where the caller set them.
    folds
        Windows of one horizon to judge on: as many as were asked for, or as there is room for.
    note
        Why they are fewer than were asked for; empty where they are not.
    """

    task: Task
    options: dict[str, Any]
    reason: str
    folds: int
    note: str

    def describe(self) -> str:
        """Say what is asked and why, in one line."""
        asked = self.options.get("grain")
        grain = f"{asked}, " if asked else ""
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
) -> TaskSetup:
    """Choose a task's options by what was known at `as_of`, and the folds that fit before it.

    Parameters
    ----------
    folds
        Windows to judge on at most; 0 where nothing is judged.
    exactly
        Whether fewer will not do.
    grain, horizon_days
        What the caller wants instead of what suits the records.

    Raises
    ------
    MissingData
        If the dataset lacks a table or a column that is needed, or days to learn from.
    InvalidInput
        If there is no such grain, or fewer folds fit than there have to be.
    """
    task.model.needs.check(dataset, task.name)
    options = task.options(dataset, grain=grain, horizon_days=horizon_days, as_of=as_of)
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
    return TaskSetup(task, options, reason, fitting, note)


def fitting_folds(
    task: Task, dataset: Dataset, options: dict[str, Any], as_of: datetime, folds: int
) -> tuple[int, str]:
    """Count the windows before `as_of` that leave enough days to learn from, and say so if few.

    Raises
    ------
    MissingData
        If there is not even one, or nothing can be answered where none is asked for.
    """
    horizon = options["horizon_days"]
    needed = task.needed_days(dataset, options, as_of)
    least = task.least_days(dataset, options, as_of) if task.least_days else needed
    known = cadence(dataset, as_of)
    days = known.customer_days if task.needs_customers else known.history_days
    # Where no window leaves enough to learn from, what takes no learning is judged on one.
    fitting = min(folds, max((days - needed) // horizon, min((days - least) // horizon, 1)))
    asked = consent_columns(columns_of(dataset.tables, "customers"))
    if task.needs_customers and not days and asked:
        raise MissingData(
            f"{task.name} is about customers, and none who bought in dataset {dataset.name} said "
            f"yes in {' and '.join(asked)} of its customers table. Import the answers of those who "
            "did, or leave the column out where nobody has to be asked.",
            field=asked[0],
        )
    if days < least or fitting < min(folds, 1):
        raise MissingData(
            f"{task.name} {horizon} days ahead needs {least} days of records to answer from and "
            f"{horizon} to be judged on, and dataset {dataset.name} has {days} before "
            f"{to_date(to_day(as_of))}. Import a longer history, or ask for a shorter horizon.",
            field="horizon",
        )
    short = days - fitting * horizon < needed
    if fitting == folds and not short:
        return folds, ""
    judged = f"judged on {fitting} {'window' if fitting == 1 else 'windows'} rather than {folds}: "
    return fitting, (
        (judged if fitting < folds else "")
        + f"of {days} days of records, {needed} are needed to learn from"
        + (
            "; with fewer, answers rest on a process of buying more than on what was learnt"
            if short
            else ""
        )
    )
