"""Sources of records: each module turns one kind of source into `SourceTable`s.

`BUNDLED` maps the name of a bundled dataset to the function that reads it.
"""

from features.ingest.sources import complete_journey

BUNDLED = {complete_journey.NAME: complete_journey.read}
