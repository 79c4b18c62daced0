"""GET /metrics: compliance as gauges, and Upheld's own metrics."""
