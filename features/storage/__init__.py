"""Storage of datasets: frames in, content-addressed snapshots on disk out, and locks on jobs."""
