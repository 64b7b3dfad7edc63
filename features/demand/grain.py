"""Grain: the keys that define a series, and the length of its periods.

Text such as `product,location:day` goes in, a checked `Grain` comes out.
"""

from dataclasses import dataclass
from typing import Any, Self

from features.calendar import month_number, month_start, to_date
from features.errors import InvalidInput
from features.typing import Ints

# Words for the two entities; every other word equals the name of its column.
_COLUMNS = {"product": "product_id", "location": "location_id"}
PRODUCT_KEYS = ("product_id", "category", "subcategory", "department", "brand")
LOCATION_KEYS = ("location_id", "region", "channel")
# Days of a period; of a month the mean is rounded, see `Grain.days`.
PERIOD_DAYS = {"day": 1, "week": 7, "month": 30}
# Mean days of a month, and the most by which a horizon may differ from whole months.
MEAN_MONTH_DAYS, _MAX_DIFFERENCE_DAYS = 365.25 / 12, 3
_SHORTEST_MONTH = 28


@dataclass(frozen=True)
class Grain:
    """The columns that identify a series, and the length of its periods.

    Periods are blocks of one or seven days, or months, counted from `as_of`, where period 0
    begins.

    Attributes
    ----------
    keys
        Columns whose values identify a series, such as `("product_id", "location_id")`.
    freq
        `day`, `week` or `month`. A month begins on the day of the month of `as_of`.
    """

    keys: tuple[str, ...]
    freq: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a grain such as `product:week`, `product,location:day`, `category:week`.

        Raises
        ------
        InvalidInput
            If a key or the period is unknown, or a key occurs twice.
        """
        names, _, freq = text.partition(":")
        keys = tuple(_COLUMNS.get(word.strip(), word.strip()) for word in names.split(","))
        allowed = (*PRODUCT_KEYS, *LOCATION_KEYS)
        unknown = [key for key in keys if key not in allowed]
        if unknown or freq not in PERIOD_DAYS or len(set(keys)) < len(keys):
            words = {column: word for word, column in _COLUMNS.items()}
            raise InvalidInput(
                f"grain = {text!r} is not a grain: write keys, a colon and a period, such as "
                "product:week or product,location:day. Keys are "
                f"{', '.join(words.get(key, key) for key in allowed)}, each at most once; "
                f"periods are {', '.join(PERIOD_DAYS)}.",
                field="grain",
            )
        return cls(keys, freq)

    def __str__(self) -> str:
        words = {column: word for word, column in _COLUMNS.items()}
        return ",".join(words.get(key, key) for key in self.keys) + ":" + self.freq

    @property
    def days(self) -> int:
        """Days in a period; of a month 30, which is right for counts of periods in spans alone."""
        return PERIOD_DAYS[self.freq]

    def phase(self, day: int) -> int:
        """Return the position of a day in the periods that `number` counts from the epoch.

        Raises
        ------
        InvalidInput
            If periods are months and the day is after the 28th, which not every month has.
        """
        if self.freq != "month":
            return day % self.days
        position = int(day - month_start(month_number(day)))
        if position >= _SHORTEST_MONTH:
            raise InvalidInput(
                f"as_of = {to_date(day)} cannot begin a period of the grain {self}: not every "
                f"month has a day {position + 1}. Give a day up to the 28th, best the first.",
                field="as_of",
            )
        return position

    def number(self, day: Any, phase: int) -> Any:
        """Return the number of the period of a day, an array or an expression of days.

        A period begins on the days with the position `phase`.
        """
        return month_number(day - phase) if self.freq == "month" else (day - phase) // self.days

    def start(self, number: Any, phase: int) -> Any:
        """Return the first day of the period with a number of `number`."""
        return phase + (month_start(number) if self.freq == "month" else number * self.days)

    def shift(self, day: int, periods: Any) -> Any:
        """Return the day so many periods after the first day of one."""
        phase = self.phase(day)
        return self.start(self.number(day, phase) + periods, phase)

    def lengths(self, day: int, periods: Ints) -> Ints:
        """Return the days of the periods so many after that which begins on a day."""
        lengths: Ints = self.shift(day, periods + 1) - self.shift(day, periods)
        return lengths

    def between(self, first: int, day: int) -> int:
        """Count the whole periods from a day to before another, where one begins."""
        phase = self.phase(day)
        count = int(self.number(day, phase) - self.number(first - 1, phase)) - 1
        return max(count, 0) if self.freq == "month" else (day - first) // self.days

    @property
    def product_keys(self) -> tuple[str, ...]:
        """The keys that are attributes of the product."""
        return tuple(key for key in self.keys if key in PRODUCT_KEYS)

    @property
    def location_keys(self) -> tuple[str, ...]:
        """The keys that are attributes of the location."""
        return tuple(key for key in self.keys if key in LOCATION_KEYS)

    def periods(self, horizon_days: int) -> int:
        """Count the periods in a horizon.

        Raises
        ------
        InvalidInput
            If the horizon is not a positive whole number of periods, up to three days for months.
        """
        if self.freq == "month":
            months = round(horizon_days / MEAN_MONTH_DAYS)
            if months < 1 or abs(horizon_days - months * MEAN_MONTH_DAYS) > _MAX_DIFFERENCE_DAYS:
                raise InvalidInput(
                    f"horizon = {horizon_days} days does not fit the grain {self}: give the days "
                    "of whole months, such as 31, 92 or 365.",
                    field="horizon",
                )
            return months
        if horizon_days <= 0 or horizon_days % self.days:
            raise InvalidInput(
                f"horizon = {horizon_days} days does not fit the grain {self}: give a positive "
                f"multiple of {self.days} days.",
                field="horizon",
            )
        return horizon_days // self.days
