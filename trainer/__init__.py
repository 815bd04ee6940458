"""The side that learns, and the network that serving shares with it.

Lives here: packed rows, causal statistics, the network (encoder, cells, fusion, heads), hard rules, losses, injected
faults, and online learning: windows, lesson, learner, guard, gate, weights as bytes.
Promises: one code path for training and streaming; outputs that do not depend on how a stream was grouped; every
update judged before it is learned, refused where it explodes, and served only after it proved itself.
May import: schemas; torch and safetensors. Never ingest, scorer, infra, kafka, sqlalchemy or ray.
"""
