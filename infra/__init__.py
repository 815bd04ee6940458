"""What composes the rest: settings, command line, services and actor shells, the embedded stack, backtest, demo.

Promises: importing `infra.cli` loads nothing heavy; every service a command starts ends with it.
May import: everything of ours. Ray only in `actors` and `stack.ray`.
"""
