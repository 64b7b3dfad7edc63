"""Integer units in which money and weights are summed, and ratios of sums.

In: float expressions. Out: integer expressions. Sums of integers do not depend on the order in
which an engine adds rows; sums of floats do.
"""

import narwhals as nw

# Money is summed in ten-thousandths of the dataset's currency.
MONEY_UNIT = 10_000
# Weights are summed in units of 2^-30.
WEIGHT_UNIT = 2**30


def fixed_point(expression: nw.Expr) -> nw.Expr:
    """Round a float to an integer number of 2^-30."""
    return (expression * WEIGHT_UNIT).round(0).cast(nw.Int64)


def ratio(part: nw.Expr, total: nw.Expr) -> nw.Expr:
    """Divide where the total is above zero, else null."""
    return nw.when(total > 0).then(part / total)
