"""Sources described by a mapping: a checked mapping in, `SourceTable`s with their rules out.

Records are read lazily. A `SourceReader` turns each batch of raw columns (`source:NAME`) into
canonical rows and keeps the raw columns, so that a rejected row is reported with its raw values.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from features.calendar import to_day
from features.columns import CUSTOMER_ID
from features.identity import LINK_TABLES
from features.ingest.line_numbers import choose_line_identity
from features.ingest.mapping.digest import location, reads_transactions, table_digest
from features.ingest.mapping.schema import COMPUTED, Mapping, Scalar, TableSource
from features.ingest.mapping.stored import original_file
from features.ingest.source_columns import FAULT, RAW_PREFIX, SOURCE_FILE
from features.ingest.source_table import Provenance, SourceTable
from features.ingest.sources import parse
from features.ingest.sources.covariate_values import covariate_numbers, with_values
from features.ingest.sources.csv_text import CsvOptions
from features.ingest.sources.database import read_query
from features.ingest.sources.decimal_marks import decide_marks, with_marks
from features.ingest.sources.files import display_path, match_files, scan_files
from features.ingest.sources.mapped_rules import (
    DAMAGED,
    DAMAGED_TEXTS,
    ID_COLUMNS,
    mapped_rules,
    matches,
    word_rule,
)
from features.ingest.sources.numbers import Notation, number
from features.ingest.sources.order_level import (
    NO_CUSTOMER,
    NO_CUSTOMER_TEXT,
    order_transforms,
)
from features.ingest.sources.order_lines import (
    CAPPED,
    NEGATED,
    PRODUCTLESS,
    TOUCHED,
    derive_columns,
    normalise_signs,
    sign_rules,
    without_product,
)
from features.ingest.sources.pseudonymise import pseudonymise_column
from features.ingest.unclear_consent import consent_rules
from features.ingest.validation import Rule
from features.privacy.pseudonyms import Pseudonyms
from features.tables import DAY, TABLES, TS, Table

NEGATIVE_SALES = "source.negative"
RawTransform = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class SourceReader:
    """Reads one source of one table.

    Attributes
    ----------
    table, source
        The canonical table, and its source in the mapping.
    number
        Position of the source among the table's sources.
    mapping
        The whole mapping.
    now
        The present time; records after it are invalid.
    raw_transforms
        Applied to the raw columns of a batch before anything else, such as replacing customer
        ids by pseudonyms. Quarantine stores their result, so they are not applied to rows that
        are read again from quarantine.
    decimals
        Decimal mark by column of the source.
    """

    table: Table
    source: TableSource
    number: int
    mapping: Mapping
    now: datetime
    raw_transforms: tuple[RawTransform, ...] = ()
    decimals: dict[str, str] = field(default_factory=dict)

    def canonical(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Turn a batch of raw rows into canonical rows, with the raw columns beside them."""
        for transform in self.raw_transforms:
            batch = transform(batch)
        batch = with_marks(batch, self.decimals)
        if self.source.no_customer and NO_CUSTOMER not in batch.columns:
            batch = batch.with_columns(pl.lit(value=False).alias(NO_CUSTOMER))
        values = [
            self._parse(name, batch.get_column(f"{RAW_PREFIX}{raw}")).alias(name)
            for name, raw in self.source.columns.items()
        ]
        constants = [
            self._constant(name, value).alias(name) for name, value in self.source.constants.items()
        ]
        rows = self._flag(batch.with_columns(*values, *constants))
        if self.from_transactions:
            rows = rows.filter(
                pl.all_horizontal(pl.col(name).is_not_null() for name in self._required_columns),
                pl.col(FAULT).is_null(),
            )
        if self.table.name == "covariates" and "value" in self.source.columns:
            rows = with_values(rows, f"{RAW_PREFIX}{self.source.columns['value']}")
        if self._is_links:
            # The table that the rows belong to reports those that are dropped.
            conditions = [matches(rule, self.notation) for rule in self.source.drop]
            dropped = pl.any_horizontal(*conditions, pl.lit(value=False)).fill_null(value=False)
            undone = pl.lit(None, pl.Boolean).alias("undone")
            return rows.filter(~dropped).with_columns(undone)
        rows = derive_columns(self.table, rows, self._names)
        if self.table.name != "orders":
            return rows
        conditions = [matches(where, self.notation) for where in self.source.no_product]
        return without_product(normalise_signs(self.source, rows), conditions)

    def _flag(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Flag rows with damaged text or negative net sales."""
        if self._text_columns:
            texts = [name for name in self._text_columns if rows.schema[name] == pl.String]
            damaged = [pl.col(name).str.contains_any(DAMAGED_TEXTS) for name in texts]
            flag = pl.any_horizontal(*damaged, pl.lit(value=False)).fill_null(value=False)
            rows = rows.with_columns(flag.alias(DAMAGED))
        if self.table.name == "sales":
            rows = rows.with_columns((pl.col("quantity") < 0).alias(NEGATIVE_SALES))
        return rows

    def rules(self) -> list[Rule]:
        """Return the source's rules, each with its line of the mapping."""
        local = self.mapping.local_time_zone
        rules = mapped_rules(
            self.table, self.source, self.dtype, self.notation, self.now, local=local
        )
        rules += [
            word_rule(self.table.columns[name], name, raw, words)
            for name, raw in self.source.columns.items()
            if (words := self.words(name))
        ]
        if self.table.name == "orders":
            rules += sign_rules(self.source)
        if self.table.name == "customers":
            rules += consent_rules(self.source.columns)
        return [self._with_mapping_line(rule) for rule in rules]

    def source_table(self, frame: pl.LazyFrame, files: tuple[str | None, ...]) -> SourceTable:
        """Return a frame of this source's raw rows as a source table."""
        is_orders = self.table.name == "orders"
        flags: list[str] = []
        if is_orders:
            flags += [CAPPED] if self.source.cap_quantity is not None else []
            flags += [NEGATED]
            flags += [PRODUCTLESS] if self.source.no_product else []
            flags += [NO_CUSTOMER] if self.source.no_customer else []
        noted = {}
        if self._text_columns:
            noted[DAMAGED] = "letters look damaged; is the encoding right?"
        if self.table.name == "sales":
            noted[NEGATIVE_SALES] = "net sales are negative, more units returned than sold"
        needs_lines = is_orders and "line" not in self._names
        text = self.mapping.text
        return SourceTable(
            self.table.name,
            frame,
            self.rules(),
            transform=self.canonical,
            touched_flags={
                flag: {**TOUCHED, NO_CUSTOMER: NO_CUSTOMER_TEXT}[flag] for flag in flags
            },
            noted_flags=noted,
            line_identity=choose_line_identity(self._names) if needs_lines else None,
            number=self.number,
            files=files,
            mapping_lines={
                name: text.line_of_key(self.table.name, name, self.section)
                or text.line_of_key(self.table.name, "columns", self.section)
                for name in self.table.columns
            },
            # Frames have no mapping file.
            provenance=self.provenance if text.text else None,
        )

    @property
    def from_transactions(self) -> bool:
        """Whether the table's rows are taken from order lines or sales."""
        return reads_transactions(self.mapping, self.table.name, self.source)

    @property
    def provenance(self) -> Provenance:
        """Where the rows come from, and by which description they are read."""
        return Provenance(
            str(original_file(self.mapping.text.path)),
            table_digest(self.mapping, self.table.name),
            location(self.mapping, self.source),
            str(self.mapping.folder),
            to_day(self.now),
        )

    @property
    def section(self) -> int:
        """Position of the source's section of the mapping."""
        return self.source.section(self.number)

    @property
    def _names(self) -> list[str]:
        """Columns of the table that the source has or sets."""
        return [*self.source.columns, *self.source.constants]

    @property
    def _is_links(self) -> bool:
        return self.table.name in LINK_TABLES.values()

    @property
    def _required_columns(self) -> tuple[str, ...]:
        """Columns without which an order line is no row of the table."""
        return (self.table.key[0], "value") if self._is_links else self.table.key[:1]

    @property
    def _text_columns(self) -> list[str]:
        """Columns of free text; damaged text is accepted, a damaged id is not."""
        return [
            name
            for name in self.source.columns
            if name not in ID_COLUMNS and self.dtype(name) in (pl.String(), None) and name != "kind"
        ]

    def dtype(self, name: str) -> pl.DataType | None:
        """Return the type of a column; None for an attribute, which keeps its type."""
        if name in self.table.columns:
            dtype = self.table.columns[name].dtype
            return dtype if isinstance(dtype, pl.DataType) else dtype()
        if name in COMPUTED.get(self.table.name, {}):
            return DAY() if name.endswith("day") else pl.Float64()
        return None

    def words(self, name: str) -> dict[str, str]:
        """Return the values of a column with a controlled vocabulary by their words."""
        column = self.table.columns.get(name)
        return self.source.words(column) if column is not None and column.words else {}

    def notation(self, raw: str) -> Notation:
        """Return how a column of the source writes its numbers."""
        decimal = self.decimals.get(raw) or self.source.stated_decimal or "."
        return self.source.notation(decimal)

    @property
    def number_columns(self) -> dict[str, str]:
        """Canonical name, or key of the mapping, by column of the source with numbers."""
        compared = {
            where.column: "drop or no_product"
            for where in (*self.source.drop, *self.source.no_product)
            if where.below is not None or where.above is not None
        }
        mapped = {
            raw: name
            for name, raw in self.source.columns.items()
            if name == "line" or self.dtype(name) == pl.Float64()
        }
        return compared | mapped

    def _parse(self, name: str, values: pl.Series) -> pl.Series:
        """Parse a raw column as the type of a canonical one."""
        dtype, source = self.dtype(name), self.source
        if words := self.words(name):
            return parse.word(values, words)
        if dtype is None:
            return parse.text(values) if values.dtype == pl.String else values
        if dtype == pl.String:
            is_id = name in ID_COLUMNS or (self._is_links and name == "value")
            return parse.identifier(values) if is_id else parse.text(values)
        if dtype == pl.Boolean:
            return parse.boolean(values)
        if dtype == TS or (dtype == DAY() and name != "line"):
            local = self.mapping.local_time_zone
            with self.mapping.text.locate_errors(self.table.name, self.section):
                times = (
                    parse.timestamp(values, source.date_format, source.time_zone, local)
                    if source.first_week is None
                    else parse.week(values, source.first_week)
                )
            return times if dtype == TS else times.dt.date().cast(DAY)
        read = covariate_numbers if self.table.name == "covariates" else number
        notation = self.notation(values.name.removeprefix(RAW_PREFIX))
        return read(values, notation).cast(dtype, strict=False)

    def _constant(self, name: str, value: Scalar) -> pl.Expr:
        with self.mapping.text.locate_errors(self.table.name, self.section):
            if words := self.words(name):
                value = words.get(str(value).lower(), value)
            return parse.literal(name, value, self.dtype(name))

    def _with_mapping_line(self, rule: Rule) -> Rule:
        """Add the mapping's line that states the rule's reason or its column."""
        text, table = self.mapping.text, self.table.name
        raw = rule.column.removeprefix(RAW_PREFIX)
        line = None
        if rule.dropped:
            line = text.line_of_text(table, rule.reason, self.section)
        line = (
            line
            or text.line_of_text(table, raw, self.section)
            or text.line_of_key(table, raw, self.section)
        )
        return Rule(rule.column, rule.reason, rule.fails, rule.suspect, rule.dropped, line)


def read_mapped(
    mapping: Mapping, now: datetime, scratch: Path, pseudonyms: Pseudonyms | None = None
) -> list[SourceTable]:
    """Return the source tables that a mapping describes.

    Parameters
    ----------
    now
        The present time; records after it are invalid.
    scratch
        Empty folder for rewritten files; it must outlive the import.
    pseudonyms
        Replaces customer ids, if the mapping requires it.

    Raises
    ------
    InvalidInput
        If a file or database cannot be read, or lacks a column that the mapping names.
    """

    def raw_transforms(source: TableSource) -> tuple[RawTransform, ...]:
        if pseudonyms is None or CUSTOMER_ID not in source.columns:
            return ()
        # The value of a link, such as a loyalty number, identifies a customer as an id does.
        columns = {
            source.columns[name] for name in (CUSTOMER_ID, "value") if name in source.columns
        }
        return tuple(
            partial(pseudonymise_column, column=f"{RAW_PREFIX}{column}", pseudonyms=pseudonyms)
            for column in sorted(columns)
        )

    return [
        _scan_source(
            SourceReader(TABLES[name], source, number, mapping, now, raw_transforms(source)),
            scratch,
        )
        for name, sources in mapping.tables.items()
        for number, source in enumerate(sources)
    ]


def _scan_source(reader: SourceReader, scratch: Path) -> SourceTable:
    """Scan the files or the query of a source."""
    source, folder = reader.source, reader.mapping.folder
    with reader.mapping.text.locate_errors(reader.table.name, reader.section):
        if source.url is not None and source.query is not None:
            frame = read_query(source.url, source.query, source.source_columns, scratch)
            files: tuple[str | None, ...] = tuple(
                frame.select(pl.col(SOURCE_FILE).first()).collect().to_series()
            )
        else:
            header = tuple(source.header) if source.header else None
            options = CsvOptions(source.encoding, source.delimiter, header, source.skip_rows)
            pattern = str(source.path)
            columns = source.source_columns
            frame = scan_files(
                folder,
                pattern,
                columns,
                options=options,
                scratch=scratch,
                hashed=reader.table.additive,
            )
            files = tuple(display_path(path, folder) for path in match_files(folder, pattern))
        frame = frame.rename({name: f"{RAW_PREFIX}{name}" for name in source.source_columns})
        return table_of_rows(reader, frame, files)


def table_of_rows(
    reader: SourceReader, frame: pl.LazyFrame, files: tuple[str | None, ...]
) -> SourceTable:
    """Return all raw rows of a source as a source table; decides what rests on all of them.

    Raises
    ------
    InvalidInput
        If numbers of a column contradict its decimal mark.
    """
    source = reader.source
    decimals = decide_marks(frame, reader.number_columns, source.stated_decimal)
    reader = replace(reader, decimals=decimals)
    transforms = (*order_transforms(source, frame, reader.notation), *reader.raw_transforms)
    return replace(reader, raw_transforms=transforms).source_table(frame, files)
