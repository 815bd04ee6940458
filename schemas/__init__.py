"""The words everything else is written in: monitor, observation, prediction, alert, tables, errors.

Lives here: records, configuration models, SQL tables and the Protocols at the seams (Source, Ledger, Registry).
Promises: immutable, checked at construction, timezone-aware UTC, no input or output of its own.
May import: the standard library, numpy, pydantic, msgspec, sqlalchemy. Nothing of ours.
"""
