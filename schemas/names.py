"""What names in a monitor's file may look like."""

from typing import Annotated

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,120}$")]
"""Of signals and message fields: whatever the data call them."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
"""Of what the file itself names: it becomes part of columns, topics and files."""
