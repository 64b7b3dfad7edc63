"""What the entries of a request about demand name."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from features.demand.grain import Grain
from features.errors import InvalidInput


class Target(NamedTuple):
    """What a request names: a published series, a published total, or a series without sales.

    `row` is that of the published series or total; 0 where there is none.
    """

    kind: Literal["series", "total", "cold_start"]
    row: int = 0


def require_single_series(targets: Mapping[int, Target], grain: Grain) -> None:
    """Refuse plans and explanations for totals and for series without sales.

    `targets` are by position in the request.
    """
    for i, target in targets.items():
        if target.kind == "cold_start":
            raise InvalidInput(
                f"series[{i}] has not sold yet: plans and explanations need a series with "
                "sales. Request its forecast alone, or the plan of a similar product.",
                field=f"series[{i}]",
            )
        if target.kind == "total":
            raise InvalidInput(
                f"series[{i}] is a total: plans and explanations are of single series, named "
                f"by {' and '.join(grain.keys)}.",
                field=f"series[{i}]",
            )
