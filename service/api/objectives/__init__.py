"""Where objectives stand, one item per group, and how they came there."""
