"""What became of recommended lists: counts of events in, rates by version, list and reason out."""

from collections import defaultdict
from collections.abc import Iterable

from pydantic import BaseModel, Field

from features.events.records import Feedback


class ListFeedback(BaseModel):
    """Events of the products that lists showed, counted since the first one."""

    version: str = Field(examples=["recommender/3"])
    list: str
    reason: str
    impressions: int
    clicks: int
    purchases: int
    revenue: float = Field(description="of the purchases")
    click_through_rate: float | None = Field(
        description="clicks per impression; null without impressions"
    )
    conversion_rate: float | None = Field(description="purchases per click; null without clicks")


def rates(feedback: Iterable[Feedback]) -> list[ListFeedback]:
    """Return one row per version, list and reason."""
    counts: dict[tuple[str, str, str], dict[str, Feedback]] = defaultdict(dict)
    for row in feedback:
        counts[row.version, row.list, row.reason][row.type] = row
    return [_rates(*labels, by_type) for labels, by_type in sorted(counts.items())]


def _rates(version: str, name: str, reason: str, by_type: dict[str, Feedback]) -> ListFeedback:
    shown, clicked, bought = (
        by_type[kind].events if kind in by_type else 0
        for kind in ("impression", "click", "purchase")
    )
    return ListFeedback(
        version=version,
        list=name,
        reason=reason,
        impressions=shown,
        clicks=clicked,
        purchases=bought,
        revenue=by_type["purchase"].revenue if bought else 0.0,
        click_through_rate=clicked / shown if shown else None,
        conversion_rate=bought / clicked if clicked else None,
    )
