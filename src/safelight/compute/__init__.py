"""Where work runs, and what is kept so that it never runs twice."""
