"""Exact measures for evaluation: anomaly scores against labels, NAB, forecasts, and the baselines beside them.

Promises: numpy only, each definition in its docstring; never point-adjusted (a random scorer looks good there).
May import: schemas.
"""
