"""The command group."""

import subprocess
import sys

CODE = """
import sys
sys.argv = ["bellwether", "--help"]
from infra.cli import main
try:
    main()
finally:
    heavy = {"torch", "ray", "pandas", "numpy", "sqlalchemy", "pydantic", "kafka"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_loads_nothing_heavy():
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert (ended.stdout.startswith("Usage: bellwether"), ended.stderr.strip()) == (True, "[]")
