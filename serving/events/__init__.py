"""Events over HTTP, and what the newest of them add to published answers."""
