"""History through the very same streaming code, without Kafka: scores file, metrics, report.

Lives here: the monitor made for `--auto`, the run itself, the scores file, the report.
Promises: the backtest contract of docs/network.md (a row out for each row in, in their order; no row sees the future).
"""
