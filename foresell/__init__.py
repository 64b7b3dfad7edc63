"""The face of Foresell."""
