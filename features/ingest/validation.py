"""Row validation: a batch and rules in, valid rows and a quarantine report of the others out."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from features.columns import CUSTOMER_ID
from features.errors import ImportRejected
from features.ingest.quarantine import QUARANTINE_SCHEMA, redact_rows
from features.ingest.source_columns import FAULT, FORGOTTEN, RAW_PREFIX, SOURCE_FILE, SOURCE_ROW
from features.public_holidays import (
    COUNTRY,
    REGION_CODE,
    calendar_code,
    is_country,
    known_calendars,
)
from features.tables import Table

_FAILED_RULE, _RECORD = "#failed", "#record"
# Longer values are truncated in the report.
_VALUE_CHARS = 200
# Failing files in a message.
_FILES_SHOWN = 3


@dataclass(frozen=True)
class Rule:
    """A condition under which a row is quarantined.

    Attributes
    ----------
    column, reason
        Reported for a failing row: the column with the invalid value, and the reason.
    fails
        Whether a row fails.
    suspect
        A cheaper condition that is true wherever `fails` is.
    dropped
        Whether the row is excluded on purpose; such rows do not count as failing.
    mapping_line
        Line of the mapping file that states the rule.
    """

    column: str
    reason: str
    fails: pl.Expr
    suspect: pl.Expr | None = None
    dropped: bool = False
    mapping_line: int | None = None


def table_rules(table: Table, columns: list[str]) -> list[Rule]:
    """Return the rules of a canonical table's definition: required, limits, words, finite."""
    rules = []
    for name in columns:
        column = table.columns.get(name)
        if column is None:
            continue
        if column.required:
            rules.append(Rule(name, f"{name} is missing", pl.col(name).is_null()))
        if column.minimum is not None:
            rules.append(
                Rule(name, f"{name} is below {column.minimum:g}", pl.col(name) < column.minimum)
            )
        if column.maximum is not None:
            rules.append(
                Rule(name, f"{name} is above {column.maximum:g}", pl.col(name) > column.maximum)
            )
        if column.words:
            unknown = ~pl.col(name).is_in(list(column.words))
            rules.append(Rule(name, f"{name} is none of {column.limits}", unknown))
        if column.dtype == pl.Float64:
            rules.append(Rule(name, f"{name} is not finite", ~pl.col(name).is_finite()))
    if table.name == "locations":
        rules += _holiday_rules(columns)
    if {"from_day", "to_day"} <= set(columns):
        empty = pl.col("to_day") <= pl.col("from_day")
        rules.append(Rule("to_day", "to_day is not after from_day", empty))
    return rules


def _holiday_rules(columns: list[str]) -> list[Rule]:
    """Return the rules of the codes whose public holidays count at a location."""
    rules = []
    if COUNTRY in columns:
        reason = (
            f"{COUNTRY} is no ISO 3166-1 code with known public holidays, such as US or DE; leave "
            "it empty for that of FORESELL_COUNTRY"
        )
        rules.append(Rule(COUNTRY, reason, ~is_country(calendar_code([COUNTRY]))))
    if REGION_CODE in columns:
        reason = (
            f"{REGION_CODE} is no ISO 3166-2 code of the {COUNTRY} with public holidays of its "
            "own, such as DE-BY; leave it empty for those of the country"
        )
        known = calendar_code(columns).is_in(list(known_calendars())).fill_null(value=False)
        rules.append(Rule(REGION_CODE, reason, pl.col(REGION_CODE).is_not_null() & ~known))
    return rules


def split_rows(
    table: Table, batch: pl.DataFrame, rules: list[Rule], *, first_row: int, source: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a batch into valid rows and a report of the invalid ones.

    Parameters
    ----------
    first_row
        Number of the batch's first row, for sources that do not number rows.
    source
        Position of the source among the table's sources.

    Returns
    -------
    valid
        The rows that pass every rule.
    rejected
        One row per invalid row in `QUARANTINE_SCHEMA`, with the first rule that it fails.
    """
    conditions = [rule.fails if rule.suspect is None else rule.suspect for rule in rules]
    suspect = batch.select(pl.any_horizontal(conditions).fill_null(value=False)).to_series()
    empty = pl.DataFrame(schema=QUARANTINE_SCHEMA)
    if not suspect.any():
        return batch, empty
    if SOURCE_ROW not in batch.columns:
        batch = batch.with_row_index(SOURCE_ROW, offset=first_row)
    first_failed = pl.coalesce(
        pl.when(rule.fails).then(pl.lit(number, dtype=pl.Int16))
        for number, rule in enumerate(rules)
    )
    checked = batch.filter(suspect).with_columns(first_failed.alias(_FAILED_RULE))
    failed = checked.filter(pl.col(_FAILED_RULE).is_not_null())
    if failed.is_empty():
        return batch, empty
    failed = failed.with_columns(_record(failed).alias(_RECORD))
    rejected = [
        _report_rows(table, failed.filter(pl.col(_FAILED_RULE) == number), rules[number], source)
        for number in failed.get_column(_FAILED_RULE).unique().sort()
    ]
    passed = checked.get_column(_FAILED_RULE).is_null()
    valid = batch.filter(~suspect.scatter(suspect.arg_true(), ~passed))
    return valid, pl.concat([empty, *rejected]).sort("row")


def _report_rows(table: Table, failed: pl.DataFrame, rule: Rule, source: int) -> pl.DataFrame:
    """Return the quarantine report of rows that fail one rule."""

    def optional(name: str) -> pl.Expr:
        return pl.col(name) if name in failed.columns else pl.lit(None)

    values = {
        "table": pl.lit(table.name),
        "file": optional(SOURCE_FILE),
        "row": pl.col(SOURCE_ROW),
        "column": pl.lit(rule.column.removeprefix(RAW_PREFIX)),
        "value": pl.col(rule.column).cast(pl.String).str.head(_VALUE_CHARS),
        "reason": pl.lit(rule.reason),
        "dropped": pl.lit(rule.dropped),
        "mapping_line": pl.lit(rule.mapping_line),
        "source": pl.lit(source),
        "record": pl.col(_RECORD),
        CUSTOMER_ID: optional(CUSTOMER_ID),
    }
    report = failed.select(
        *(expr.cast(QUARANTINE_SCHEMA[name]).alias(name) for name, expr in values.items()),
        optional(FORGOTTEN).alias(FORGOTTEN),
    )
    return redact_rows(report, pl.col(FORGOTTEN).fill_null(value=False)).drop(FORGOTTEN)


def _record(failed: pl.DataFrame) -> pl.Expr:
    """Encode the raw values of a row as JSON; null for sources without raw columns."""
    raw = [name for name in failed.columns if name.startswith(RAW_PREFIX)]
    if not raw:
        return pl.lit(None, dtype=pl.String)
    fields = [pl.col(name).cast(pl.String).alias(name.removeprefix(RAW_PREFIX)) for name in raw]
    if FAULT in failed.columns:
        fields.append(pl.col(FAULT))
    return pl.struct(fields).struct.json_encode()


def check_failing_files(
    dataset: str,
    table: str,
    read: int,
    files: Mapping[str, tuple[int, int]],
    rejected: pl.LazyFrame,
    max_share: float,
) -> None:
    """Reject an import if too large a share of the rows of single files is invalid.

    In the totals of a long history such a file would not show.

    Parameters
    ----------
    read
        Number of rows of the table.
    files
        Numbers of rows and of invalid rows, by file.
    rejected
        Quarantine report of the table.

    Raises
    ------
    ImportRejected
        With the files, the share, the most frequent reason and an example row.
    """
    bad = {file: counts for file, counts in files.items() if counts[1] > max_share * counts[0]}
    rows = sum(rows for rows, _ in bad.values())
    if not bad or rows == read:
        # If all files fail, the table fails.
        return
    shown = ", ".join(list(bad)[:_FILES_SHOWN])
    more = f" and {len(bad) - _FILES_SHOWN} more files" if len(bad) > _FILES_SHOWN else ""
    share = sum(failing for _, failing in bad.values()) / rows
    invalid = rejected.filter(pl.col("file").is_in(list(bad)))
    _reject(f"{shown}{more} ({table})", dataset, table, share, invalid, max_share)


def check_failing_share(
    dataset: str,
    table: str,
    read: int,
    failing: int,
    rejected: pl.LazyFrame,
    max_share: float,
    *,
    remedy: str | None = None,
) -> None:
    """Reject an import if too large a share of a table's rows is invalid.

    Parameters
    ----------
    failing
        Number of invalid rows, without those that are dropped on purpose.
    rejected
        Their quarantine report.
    remedy
        What to do about it; by default, what helps with a dataset on disk.

    Raises
    ------
    ImportRejected
        With the table, the share, the most frequent reason and an example row.
    """
    share = failing / max(read, 1)
    if share > max_share:
        _reject(table, dataset, table, share, rejected, max_share, remedy)


def _reject(
    part: str,
    dataset: str,
    table: str,
    share: float,
    rejected: pl.LazyFrame,
    max_share: float,
    remedy: str | None = None,
) -> None:
    """Raise ImportRejected for a part of an import, with its most frequent reason."""
    invalid = rejected.filter(~pl.col("dropped"))
    counts = invalid.group_by("reason").len().sort("len", "reason", descending=[True, False])
    reason = counts.collect().item(0, "reason")
    example = invalid.filter(pl.col("reason") == reason).head(1).collect().row(0, named=True)
    row = f"{example['file']}, row {example['row']}" if example["file"] else f"row {example['row']}"
    line = example["mapping_line"]
    mapping = f" (line {line} of the mapping)" if line else ""
    # Customer ids must not reach a log.
    value = "" if reason.startswith(CUSTOMER_ID) else f": {example['value']!r}"
    cause = (
        f"{share:.1%} of the rows of {part} in {dataset} failed validation, more than "
        f"the {max_share:.1%} allowed; most often: {reason}{mapping}, such as {row}, column "
        f"{example['column']}"
    )
    shown = f"`foresell data quarantine {dataset} --stopped` shows these rows"
    remedy = remedy or (
        f"The dataset is unchanged. {shown}. Correct the source or the mapping, or raise "
        "FORESELL_MAX_BAD_SHARE."
    )
    raise ImportRejected(f"{cause}{value}. {remedy}", field=table, summary=f"{cause} ({shown})")
