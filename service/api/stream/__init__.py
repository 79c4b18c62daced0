"""GET /stream: what changes, as server-sent events."""
