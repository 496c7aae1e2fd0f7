"""Alerts: where the operator hears of an alarm. One file a channel; a thread of its own sends for each."""
