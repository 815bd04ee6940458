"""`python -m tests.bench.quality`: how good the scores, alerts and forecasts are, on the open data, beside baselines.

One default configuration for everything. Detection runs without labels; its scores do not depend on what the network
learns, so those parts do not learn. Nothing here is a timed test.
"""
