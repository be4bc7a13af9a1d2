"""`python -m app.cli`: the same as `ondol`, for programs that know only their interpreter."""

from app.cli.main import main

main()
