"""Draft of a mapping from sample files (`foresell data sketch`): paths in, TOML text out.

Each file is sampled (`sample`), its columns are profiled (`profile`) and assigned roles
(`role_assignment`), and files become table sources (`draft`, `sections`) that `render` writes.
Uncertain guesses are marked by comments in the text, for a person to check.
"""

from features.ingest.mapping_draft.draft import draft_mapping

__all__ = ["draft_mapping"]
