"""`python -m safelight`."""

from safelight.cli import run

run()
