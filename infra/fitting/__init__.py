"""Fitting on history: files read into streams, epochs on one process or many, checkpoints, trackers, and the result.

Promises: a run can be resumed from its directory, and its manifest says what it was made of; a version is published
only if it is not worse than the one that serves. Ray is started only where workers are asked for.
May import: trainer, ingest, schemas and infra's registry and settings.
"""
