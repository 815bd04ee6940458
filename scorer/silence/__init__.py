"""Silence: feeds that stop, freeze, repeat themselves, run ahead of the clock or change their unit.

Promises: what is told depends on the partition's rows in order, never on micro-batch grouping, but for what a clock
tells while no row comes at all; a few numbers for each entity and signal; nothing where `silence` is not configured.
May import: schemas, scorer.store, scorer.waves.
"""
