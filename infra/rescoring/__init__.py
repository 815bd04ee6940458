"""The topic scored again: alerts raised anew by the versions that served, and two versions side by side.

Promises: nothing is written, no offset moves, and no clock says what comes out.
May import: scorer, ingest, schemas and infra's assembly, registry and database.
"""
