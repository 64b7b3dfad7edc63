"""A draft of a mapping from a look at some files: guesses, and what could not be told."""

from features.ingest.mapping_draft.draft import draft_mapping

__all__ = ["draft_mapping"]
