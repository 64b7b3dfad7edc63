"""Checks on canonical frames: what passes goes in, what fails goes to quarantine.

Used by every source's import. Nothing vanishes: read = accepted + quarantined + duplicates.
"""

from dataclasses import asdict, dataclass, field
from typing import TypeVar

import polars as pl

from features.errors import ImportRejected
from features.tables import Table

# What a source may say of each row, beside its values: the file, the line or row in it, what
# makes it unreadable. Raw columns are carried as `source:NAME`.
FILE, ROW, FAULT, RAW = "source.file", "source.row", "source.fault", "source:"
# Whether the row is of someone who asked to be forgotten: then quarantine keeps no value of it.
FORGOTTEN = "source.forgotten"

QUARANTINE_SCHEMA = pl.Schema(
    {
        "table": pl.String,
        "file": pl.String,
        "row": pl.Int64,
        "column": pl.String,
        "value": pl.String,
        "reason": pl.String,
        "dropped": pl.Boolean,
        # The line of the mapping that asks for what was not there.
        "mapping_line": pl.Int32,
        # What replay needs: which of the table's sources, and what it wrote, as JSON.
        "source": pl.Int32,
        "record": pl.String,
        # Whose row it is, so that a person can be forgotten.
        "customer_id": pl.String,
    }
)
# What of a row in quarantine may tell of a person.
SAID = ("value", "record", "customer_id")
_FAILED = "#failed"
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
# A value that fails may be of any size; of a huge one the beginning is enough.
_VALUE_CHARS = 200


@dataclass
class TableReport:
    """What became of the rows of one table.

    Attributes
    ----------
    read, accepted, quarantined, duplicates
        Numbers of rows; the first is the sum of the others.
    replaced
        Accepted rows that took the place of a stored row with the same key.
    touched
        Accepted rows that a rule of the source changed, by rule.
    dropped
        Quarantined rows that the source's own rules keep out.
    noted
        Rows that passed and are worth a look, by what was noted.
    """

    read: int
    accepted: int
    quarantined: int
    duplicates: int
    replaced: int = 0
    touched: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    noted: dict[str, int] = field(default_factory=dict)


@dataclass
class ImportReport:
    """What an import did, table by table."""

    dataset: str
    snapshot: str
    tables: dict[str, TableReport]

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values, in the shape of `data import --json`."""
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """A source's reason to keep rows out: where `fails` is true, the row is quarantined.

    Attributes
    ----------
    column, reason
        What is reported: the column whose value is to blame, and why.
    fails
        Whether a row fails.
    suspect
        Cheaper to tell than `fails`, and true wherever that is.
    dropped
        Whether the source's owner wants such rows out; they do not stop an import.
    mapping_line
        The line of the mapping that says so.
    """

    column: str
    reason: str
    fails: pl.Expr
    suspect: pl.Expr | None = None
    dropped: bool = False
    mapping_line: int | None = None


def standard_rules(table: Table, columns: list[str]) -> list[Rule]:
    """Derive the rules that a table's own definition implies: presence and range."""
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
        if column.dtype == pl.Float64:
            rules.append(Rule(name, f"{name} is not finite", ~pl.col(name).is_finite()))
    return rules


def divide(
    table: Table, batch: pl.DataFrame, rules: list[Rule], *, first_row: int, source: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide rows into those that pass and a report of those that fail.

    Parameters
    ----------
    first_row
        Number of the batch's first row, where the source does not number them.
    source
        Which of the table's sources it is.

    Returns
    -------
    good
        The rows that pass every rule.
    bad
        One row a failing row, with the first rule it failed, in `QUARANTINE_SCHEMA`.
    """
    suspicion = [rule.fails if rule.suspect is None else rule.suspect for rule in rules]
    suspected = batch.select(pl.any_horizontal(suspicion).fill_null(value=False)).to_series()
    nothing = pl.DataFrame(schema=QUARANTINE_SCHEMA)
    if not suspected.any():
        return batch, nothing
    if ROW not in batch.columns:
        batch = batch.with_row_index(ROW, offset=first_row)
    first = pl.coalesce(
        pl.when(rule.fails).then(pl.lit(number, dtype=pl.Int16))
        for number, rule in enumerate(rules)
    )
    looked_at = batch.filter(suspected).with_columns(first.alias(_FAILED))
    failed = looked_at.filter(pl.col(_FAILED).is_not_null())
    if failed.is_empty():
        return batch, nothing
    failed = failed.with_columns(_record(failed).alias("#record"))
    bad = [
        _rejected(table, failed.filter(pl.col(_FAILED) == number), rules[number], source)
        for number in failed.get_column(_FAILED).unique().sort()
    ]
    passed = looked_at.get_column(_FAILED).is_null()
    good = batch.filter(~suspected.scatter(suspected.arg_true(), ~passed))
    return good, pl.concat([nothing, *bad]).sort("row")


def _rejected(table: Table, failed: pl.DataFrame, rule: Rule, source: int) -> pl.DataFrame:
    """Report rows that failed one rule."""

    def if_there(name: str) -> pl.Expr:
        return pl.col(name) if name in failed.columns else pl.lit(None)

    told = {
        "table": pl.lit(table.name),
        "file": if_there(FILE),
        "row": pl.col(ROW),
        "column": pl.lit(rule.column.removeprefix(RAW)),
        "value": pl.col(rule.column).cast(pl.String).str.head(_VALUE_CHARS),
        "reason": pl.lit(rule.reason),
        "dropped": pl.lit(rule.dropped),
        "mapping_line": pl.lit(rule.mapping_line),
        "source": pl.lit(source),
        "record": pl.col("#record"),
        "customer_id": if_there("customer_id"),
    }
    report = failed.select(
        *(expr.cast(QUARANTINE_SCHEMA[name]).alias(name) for name, expr in told.items()),
        if_there(FORGOTTEN).alias(FORGOTTEN),
    )
    return blanked(report, pl.col(FORGOTTEN).fill_null(value=False)).drop(FORGOTTEN)


def blanked(quarantine: Frame, gone: pl.Expr) -> Frame:
    """Keep of some rows of a quarantine where they stood and why, and nothing that they said."""
    return quarantine.with_columns(pl.when(~gone).then(pl.col(name)).alias(name) for name in SAID)


def _record(failed: pl.DataFrame) -> pl.Expr:
    """Write what the source wrote as JSON; null where the source carries no raw columns."""
    raw = [name for name in failed.columns if name.startswith(RAW)]
    if not raw:
        return pl.lit(None, dtype=pl.String)
    fields = [pl.col(name).cast(pl.String).alias(name.removeprefix(RAW)) for name in raw]
    if FAULT in failed.columns:
        fields.append(pl.col(FAULT))
    return pl.struct(fields).struct.json_encode()


def check_share(
    name: str, table: str, read: int, failing: int, rejected: pl.LazyFrame, max_share: float
) -> None:
    """Stop an import in which too large a share of a table's rows failed.

    Parameters
    ----------
    failing
        How many rows failed, without those that were meant to be kept out.
    rejected
        A report of them.

    Raises
    ------
    ImportRejected
        Naming the table, the share, its most frequent reason and a row.
    """
    share = failing / max(read, 1)
    if share <= max_share:
        return
    mistakes = rejected.filter(~pl.col("dropped"))
    counts = mistakes.group_by("reason").len().sort("len", "reason", descending=[True, False])
    reason = counts.collect().item(0, "reason")
    example = mistakes.filter(pl.col("reason") == reason).head(1).collect().row(0, named=True)
    at = f"{example['file']}, row {example['row']}" if example["file"] else f"row {example['row']}"
    said = f" (line {example['mapping_line']} of the mapping)" if example["mapping_line"] else ""
    # Of whom a row is belongs in no log.
    value = "" if reason.startswith("customer_id") else f": {example['value']!r}"
    raise ImportRejected(
        f"{share:.1%} of the rows of {table} in {name} failed validation, more than "
        f"the {max_share:.1%} allowed; most often: {reason}{said}, such as {at}, column "
        f"{example['column']}{value}. The dataset stays as it was. "
        f"`foresell data quarantine {name} --stopped` shows these rows. Mend the source or the "
        "mapping, or raise FORESELL_MAX_BAD_SHARE.",
        field=table,
    )
