"""What changed after the fact, and why."""
