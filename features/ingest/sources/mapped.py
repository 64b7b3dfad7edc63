"""One's own data: a checked mapping file in, canonical tables with their rules out.

Used by `foresell data import MAPPING.toml`. Nothing is held but a batch: a Reading makes
canonical rows of each, raw columns beside them as `source:NAME`, so that a rejected row is
reported with what its source wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path

import narwhals as nw
import polars as pl

from features.calendar import to_day
from features.errors import InvalidInput
from features.identity import LINK_TABLES
from features.ingest.line_numbers import identity
from features.ingest.mapping.schema import COMPUTED, Mapping, Scalar, TableSource
from features.ingest.sources import parse
from features.ingest.sources.csv_text import CsvOptions
from features.ingest.sources.database import read_query
from features.ingest.sources.files import matching, scan_files, shown
from features.ingest.sources.mapped_rules import DAMAGE, DAMAGED, IDS, mapped_rules, matches
from features.ingest.sources.order_lines import (
    CAPPED,
    CHANGED,
    PRODUCTLESS,
    TURNED,
    completed,
    sign_rules,
    signed,
)
from features.ingest.sources.pseudonymise import hide
from features.ingest.staging import SourceTable
from features.ingest.validation import FAULT, FILE, RAW, Rule
from features.privacy.consent import consent_columns, is_unclear
from features.privacy.pseudonyms import Pseudonyms
from features.tables import DAY, TABLES, TS, Table

# A flag that tells which answers to the question of consent say nothing.
UNCLEAR = "source.unclear"
Treatment = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Reading:
    """How one source of one table is read.

    Attributes
    ----------
    table, source
        What it becomes, and what the mapping says of it.
    number
        Which of the table's sources it is.
    mapping
        The whole mapping.
    now
        The present instant; records after it are impossible.
    treatments
        What is done to the raw columns (`source:NAME`) of a batch before anything else sees
        them, such as putting a keyed hash in the place of a customer's id. Quarantine keeps
        what they leave, so they are not applied to rows that are read from there again.
    """

    table: Table
    source: TableSource
    number: int
    mapping: Mapping
    now: datetime
    treatments: tuple[Treatment, ...] = ()

    def shape(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Make canonical rows of raw ones."""
        for treat in self.treatments:
            batch = treat(batch)
        values = [
            self._read(name, batch.get_column(f"{RAW}{raw}")).alias(name)
            for name, raw in self.source.columns.items()
        ]
        constants = [
            self._constant(name, value).alias(name) for name, value in self.source.constants.items()
        ]
        names = [*self.source.columns, *self.source.constants]
        shaped = batch.with_columns(*values, *constants)
        if self._texts:
            texts = [name for name in self._texts if shaped.schema[name] == pl.String]
            damaged = [pl.col(name).str.contains_any(DAMAGE) for name in texts]
            flag = pl.any_horizontal(*damaged, pl.lit(value=False)).fill_null(value=False)
            shaped = shaped.with_columns(flag.alias(DAMAGED))
        if self._asked:
            unclear = is_unclear(self._asked).alias(UNCLEAR)
            shaped = nw.from_native(shaped).with_columns(unclear).to_native()
        if self.mentioned:
            shaped = shaped.filter(
                pl.all_horizontal(pl.col(name).is_not_null() for name in self._mentions),
                pl.col(FAULT).is_null(),
            )
        if self._links:
            # What is dropped is reported where its rows belong.
            dropped = [matches(rule, self.source.decimal) for rule in self.source.drop]
            out = pl.any_horizontal(*dropped, pl.lit(value=False)).fill_null(value=False)
            undone = pl.lit(None, pl.Boolean).alias("undone")
            return shaped.filter(~out).with_columns(undone)
        shaped = completed(self.table, shaped, names)
        if self.table.name != "orders":
            return shaped
        return self._without_product(signed(self.source, shaped))

    def _without_product(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Make one without a product of every line that the mapping says is no unit of one."""
        found = [matches(where, self.source.decimal) for where in self.source.no_product]
        if not found:
            return lines
        lines = lines.with_columns(
            pl.any_horizontal(found).fill_null(value=False).alias(PRODUCTLESS)
        )
        return lines.with_columns(
            pl.when(~pl.col(PRODUCTLESS)).then("product_id").alias("product_id"),
            pl.when(pl.col(PRODUCTLESS))
            .then(pl.when(pl.col("kind") == "return").then(-1.0).otherwise(1.0))
            .otherwise("quantity")
            .alias("quantity"),
        )

    def rules(self) -> list[Rule]:
        """Reasons to keep rows out, each with the line of the mapping that asks for more."""
        rules = mapped_rules(self.table, self.source, self.dtype, self.now)
        if self.table.name == "orders":
            rules += sign_rules(self.source)
        return [self._located(rule) for rule in rules]

    def as_source(self, frame: pl.LazyFrame, places: tuple[str | None, ...]) -> SourceTable:
        """Say how a frame of this source's raw rows becomes rows of the dataset."""
        names = [*self.source.columns, *self.source.constants]
        flags = {
            CAPPED: self.source.cap_quantity is not None,
            TURNED: True,
            PRODUCTLESS: bool(self.source.no_product),
        }
        orders = self.table.name == "orders"
        noted = {DAMAGED: "letters look damaged; is the encoding right?"} if self._texts else {}
        if self._asked:
            noted[UNCLEAR] = "consent is neither yes nor no, and counts as no"
        return SourceTable(
            self.table.name,
            frame,
            self.rules(),
            shape=self.shape,
            changed={flag: CHANGED[flag] for flag in flags if orders and flags[flag]},
            lines=identity(names) if orders and "line" not in names else None,
            number=self.number,
            places=places,
            asked={
                name: self.mapping.at.line(self.table.name, name, self.number)
                or self.mapping.at.line(self.table.name, "columns", self.number)
                for name in self.table.columns
            },
            noted=noted,
        )

    @property
    def mentioned(self) -> bool:
        """Whether the rows are order lines or sales that mention a product, a customer, a place.

        Then those that mention none are no rows of the table, and those that cannot be read
        are told of where they belong.
        """
        if self._links:
            return True
        tables = self.mapping.tables
        sold = [*tables.get("orders", ()), *tables.get("sales", ())]
        here = (self.source.path, self.source.url, self.source.query)
        return self.table.open_ended and here in [(x.path, x.url, x.query) for x in sold]

    @property
    def _asked(self) -> list[str]:
        """Columns that say whether a customer consents."""
        return consent_columns([*self.source.columns]) if self.table.name == "customers" else []

    @property
    def _links(self) -> bool:
        return self.table.name in LINK_TABLES.values()

    @property
    def _mentions(self) -> tuple[str, ...]:
        """What a row has to name to be one of the table's."""
        return (self.table.key[0], "value") if self._links else self.table.key[:1]

    @property
    def _texts(self) -> list[str]:
        """Columns of words; a damaged id is kept out, a damaged word is not."""
        words = (pl.String(), None)
        return [
            name
            for name in self.source.columns
            if name not in IDS and self.dtype(name) in words and name != "kind"
        ]

    def dtype(self, name: str) -> pl.DataType | None:
        """Type that a column becomes; None for an attribute, which stays as it is."""
        if name in self.table.columns:
            dtype = self.table.columns[name].dtype
            return dtype if isinstance(dtype, pl.DataType) else dtype()
        if name in COMPUTED.get(self.table.name, {}):
            return DAY() if name.endswith("day") else pl.Float64()
        return None

    def _read(self, name: str, values: pl.Series) -> pl.Series:
        dtype, source = self.dtype(name), self.source
        if dtype is None:
            return parse.text(values) if values.dtype == pl.String else values
        if dtype == pl.String:
            of_id = name in IDS or (self._links and name == "value")
            return parse.identity(values) if of_id else parse.text(values)
        if dtype == pl.Boolean:
            return parse.flag(values)
        if dtype == TS or (dtype == DAY() and name != "line"):
            local = self.mapping.local_time_zone
            with self.mapping.at.pointing(self.table.name, self.number):
                found = (
                    parse.instant(values, source.date_format, source.time_zone, local)
                    if source.first_week is None
                    else parse.weeks(values, source.first_week)
                )
            return found if dtype == TS else found.dt.date().cast(DAY)
        return parse.number(values, source.decimal).cast(dtype, strict=False)

    def _constant(self, name: str, value: Scalar) -> pl.Expr:
        with self.mapping.at.pointing(self.table.name, self.number):
            return _constant(name, value, self.dtype(name))

    def _located(self, rule: Rule) -> Rule:
        """Add the mapping's line that names the rule's reason or its column."""
        at, table = self.mapping.at, self.table.name
        raw = rule.column.removeprefix(RAW)
        line = None
        if rule.dropped:
            line = at.mention(table, rule.reason, self.number)
        line = line or at.mention(table, raw, self.number) or at.line(table, raw, self.number)
        return Rule(rule.column, rule.reason, rule.fails, rule.suspect, rule.dropped, line)


def read_mapped(
    mapping: Mapping, now: datetime, scratch: Path, pseudonyms: Pseudonyms | None = None
) -> list[SourceTable]:
    """Read every table that a mapping names.

    Parameters
    ----------
    now
        The present instant; records after it are impossible.
    scratch
        An empty folder for what has to be rewritten on the way; it must outlive the import.
    pseudonyms
        What takes the place of customers' ids, where the mapping asks for it.

    Raises
    ------
    InvalidInput
        If a file or database cannot be read, or lacks a column that the mapping names.
    """

    def treatments(source: TableSource) -> tuple[Treatment, ...]:
        if pseudonyms is None or "customer_id" not in source.columns:
            return ()
        # A loyalty number or an e-mail's hash tells who it is as well as the id does.
        told = {source.columns[name] for name in ("customer_id", "value") if name in source.columns}
        return tuple(
            partial(hide, column=f"{RAW}{column}", pseudonyms=pseudonyms) for column in sorted(told)
        )

    return [
        _source_table(
            Reading(TABLES[name], source, number, mapping, now, treatments(source)), scratch
        )
        for name, sources in mapping.tables.items()
        for number, source in enumerate(sources)
    ]


def _source_table(reading: Reading, scratch: Path) -> SourceTable:
    source, folder = reading.source, reading.mapping.folder
    with reading.mapping.at.pointing(reading.table.name, reading.number):
        if source.url is not None and source.query is not None:
            frame = read_query(source.url, source.query, source.source_columns, scratch)
            places: tuple[str | None, ...] = tuple(
                frame.select(pl.col(FILE).first()).collect().to_series()
            )
        else:
            options = CsvOptions(
                source.encoding,
                source.delimiter,
                tuple(source.header) if source.header else None,
            )
            pattern = str(source.path)
            columns = source.source_columns
            frame = scan_files(folder, pattern, columns, options=options, scratch=scratch)
            places = tuple(shown(path, folder) for path in matching(folder, pattern))
    raw = {name: f"{RAW}{name}" for name in source.source_columns}
    return reading.as_source(frame.rename(raw), places)


def _constant(name: str, value: Scalar, dtype: pl.DataType | None) -> pl.Expr:
    if dtype == DAY() and name != "line" and isinstance(value, str | date):
        return pl.lit(to_day(value), dtype=DAY)
    try:
        return pl.lit(pl.Series([value]).cast(dtype)[0] if dtype else value, dtype=dtype)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(
            f"constants.{name} = {value!r} cannot be {dtype}.", field=name
        ) from error
