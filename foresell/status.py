"""State of datasets and models: tables, what each model can use, champions, what is served."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import narwhals as nw

from features.calendar import to_date
from features.dataset import Dataset, count_consenting, open_dataset
from features.errors import MissingData
from features.ingest.health import ImportHealth, read_health
from features.privacy.pseudonyms import read_key_check
from features.storage import kept, snapshots
from features.storage.snapshots import dataset_folder
from foresell.settings import Settings
from training.monitoring import checks as monitoring_checks
from training.published import versions as published
from training.registered import Registry

if TYPE_CHECKING:
    from training.contract import Task


def list_datasets(settings: Settings) -> list[dict[str, Any]]:
    """Return for each dataset its dates, and the table and number of its records."""
    rows = []
    for name in snapshots.list_datasets(settings.home):
        dataset = open_dataset(settings.home, name)
        first, last = dataset.days
        count = dataset.table(dataset.records).select(nw.len()).collect().item()
        rows.append(
            {
                "dataset": name,
                "first": str(to_date(first)),
                "last": str(to_date(last)),
                "records": dataset.records,
                "rows": int(count),
                "snapshot": dataset.snapshot,
            }
        )
    return rows


def describe_dataset(settings: Settings, name: str) -> dict[str, Any]:
    """Return tables, rows and dates, and for each model whether it can run and what it lacks.

    `prices` is `recorded` for a table of prices, `paid` if prices paid stand in for it. `holidays`
    is the number of locations by calendar of public holidays.
    """
    dataset = open_dataset(settings.home, name)
    return {**_described(settings, dataset), "personal": _personal(settings, name)}


def _described(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """Return the description of a snapshot: it takes long and is kept with the snapshot."""
    description: dict[str, Any] = kept.of_snapshot(
        dataset_folder(settings.home, dataset.name),
        dataset.snapshot,
        "description",
        lambda: _describe(settings, dataset),
        inputs={"folds": settings.folds, "country": settings.country},
        sources=("features/**/*.py", "training/**/*.py", "foresell/**/*.py"),
    )
    return description


def _describe(settings: Settings, dataset: Dataset) -> dict[str, Any]:
    from features.demand.prices import has_paid_prices
    from training.registry import TASKS

    first, last = dataset.days
    tables = [
        {
            "name": table,
            "rows": frame.select(nw.len()).collect().item(),
            "columns": dataset.columns(table),
        }
        for table, frame in dataset.tables.items()
    ]
    models = [_ability(settings, task, dataset) for task in TASKS.values()]
    can_run = {row["model"]: row["can_run"] for row in models}
    paid = has_paid_prices(dataset) and not dataset.has("prices")
    return {
        "dataset": dataset.name,
        "prices": "paid" if paid else "recorded" if dataset.has("prices") else None,
        "snapshot": dataset.snapshot,
        "first": str(to_date(first)),
        "last": str(to_date(last)),
        "tables": tables,
        "holidays": _holidays(settings, dataset),
        "models": models,
        "grains": _grains(dataset) if can_run["demand"] == "yes" else [],
    }


def _grains(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the noise floor of demand at each usual grain, and which grain is the default."""
    from training.models.demand.grain_choice import default_grain, noise_by_grain

    floors, default = noise_by_grain(dataset), str(default_grain(dataset))
    return [
        {
            "grain": text,
            "series": floor.series,
            "noise_floor": round(floor.wape, 3),
            "default": text == default,
        }
        for text, floor in floors.items()
    ]


def _holidays(settings: Settings, dataset: Dataset) -> list[dict[str, Any]]:
    """Return at how many locations each calendar holds, and whether it is that of the settings."""
    import polars as pl

    from features.demand.holiday_calendars import holiday_calendars
    from features.demand.plan import sold_ids

    _, locations = sold_ids(dataset)
    rows = pl.DataFrame({"location_id": sorted(locations)}, schema={"location_id": pl.String})
    counts = holiday_calendars(dataset, rows).value_counts().sort("calendar", nulls_last=True)
    return [
        {"calendar": own or settings.country, "locations": count, "of_settings": own is None}
        for own, count in counts.rows() or [(None, 0)]
    ]


def _personal(settings: Settings, name: str) -> dict[str, Any]:
    """Return whether ids of customers are pseudonyms, and how many customers consent."""
    given = count_consenting(settings.home, name)
    consenting, customers = given if given is not None else (None, None)
    return {
        "pseudonymised": read_key_check(dataset_folder(settings.home, name)) is not None,
        "customers_asked": customers,
        "customers_consenting": consenting,
    }


def _ability(settings: Settings, task: Task, dataset: Dataset) -> dict[str, Any]:
    """Return whether a task can run and how it is set up, or what the dataset lacks."""
    from training.task_setup import set_up

    gains = task.model.needs.missing_optional(dataset)
    row: dict[str, Any] = {
        "model": task.name,
        "can_run": "no",
        "lacks": "",
        "would_gain": "; ".join(f"{table}: {adds}" for table, adds in gains.items()),
        "grain": None,
        "horizon_days": None,
        "folds": 0,
        "reason": "",
    }
    try:
        setup = set_up(task, dataset, dataset.end, folds=settings.folds, country=settings.country)
    except MissingData as error:
        return {**row, "lacks": error.message}
    return {
        **row,
        "can_run": "yes",
        "grain": setup.options.get("grain"),
        "horizon_days": setup.options["horizon_days"],
        "folds": setup.folds,
        "reason": "; ".join(part for part in (setup.reason, setup.note) if part),
    }


def status(settings: Settings) -> dict[str, Any]:
    """Return champions with their ages, what is served, and checks with what fails them."""
    dataset = open_dataset(settings.home, settings.dataset)
    registry = Registry(settings.mlruns, settings.tracking_database)
    can_run = {row["model"]: row["can_run"] for row in _described(settings, dataset)["models"]}
    champions = {task: registry.champion(dataset.name, task) for task in can_run}
    models = {task: version for task, version in champions.items() if version is not None}
    folder, record = published.served(settings.home, dataset.name) or (None, None)
    served = record.models if record is not None else {}
    rows: list[dict[str, Any]] = [
        {
            "model": task,
            "champion": version.label,
            "as_of": version.as_of.date().isoformat(),
            "age_days": (date.today() - version.created.date()).days,
            "primary": [round(value, 4) for value in version.primary],
            "served": served[task].version if task in served else None,
            "judged": version.standing.judged,
            "behind": list(version.standing.behind),
            "standing": version.standing.describe(version.label),
        }
        for task, version in models.items()
    ]
    lacking = [task for task, able in can_run.items() if able == "yes" and task not in models]
    behind = [name for name, version in models.items() if version.snapshot != dataset.snapshot]
    unserved = [row["model"] for row in rows if row["served"] != row["champion"]]
    is_default = dataset.name == Settings.model_fields["dataset"].default
    flag = "" if is_default else f" --dataset {dataset.name}"
    health = read_health(settings.home, dataset.name, settings.max_bad_share)
    return {
        "dataset": dataset.name,
        "snapshot": dataset.snapshot,
        "data_end": dataset.end.date().isoformat(),
        "published": folder.name if folder is not None else None,
        "champions": rows,
        "imports": health.to_json(),
        "checks": [
            *_import_checks(health, flag),
            _check("every runnable model has a champion", lacking, f"train all --if-missing{flag}"),
            _check("champions know the newest snapshot", behind, f"retrain{flag}"),
            _check("champions are served", unserved, f"train all --if-missing{flag}"),
            *_monitoring_checks(settings, dataset.name),
        ],
    }


def _import_checks(health: ImportHealth, flag: str) -> list[dict[str, Any]]:
    """Return checks of the last import, of single files and of the freshness of sources."""
    failure = [health.failure] if health.failure is not None else []
    files, late = health.failing_files, health.late_sources
    again = f"retrain{flag}"
    return [
        _check("the last import succeeded", failure, again, "correct the cause and "),
        _check("rows of every file are valid", files, again, "correct them and "),
        _check("every source delivers", late, again, "see why and "),
    ]


def _monitoring_checks(settings: Settings, dataset: str) -> list[dict[str, Any]]:
    """Return what the last nightly job noticed in records, answers and realised quality."""
    monitoring = monitoring_checks.read(settings.home, dataset)
    if monitoring is None:
        return []
    name = f"records and answers are as usual on {monitoring.as_of.date()}"
    if not monitoring.failing:
        return [{"check": name, "ok": True, "detail": f"{len(monitoring.checks)} checks"}]
    return [
        {"check": f"{check.name} as usual", "ok": False, "detail": check.detail}
        for check in monitoring.failing
    ]


def _check(name: str, failing: list[str], remedy: str, first: str = "") -> dict[str, Any]:
    detail = f"{', '.join(failing)}; {first}run `foresell {remedy}`" if failing else "all"
    return {"check": name, "ok": not failing, "detail": detail}
