"""Bytes -> clean, columnar, ordered batches of observations.

Lives here: decoding and judging of records, the Kafka and the file source, dead letters and their replay, publishing.
Promises: every record read is either a row, a row with masked signals, or a dead letter, and order per partition is
kept; a bad record never raises; no message or log line holds a payload or an entity's name.
May import: schemas. kafka-python is imported here and nowhere else; pandas and pyarrow only inside `events`.
"""
