"""Administrative endpoints: rollback and erasure."""
