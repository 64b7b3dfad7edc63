"""Import of a retailer's records into a dataset.

Input: source tables (`SourceTable`) read by `sources` from files or databases, mostly as a mapping
file (`mapping`) describes them. Output: a new snapshot of the dataset, the quarantine of rejected
rows, and an `ImportReport` that accounts for every row read. `mapping_draft` proposes a mapping.
"""
