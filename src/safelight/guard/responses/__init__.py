"""What the guard does about an alarm: the ladder, approvals, and deeds beside it."""
