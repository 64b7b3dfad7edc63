"""Ablation: each component of a model is removed in turn, on several datasets.

Subjects (a task on a dataset at an instant) and components come from the modules
`ablation_recommender`, `ablation_customers` and `ablation_demand`. For each component the table
shows the paired change of every metric with its 95 % bootstrap interval over cases, the change of
cost, and the lines of code involved. A component whose removal changes nothing beyond the interval
on two datasets is deleted, unless the table names a behaviour that it guarantees.

Run: python benchmarks/ablation.py MODEL [--dataset NAME] [--component NAME] [--dry-run]
     python benchmarks/ablation.py MODEL --save FILE       values per case, of one version
     python benchmarks/ablation.py MODEL --against FILE    paired change against that version
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from results import record

from features.dataset import Dataset
from features.typing import Floats
from training.metrics import bootstrap_interval

ROOT = Path(__file__).parents[1]
# Module with the subjects and the components of each model.
FAMILIES = {
    "recommender": "ablation_recommender",
    "churn": "ablation_customers",
    "next-purchase": "ablation_customers",
    "next-category": "ablation_customers",
    "value": "ablation_customers",
    "demand": "ablation_demand",
}
COMPLETE = "(complete)"


@dataclass(frozen=True)
class Component:
    """A part of a model that can be removed.

    Attributes
    ----------
    name
        Row of the table.
    remove
        Returns a context within which models lack the component.
    modules
        Files, relative to the repository, whose lines would go with it.
    own_features
        Whether removal changes features that are cached with a dataset; the variant then starts
        from a fresh dataset.
    guarantees
        Behaviour by which the component is judged instead of by a metric.
    """

    name: str
    remove: Callable[[], AbstractContextManager[Any]]
    modules: tuple[str, ...] = ()
    own_features: bool = False
    guarantees: str = ""

    @property
    def lines(self) -> int:
        """Lines of the modules."""
        return sum(len((ROOT / module).read_text().splitlines()) for module in self.modules)


@dataclass(frozen=True)
class Subject:
    """A task on a dataset at one instant.

    Attributes
    ----------
    model, dataset
        Names of the task and of the dataset.
    as_of
        The origin.
    open
        Opens the dataset, without cached features.
    build
        Returns an unfitted model.
    values
        (dataset, predictions) -> by metric, one value per case whose mean is the metric; the first
        metric is the primary one. NaN where a case does not count.
    predict
        (model, dataset) -> predictions of the evaluated cases.
    publish
        (model, dataset, folder) -> writes what serving reads.
    higher_is_better
        Metrics that are better if higher.
    """

    model: str
    dataset: str
    as_of: datetime
    open: Callable[[], Dataset]
    build: Callable[[], Any]
    values: Callable[[Dataset, pl.DataFrame], Mapping[str, Floats]]
    predict: Callable[[Any, Dataset], pl.DataFrame]
    publish: Callable[[Any, Dataset, Path], None] | None = None
    higher_is_better: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Measured:
    """Values per case by metric, and CPU seconds by step."""

    values: Mapping[str, Floats]
    fit: float
    predict: float
    publish: float


def measure(subject: Subject, dataset: Dataset) -> Measured:
    """Fit, predict and publish once."""
    times = [time.process_time()]
    model = subject.build().fit(dataset, subject.as_of)
    times.append(time.process_time())
    predictions = subject.predict(model, dataset)
    times.append(time.process_time())
    if subject.publish is not None:
        with tempfile.TemporaryDirectory() as folder:
            subject.publish(model, dataset, Path(folder))
    times.append(time.process_time())
    fit, predict, publish = np.diff(times)
    return Measured(subject.values(dataset, predictions), fit, predict, publish)


def ablate(subject: Subject, components: Iterable[Component]) -> pl.DataFrame:
    """Measure a subject completely and without each component.

    Costs are compared with a complete model that starts from the same cached features.
    """
    shared = subject.open()
    fresh = measure(subject, shared)
    cached = None
    rows = [_complete_row(subject, fresh)]
    for component in components:
        if component.own_features:
            dataset, reference = subject.open(), fresh
        else:
            cached = cached or measure(subject, shared)
            dataset, reference = shared, cached
        print(f"{subject.model} on {subject.dataset}: without {component.name}", flush=True)
        with component.remove():
            variant = measure(subject, dataset)
        rows.append(_row(subject, component, variant, reference, fresh))
    return pl.DataFrame(rows, infer_schema_length=None)


def paired_change(name: str, values: Floats, reference: Floats) -> dict[str, float]:
    """Return the change of a metric in % of the reference, and the interval of the change.

    Cases that only one of both counts are left out.
    """
    counted = ~np.isnan(values) & ~np.isnan(reference)
    change = values[counted] - reference[counted]
    unit = float(reference[counted].mean()) / 100
    low, high = bootstrap_interval(change)
    return {
        f"{name} %": float(change.mean()) / unit,
        f"{name} low": low / unit,
        f"{name} high": high / unit,
    }


def _complete_row(subject: Subject, measured: Measured) -> dict[str, Any]:
    values = {name: float(np.nanmean(of_cases)) for name, of_cases in measured.values.items()}
    return {
        "dataset": subject.dataset,
        "without": COMPLETE,
        **{f"{name} %": value for name, value in values.items()},
        "fit CPU-s": measured.fit,
        "predict CPU-s": measured.predict,
        "publish CPU-s": measured.publish,
    }


def _row(
    subject: Subject,
    component: Component,
    variant: Measured,
    reference: Measured,
    fresh: Measured,
) -> dict[str, Any]:
    row: dict[str, Any] = {"dataset": subject.dataset, "without": component.name}
    for position, (name, values) in enumerate(variant.values.items()):
        change = paired_change(name, values, reference.values[name])
        row |= change if position == 0 else {f"{name} %": change[f"{name} %"]}
    total = fresh.fit + fresh.predict + fresh.publish
    difference = sum(
        getattr(variant, step) - getattr(reference, step) for step in ("fit", "predict", "publish")
    )
    return {
        **row,
        "fit CPU-s": variant.fit - reference.fit,
        "predict CPU-s": variant.predict - reference.predict,
        "publish CPU-s": variant.publish - reference.publish,
        "cost %": 100 * difference / total,
        "lines": component.lines,
        "guarantees": component.guarantees,
    }


def _save(subjects: Sequence[Subject], path: Path) -> None:
    arrays: dict[str, Any] = {}
    for subject in subjects:
        measured = measure(subject, subject.open())
        for name, values in measured.values.items():
            arrays[f"{subject.model}|{subject.dataset}|{subject.as_of.date()}|{name}"] = values
            print(f"{subject.model} on {subject.dataset}: {name} {np.nanmean(values):.5f}")
    np.savez(path, **arrays)


def _compare(subjects: Sequence[Subject], path: Path) -> pl.DataFrame:
    rows = []
    with np.load(path, allow_pickle=False) as saved:
        for subject in subjects:
            measured = measure(subject, subject.open())
            for name, values in measured.values.items():
                before = saved[f"{subject.model}|{subject.dataset}|{subject.as_of.date()}|{name}"]
                change = paired_change("change", values, before)
                rows.append(
                    {
                        "dataset": subject.dataset,
                        "as_of": str(subject.as_of.date()),
                        "metric": name,
                        "before": float(np.nanmean(before)),
                        "now": float(np.nanmean(values)),
                        **change,
                    }
                )
    return pl.DataFrame(rows)


def main() -> None:
    """Print and record the table of one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", choices=[*FAMILIES, "all"], default="all")
    parser.add_argument("--dataset", action="append", help="only these datasets")
    parser.add_argument("--component", action="append", help="only these components")
    parser.add_argument("--dry-run", action="store_true", help="print, do not record")
    parser.add_argument("--save", type=Path, help="write the values per case to this file")
    parser.add_argument("--against", type=Path, help="compare with the values of this file")
    arguments = parser.parse_args()
    for model in FAMILIES if arguments.model == "all" else [arguments.model]:
        _run(model, arguments)


def _run(model: str, arguments: argparse.Namespace) -> None:
    family = import_module(FAMILIES[model])
    subjects: list[Subject] = [
        subject
        for subject in family.subjects(model)
        if not arguments.dataset or subject.dataset in arguments.dataset
    ]
    if arguments.save is not None:
        _save(subjects, arguments.save)
        return
    if arguments.against is not None:
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=250):
            print(_compare(subjects, arguments.against))
        return
    components: list[Component] = [
        component
        for component in family.components(model)
        if not arguments.component or component.name in arguments.component
    ]
    table = pl.concat([ablate(subject, components) for subject in subjects], how="diagonal_relaxed")
    if arguments.dry_run:
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=250):
            print(table)
        return
    record(
        f"Ablation: {model}",
        table,
        command=f"python benchmarks/ablation.py {model}",
        packages=("lightgbm", "scikit-learn"),
        note="Change without the component, in % of the complete model's value, with the 95 % "
        "interval over paired cases; the complete row holds the values themselves. Costs are CPU "
        "seconds more or less than the complete model's, and in % of all its costs.",
    )


if __name__ == "__main__":
    main()
