"""The side that learns, and the network that serving shares with it.

Lives here: packed rows, causal statistics, the network (encoder, cells, fusion, heads), hard rules, losses, injected
faults, and online learning: windows, lesson, learner, guard, gate, weights as bytes.
Promises: one code path for training and streaming; outputs that do not depend on how a stream was grouped; every
update judged before it is learned, refused where it explodes, and served only after it proved itself.
May import: schemas; torch and safetensors. Never ingest, scorer, infra, kafka, sqlalchemy or ray.
"""

import os

# Without it MKL sums a row's product in an order that depends on the row's place in its batch (seen where fewer than 16
# columns come out): read once, at the first product. Costs 1-4 % of a step. Another value in the environment stands.
os.environ.setdefault("MKL_CBWR", "AVX2")
