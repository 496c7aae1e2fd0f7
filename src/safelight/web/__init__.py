"""The operator's page of a guard: drawn by the server, readable without a script, on this machine by default."""
