"""`python -m tests.bench.quality`: how good scores, alerts and forecasts are on open data, beside baselines and aims.

One default configuration for everything. Detection runs without labels; its scores do not depend on what the network
learns, so those parts do not learn. What the network costs stands last. Nothing here is a timed test.
"""
