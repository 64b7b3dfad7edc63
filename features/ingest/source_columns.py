"""Reserved columns that a source adds to its rows: origin, read error, raw values, erasure flag."""

SOURCE_FILE = "source.file"
# Line or row number within the file.
SOURCE_ROW = "source.row"
# Why a row is unreadable; null for readable rows.
FAULT = "source.fault"
# Hash of all named columns of the row, mapped or not.
SOURCE_LINE = "source.line"
# True for rows of customers who were erased: quarantine stores none of their values.
FORGOTTEN = "source.forgotten"
# A column NAME of the source is carried unchanged as `source:NAME`.
RAW_PREFIX = "source:"
RESERVED_PREFIXES = ("source.", RAW_PREFIX)
# Decimal marks of the row's columns as JSON, where one is a comma. They are quarantined with the
# row, because a few rows do not show them.
DECIMALS = f"{RAW_PREFIX}#decimals"
