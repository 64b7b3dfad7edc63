"""Round the numbers of HTTP answers; batch files keep full precision."""

from typing import Any

import numpy as np

# For probabilities, scores and contributions, and for quantities and money. Readers of long answers
# round arrays to as many decimals themselves: a forecast of 50 series and 56 days costs 3 ms, and
# rounding its 11,000 numbers one by one adds 5 ms.
DECIMALS = 4


def round_answer(answer: Any) -> Any:
    """Return a copy of a JSON-like answer with its floats rounded; other values are unchanged."""
    kind = type(answer)
    if kind is float:
        return round(answer, DECIMALS)
    if kind is dict:
        return {key: round_answer(value) for key, value in answer.items()}
    if kind is list or kind is tuple:
        return [round_answer(value) for value in answer]
    if isinstance(answer, np.floating) or (
        isinstance(answer, np.ndarray) and answer.dtype.kind == "f"
    ):
        return np.round(answer, DECIMALS)
    return answer
