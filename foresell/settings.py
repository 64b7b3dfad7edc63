"""Settings: every option in one object, read once at the edge and passed on as plain values."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Options of Foresell; each is set by an environment variable `FORESELL_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="FORESELL_", extra="ignore")

    home: Path = Field(Path(".foresell"), description="datasets, quarantine, published versions")
    mlruns: Path = Field(Path("mlruns"), description="MLflow's database and artifacts")
    tracking_url: SecretStr | None = Field(
        None,
        description="URL of the PostgreSQL database of MLflow; by default a SQLite file in the "
        "folder of artifacts",
    )
    dataset: str = Field("complete-journey", description="the dataset that commands work on")
    threads: int = Field(
        default_factory=lambda: (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        ),
        ge=1,
        description="threads of every numeric library",
    )
    folds: int = Field(3, ge=1, description="rolling origins of a backtest")
    train_folds: int | None = Field(
        None,
        ge=1,
        description="rolling origins on which `train` evaluates; by default 3 with up to 100,000 "
        "records, and else 1",
    )
    max_bad_share: float = Field(
        0.05, ge=0, le=1, description="share of failing rows above which an import stops"
    )
    country: str = Field(
        "US",
        description="ISO code of the country or region (DE, DE-BY) whose public holidays move "
        "demand; a location's own country goes first",
    )
    explain_attributes: bool = Field(
        False,  # noqa: FBT003
        description="whether models that are trained name attributes of customers, such as age, "
        "in explanations",
    )
    host: str = Field("127.0.0.1", description="address that the service listens on")
    port: int = Field(3000, ge=1, le=65535, description="port that the service listens on")
    workers: int = Field(1, ge=1, description="serving processes")
    request_seconds: float = Field(30, gt=0, description="seconds until an answer ends with 504")
    body_seconds: float = Field(
        10, gt=0, description="seconds that headers, and then the body, may take to arrive"
    )
    max_concurrency: int = Field(
        100, ge=1, description="requests that a worker has in progress; more are refused (503)"
    )
    max_wait_seconds: float = Field(
        0.5, gt=0, description="seconds that a request may wait for its turn, then refused (503)"
    )
    rate_limit: float | None = Field(
        None, gt=0, description="units per second of a client (429); a key may state its own"
    )
    require_key: bool | None = Field(
        None, description="whether requests need an API key; by default unless bound to loopback"
    )
    allowed_hosts: list[str] = Field(
        [], description="values of the header Host, JSON; any by default unless bound to loopback"
    )
    cors_origins: list[str] = Field(
        [], description="origins of web pages that may read answers, JSON; none by default"
    )
    drain_seconds: float = Field(
        2, ge=0, description="seconds from a termination signal, with /readyz 503, to the stop"
    )
    log_format: Literal["text", "json"] = Field("text", description="form of the service's log")
    access_log: bool = Field(False, description="whether each request is logged")  # noqa: FBT003
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="collector that gets a span of each request (OTLP over HTTP), by its URL",
    )
    poll_seconds: float = Field(
        2.0, gt=0, description="how often a server looks for a newly published version"
    )
    keep_versions: int = Field(2, ge=1, description="published versions kept on disk")
    events_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL of the PostgreSQL database of event logs; by default a SQLite "
        "file of each dataset",
    )
    events_in_memory: int = Field(
        100_000,
        ge=1,
        description="newest events of a dataset that a worker keeps, about 1 kB each",
    )
    pseudonym_key: SecretStr | None = Field(
        None, description="the key of customers' pseudonyms; never stored"
    )

    @property
    def secret(self) -> str | None:
        """The key of pseudonyms in plain text."""
        return self.pseudonym_key.get_secret_value() if self.pseudonym_key else None

    @property
    def tracking_database(self) -> str | None:
        """The URL of MLflow's database in plain text."""
        return self.tracking_url.get_secret_value() if self.tracking_url else None

    @property
    def events_database(self) -> str | None:
        """The URL of the database of event logs in plain text."""
        return self.events_url.get_secret_value() if self.events_url else None
