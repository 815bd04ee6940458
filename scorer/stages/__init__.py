"""The alert pipeline: a list of stages, one a file, that each finding passes until one of them decides.

Promises: decisions depend on the entity's rows in order, never on micro-batch grouping; each returns its reason.
May import: schemas and its own parts.
"""
