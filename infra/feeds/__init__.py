"""Demo inputs: real markets, real ICU stays where the data set lies beside us, generated physiology where not.

Promises: messages in event-time order, the same ones every time, named for what they are (`Feed.title`).
May import: the standard library, numpy, pandas, pyarrow, arch, statsmodels, msgspec; of ours only `schemas`.
"""
