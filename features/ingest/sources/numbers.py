"""Numbers as text: values and the notation of their column in, floats out.

Plain values are cast; only the remaining ones are taken apart. Which decimal mark a column has is
decided by `decimal_marks`.
"""

import re
from dataclasses import dataclass

import polars as pl

TRAILING, PARENTHESES = "trailing", "parentheses"
# What exports write for a missing value. In a column of ids, "NA" and "-" may be ids.
MISSING = ["", "NULL", "null", "NaN", "nan", "None", "\\N"]
MISSING_NUMBER = [*MISSING, "NA", "N/A", "#N/A", "-"]

_CHARACTERS = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"),
    **dict.fromkeys("\u2019\u2018\u02bc\u00b4`", "'"),
    **dict.fromkeys("\u00a0\u202f\u2009\u2007", " "),
}
# ISO 4217, and signs and abbreviations that are written instead.
_CODES = """AED ALL AMD ARS AUD AZN BAM BDT BGN BHD BOB BRL BYN CAD CHF CLP CNY COP CRC CZK DKK DOP
    DZD EGP EUR GBP GEL GHS GTQ HKD HNL HRK HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KRW KWD KZT
    LBP LKR MAD MDL MKD MMK MXN MYR NAD NGN NIO NOK NPR NZD OMR PAB PEN PHP PKR PLN PYG QAR RMB RON
    RSD RUB SAR SEK SGD THB TND TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND XAF XOF ZAR ZMW"""
_SHORT = r"""kr Rs zł Kč Ft lei лв руб грн Fr SFr Rp RM TL R S/ din KM Bs Q L"""
_SIGN = r"(?:US|CA|AU|NZ|HK|NT|MX|A|C|R|S|Z)?\p{Sc}"
_CURRENCY = f"(?:{_SIGN}|(?i:{'|'.join(_CODES.split())})|(?:{'|'.join(_SHORT.split())})\\.?)"
_LEADING_CURRENCY = rf"^([+-]?)\s*{_CURRENCY}\s*"
_TRAILING_CURRENCY = rf"\s*{_CURRENCY}\s*([+-]?)$"
_IN_PARENTHESES = r"^[^()0-9]*\([^()]+\)[^()0-9]*$"
# The missing cents of "12,-" are no minus.
_NO_CENTS = r"([0-9])[.,]\s?--?$"


@dataclass(frozen=True)
class Notation:
    """How a column writes its numbers.

    Attributes
    ----------
    decimal
        The decimal mark.
    thousands
        The separator of groups; empty for none, None for any usual one.
    negative
        How negative numbers are written, besides a leading minus: `trailing` (2-), `parentheses`
        ((2)), or a marker before or after the number, such as CR.
    """

    decimal: str = "."
    thousands: str | None = None
    negative: tuple[str, ...] = (TRAILING, PARENTHESES)

    @property
    def separators(self) -> list[str]:
        """Return the separators of groups."""
        if self.thousands is None:
            return [mark for mark in (",", ".", " ", "'") if mark != self.decimal]
        return [_CHARACTERS.get(self.thousands, self.thousands)] if self.thousands else []

    @property
    def pattern(self) -> str:
        """Return the regular expression of a number without sign and currency."""
        decimal = re.escape(self.decimal)
        groups = [f"(?:{re.escape(mark)}[0-9]{{3}})+" for mark in self.separators]
        if "," in self.separators:
            groups.append("(?:,[0-9]{2})+,[0-9]{3}")  # Indian: 1,23,456
        forms = [f"[1-9][0-9]{{0,2}}{group}(?:{decimal}[0-9]*)?" for group in groups]
        forms.append(f"[0-9]+(?:{decimal}[0-9]*)?(?:[eE][+-]?[0-9]+)?")
        forms.append(f"{decimal}[0-9]+")
        return f"^(?:{'|'.join(forms)})$"

    @property
    def markers(self) -> str:
        """Return the regular expression of the markers of negative numbers; empty for none."""
        words = [re.escape(word) for word in self.negative if word not in (TRAILING, PARENTHESES)]
        either = "|".join(words)
        return rf"^(?:{either})\s*|\s*(?:{either})$" if words else ""


PLAIN = Notation()


def number(values: pl.Series, notation: Notation = PLAIN) -> pl.Series:
    """Parse numbers with signs, currencies, percent signs and groups; other values are null."""
    if values.dtype.is_numeric():
        return values.cast(pl.Float64).fill_nan(None)
    if values.dtype == pl.Boolean:
        return values.cast(pl.Float64)
    if values.dtype != pl.String:
        return pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
    numbers = _plain_numbers(values, notation.decimal)
    if numbers.null_count() > values.null_count():
        rest = numbers.is_null() & values.is_not_null()
        numbers = numbers.scatter(rest.arg_true(), _take_apart(values.filter(rest), notation))
    finite = numbers.is_finite()
    return numbers if finite.all() else numbers.set(~finite, None)


def _plain_numbers(values: pl.Series, decimal: str) -> pl.Series:
    """Cast values without signs of any kind but a minus."""
    if decimal == ".":
        return values.cast(pl.Float64, strict=False)
    numbers = values.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)
    # The cast reads a point, which is no decimal mark here.
    has_point = values.str.contains(".", literal=True)
    return numbers.set(has_point, None) if has_point.any() else numbers


def _take_apart(values: pl.Series, notation: Notation) -> pl.Series:
    """Parse values with signs, currencies, percent signs and groups, step by step."""
    core, signs = pl.col("core"), []
    rows = values.alias("core").to_frame()
    rows = rows.with_columns(core.str.replace_many(_CHARACTERS).str.strip_chars())
    rows = rows.with_columns(core.str.replace(r"^'\s*", "").str.replace(_NO_CENTS, "$1"))
    if PARENTHESES in notation.negative:
        signs.append("parentheses")
        rows = rows.with_columns(core.str.contains(_IN_PARENTHESES).alias("parentheses"))
        bare = core.str.replace_all(r"[()]", "").str.strip_chars()
        rows = rows.with_columns(pl.when("parentheses").then(bare).otherwise(core).alias("core"))
    if notation.markers:
        signs.append("marked")
        rows = rows.with_columns(core.str.contains(notation.markers).alias("marked"))
        rows = rows.with_columns(core.str.replace(notation.markers, ""))
    rows = rows.with_columns(
        core.str.replace(_LEADING_CURRENCY, "$1").str.replace(_TRAILING_CURRENCY, "$1")
    )
    signs.append("leading")
    rows = rows.with_columns(core.str.starts_with("-").alias("leading"))
    rows = rows.with_columns(core.str.replace(r"^[+-]\s*", ""))
    if TRAILING in notation.negative:
        signs.append("trailing")
        rows = rows.with_columns(core.str.ends_with("-").alias("trailing"))
        rows = rows.with_columns(core.str.replace(r"\s*[+-]$", ""))
    rows = rows.with_columns(core.str.contains("%", literal=True).alias("percent"))
    rows = rows.with_columns(core.str.replace(r"^%\s*|\s*%$", ""))
    minuses = pl.sum_horizontal(pl.col(name).cast(pl.Int8) for name in signs)
    separators = "".join(map(re.escape, notation.separators))
    digits = core.str.replace_all(f"[{separators}]", "") if separators else core
    size = digits.str.replace(notation.decimal, ".", literal=True).cast(pl.Float64, strict=False)
    signed = pl.when(minuses == 1).then(-size).otherwise(size)
    scaled = pl.when("percent").then(signed / 100).otherwise(signed)
    readable = core.str.contains(notation.pattern) & (minuses <= 1)
    return rows.select(pl.when(readable).then(scaled).alias(values.name)).to_series()
