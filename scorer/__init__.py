"""The side that owns partitions: per-entity state, scoring, alert decisions, the ledger.

Lives here: dense state (`store`), admission of rows, the label-free detector, the scorer, the alert stages, the
ledger, the shard that ties them to partitions, and the user's alert queries (`scorer.alerts`).
Promises: O(1) per event, order per entity, outputs that do not depend on micro-batch grouping, silent replay.
May import: trainer and schemas; sqlalchemy only in `ledger` and `alerts`. Never ingest, infra, kafka or ray.
"""
