"""Look up registered model versions in MLflow's database, without the import of MLflow.

That import takes seconds, and the look-ups of a command milliseconds. This module reads four of
MLflow's tables; `tracking.py` writes them through MLflow alone. Alias `challenger` is the newest
candidate, alias `champion` the version that is served, and alias `previous` the champion before it.
"""

import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from features.errors import InvalidInput, NotFound, Unavailable
from training.contract import DEFAULT_COUNTRY
from training.published.versions import FORMAT
from training.standing import UNJUDGED, Standing

CHALLENGER = "challenger"
CHAMPION = "champion"
PREVIOUS = "previous"
# Tag of the run of a version that somebody replaced by its predecessor.
ROLLED_BACK = "rolled_back"
# Tag of the run of a version with the verdict of the gate, and the words of one that passed.
GATE = "gate"
PASSED = "passed"

_DATABASE = "mlflow.db"
_POSTGRESQL = re.compile(r"^postgres(ql)?(\+\w+)?://")
_VERSIONS = (
    "select v.version, v.creation_time, v.run_id, coalesce(v.storage_location, v.source) "
    "from model_versions v where v.name = ? and v.current_stage <> 'Deleted_Internal'"
)
_BY_ALIAS = (
    " and v.version = (select a.version from registered_model_aliases a "
    "where a.name = v.name and a.alias = ?)"
)


@dataclass(frozen=True)
class Version:
    """A registered model version.

    Attributes
    ----------
    task, number, run_id
        The task, the number in the registry, and the run that trained the model.
    as_of, snapshot
        Instant and snapshot of the records that it was trained on.
    options, params
        Options of the task, and further options of the model.
    code
        Version of the code that trained it.
    folder
        Folder of its native files.
    primary
        The primary metric by fold, oldest first; empty without evaluation.
    standing
        How it stands beside its baselines.
    created
        When it was registered.
    format
        Format of its files.
    digests
        SHA-256 of its files by name, as they were when it was registered; older code recorded none.
    threads
        Threads that it was fitted with; older code recorded none.
    inputs, source
        Digests of everything that its training depended on, and of the code alone; empty if older
        code trained it (`training/inputs.py`).
    rolled_back
        Whether somebody replaced it by its predecessor.
    gate
        Verdict of the promotion gate; empty before one.
    """

    task: str
    number: int
    run_id: str
    as_of: datetime
    snapshot: str
    options: dict[str, Any]
    params: dict[str, Any]
    code: str
    folder: Path
    primary: tuple[float, ...]
    created: datetime
    standing: Standing = UNJUDGED
    format: int = FORMAT
    digests: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    inputs: str = ""
    source: str = ""
    rolled_back: bool = False
    gate: str = ""

    @property
    def label(self) -> str:
        """Name of the version in responses, such as `churn/3`."""
        return f"{self.task}/{self.number}"

    def matches(self, snapshot: str, as_of: datetime, options: Mapping[str, Any]) -> bool:
        """Return whether it has these records, this instant and these options of the task.

        Versions of older code, whose files cannot be read, do not match.
        """
        wanted = (snapshot, as_of, dict(options), FORMAT)
        return (self.snapshot, self.as_of, self.options, self.format) == wanted


class Registry:
    """Registered versions in a store of MLflow.

    Parameters
    ----------
    mlruns
        Folder of the artifacts, and of the database unless there is a `url`.
    url
        URL of the PostgreSQL database of runs and registered models; None for a SQLite file.

    Raises
    ------
    InvalidInput
        If the URL is not one of PostgreSQL.
    """

    def __init__(self, mlruns: Path, url: str | None = None) -> None:
        if url is not None and not _POSTGRESQL.match(url):
            raise InvalidInput(
                "FORESELL_TRACKING_URL is not a URL of PostgreSQL such as "
                "postgresql://user:password@host:5432/database; without it, runs are in a SQLite "
                "file below FORESELL_MLRUNS.",
                field="tracking_url",
            )
        self.mlruns, self.url = mlruns.absolute(), url

    @property
    def file(self) -> Path:
        """The SQLite file, where there is no URL."""
        return self.mlruns / _DATABASE

    @property
    def artifacts(self) -> Path:
        """Folder of the files of runs and models."""
        return self.mlruns / "artifacts"

    @property
    def uri(self) -> str:
        """The database's URL as SQLAlchemy and MLflow read it."""
        if self.url is None:
            return f"sqlite:///{self.file}"
        return _POSTGRESQL.sub("postgresql+psycopg://", self.url)

    def exists(self) -> bool:
        """Whether a store was created."""
        if self.url is None:
            return self.file.is_file()
        with closing(self._connect()) as connection:
            query = "select to_regclass('model_versions') is not null"
            return bool(self._select(connection, query)[0][0])

    @contextmanager
    def exclusive(self, job: str) -> Iterator[None]:
        """Exclude jobs of a name on other machines that share the database.

        The lock ends with its connection, in whatever way the process ends.

        Raises
        ------
        Unavailable
            If another process holds the lock.
        """
        if self.url is None:
            yield
            return
        with closing(self._connect()) as connection:
            query = "select pg_try_advisory_lock(hashtextextended(?, 0))"
            ((held,),) = self._select(connection, query, f"foresell {job}")
            connection.commit()
            if not held:
                raise Unavailable(
                    f"Another machine runs {job} with this database; wait for it to end.",
                    field="job",
                )
            yield

    def champion(self, dataset: str, task: str) -> Version | None:
        """Return the champion of a task; None without one."""
        return self.behind(dataset, task, CHAMPION)

    def version(self, dataset: str, task: str, alias: str = CHAMPION) -> Version:
        """Look up the version behind an alias.

        Raises
        ------
        NotFound
            If the task has no such version yet.
        """
        version = self.behind(dataset, task, alias)
        if version is None:
            raise NotFound(
                f"There is no {alias} for {task} on dataset {dataset}; run "
                f"`foresell train {task} --dataset {dataset}`.",
                field="model",
            )
        return version

    def numbered(self, dataset: str, task: str, number: int) -> Version:
        """Look up a version by its number.

        Raises
        ------
        NotFound
            If there is no such version.
        """
        for version in self._find(dataset, task, " and v.version = ?", number):
            return version
        raise NotFound(
            f"There is no {task}/{number} on dataset {dataset}; `foresell status` names what "
            "there is.",
            field="to",
        )

    def of_run(self, run_id: str) -> tuple[str, Version]:
        """Look up the dataset and the version that a run trained.

        Raises
        ------
        NotFound
            If there is no such run, or it registered no version.
        """
        query = (
            "select t.value, v.name, v.version from model_versions v join tags t "
            "on t.run_uuid = v.run_id and t.key = 'dataset' where v.run_id = ?"
        )
        rows: list[tuple[Any, ...]] = []
        if self.exists():
            with closing(self._connect()) as connection:
                rows = self._select(connection, query, run_id)
        if not rows:
            raise NotFound(
                f"There is no run {run_id!r} that registered a model in {self.mlruns}; `foresell "
                "ui` lists the runs.",
                field="run_id",
            )
        dataset, name, number = rows[0]
        task = name.removeprefix(model_name(dataset, ""))
        return dataset, self.numbered(dataset, task, int(number))

    def versions(self, dataset: str, task: str) -> list[Version]:
        """Return all versions of a task's model, newest first."""
        return self._find(dataset, task, " order by v.version desc")

    def behind(self, dataset: str, task: str, alias: str) -> Version | None:
        """Return the version behind an alias; None without one."""
        return next(iter(self._find(dataset, task, _BY_ALIAS, alias)), None)

    def _find(self, dataset: str, task: str, condition: str, *values: Any) -> list[Version]:
        if not self.exists():
            return []
        with closing(self._connect()) as connection:
            name = model_name(dataset, task)
            rows = self._select(connection, _VERSIONS + condition, name, *values)
            return [self._describe(connection, task, *row) for row in rows]

    def _describe(
        self, connection: Any, task: str, number: int, created: int, run_id: str, location: str
    ) -> Version:
        query = "select key, value from tags where run_uuid = ?"
        tags = dict(self._select(connection, query, run_id))
        query = (
            "select value, is_nan from metrics where run_uuid = ? and key = ? "
            "order by step, timestamp"
        )
        metrics = self._select(connection, query, run_id, tags.get("primary", ""))
        options, params = _recorded_options(json.loads(tags["settings"]))
        # Versions of older code have no words.
        standing = tags.get("standing", Standing(judged=bool(metrics)).model_dump_json())
        return Version(
            task=task,
            number=int(number),
            run_id=run_id,
            as_of=datetime.fromisoformat(tags["as_of"]),
            snapshot=tags["snapshot"],
            options=options,
            params=params,
            code=tags["code"],
            folder=Path(unquote(urlsplit(location).path)) / "artifacts" / "model",
            primary=tuple(math.nan if is_nan else value for value, is_nan in metrics),
            created=datetime.fromtimestamp(created / 1000),
            standing=Standing.model_validate_json(standing),
            format=int(tags.get("format", 0)),
            digests=json.loads(tags.get("digests", "{}")),
            threads=int(tags["threads"]) if "threads" in tags else None,
            inputs=tags.get("inputs", ""),
            source=tags.get("source", ""),
            rolled_back=ROLLED_BACK in tags,
            gate=tags.get(GATE, ""),
        )

    def _connect(self) -> Any:
        if self.url is None:
            return sqlite3.connect(f"file:{quote(str(self.file))}?mode=ro", uri=True)
        import psycopg

        try:
            return psycopg.connect(_POSTGRESQL.sub("postgresql://", self.url), connect_timeout=10)
        except psycopg.OperationalError as error:
            raise Unavailable(
                "The database of FORESELL_TRACKING_URL does not answer; start it, or correct the "
                "URL.",
                field="tracking_url",
            ) from error

    def _select(self, connection: Any, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a query with a question mark for each value."""
        if self.url is not None:
            query = query.replace("?", "%s")
        rows: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
        return rows


def model_name(dataset: str, task: str) -> str:
    """Return the name under which the models of a task on a dataset are registered."""
    return f"{dataset}-{task}"


def _recorded_options(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the task and those of the model that a run recorded.

    Older versions of demand, the only task with a grain, have the country among the model's
    options, or nowhere if it was the default.
    """
    options, params = dict(settings["options"]), dict(settings["params"])
    if "grain" in options and "country" not in options:
        options["country"] = params.pop("country", DEFAULT_COUNTRY)
    return options, params
