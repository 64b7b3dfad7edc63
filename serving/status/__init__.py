"""What is served: versions, instants, limits and vocabularies of one dataset."""
