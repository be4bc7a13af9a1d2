"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Into = Annotated[str, typer.Option("--into", metavar="STORE", help="The store to fill; it is made when there is none.")]
