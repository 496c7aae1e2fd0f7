"""Where budgets, steps, documents and the log are kept: one file a kind of database."""
