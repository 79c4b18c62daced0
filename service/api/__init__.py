"""The HTTP face: JSON under /api/v1, problems as RFC 9457 documents, a live stream, /metrics."""
