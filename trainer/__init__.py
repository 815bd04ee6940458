"""The side that learns, and the network that serving shares with it.

Lives here: packed rows, causal statistics, the network (encoder, cells, fusion, heads), hard rules, losses, injected
faults, and online learning: windows, lesson, learner, guard, gate, weights as bytes.
Promises: one code path for training and streaming; outputs that do not depend on how a stream was grouped; every
update judged before it is learned, refused where it explodes, and served only after it proved itself.
May import: schemas; torch and safetensors. Never ingest, scorer, infra, kafka, sqlalchemy or ray.
"""

import os
from pathlib import Path


def _reproducible() -> str:
    """The mode in which MKL sums a row's product alike wherever the row stands in its batch.

    Other processors know no strict mode and were alike without it; Intel's were not, at a width of 64.
    """
    cpu = Path("/proc/cpuinfo")
    return "AVX2,STRICT" if cpu.exists() and "GenuineIntel" in cpu.read_text() else "AVX2"


# Read once, at the first product. Costs 1-8 % of a step. Another value in the environment stands.
os.environ.setdefault("MKL_CBWR", _reproducible())
