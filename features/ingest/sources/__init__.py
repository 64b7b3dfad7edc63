"""Where records come from: each source reads one kind of place into canonical frames."""

from features.ingest.sources import complete_journey

BUNDLED = {complete_journey.NAME: complete_journey.read}
