"""Published versions on disk: their records and memory-mapped arrays."""
