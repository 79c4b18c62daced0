"""The agreement that `upheld init` writes: valid as it stands, with a comment beside whatever people change first."""

from __future__ import annotations

from typing import Final

STARTER: Final = """\
# What is promised, to whom, and how it is measured. Check it with `upheld validate`, put it in force with `upheld apply`.
apiVersion: upheld/v1
kind: Agreement
metadata:
  name: checkout                     # lower-case letters, digits and hyphens; it stays when the rest changes
  displayName: "Checkout"
spec:
  type: SLA                          # SLA with a customer, OLA between teams, UC with a supplier
  provider: {name: Example Cloud, contact: "mailto:sla@example.com"}
  customer: {name: Example Shop}
  effective: {from: 2024-01-01}      # add `until: 2027-01-01` for an end; a date is its midnight in the zone below
  timeZone: UTC                      # an IANA name such as Europe/Berlin; calendar periods turn at its midnights
  service: checkout                  # shown on pages and exported with every gauge
  notify: [oncall]                   # the targets that hear of every alert here: see the last document

  # Samples that the promise does not cover leave the contractual figure; the experienced one keeps them.
  exclusions:
    - {name: callers-mistake, cause: customer, where: '{status=~"4.."}'}

  objectives:
    # At most one request in a thousand fails, over any 30 days. Selectors are PromQL: a metric and label matchers.
    - name: availability
      indicator:
        ratio:
          bad: 'http_requests{service="checkout",status=~"5.."}'
          total: 'http_requests{service="checkout"}'
      # groupBy: [region]            # one figure, budget and alert for each region
      target: 0.999                  # or targetPercent: 99.9
      period: {rolling: 30d}         # or {calendar: month}
      # alerts: [burn-rate]          # the built-in policy, which is used where nothing is said
      # runbook: "https://runbooks.example.com/checkout"

    # 99 of 100 requests of a calendar month take at most 300 ms.
    - name: latency
      indicator:
        threshold: {metric: 'http_request_duration_seconds{service="checkout"}', op: lte, value: 0.3}
      target: 0.99
      period: {calendar: month}
      # budgetingMethod: Timeslices  # counts good minutes instead of good requests, with the two lines below
      # timeSliceTarget: 0.95        # a minute is good when this share of its requests is
      # timeSliceWindow: 1m

    # Other indicators, each in the place of `ratio` or `threshold` above (see docs/indicators.md):
    #   histogram: {metric: http_request_duration_seconds, le: 0.3}                  # by its buckets
    #   quantile: {metric: http_request_duration_seconds, q: 0.99, op: lte, value: 0.3, window: 1m}
    #   uptime: {state: probe_success, staleAfter: 2m}                               # share of known time that was up
    #   throughput: {metric: messages_processed, op: gte, perSecond: 5, window: 1m}
    #   freshness: {metric: backup_finished, maxGap: 26h}                            # the newest one is not too old
    #   response: {opened: incident_opened, closed: incident_resolved, key: incident, op: lte, within: 4h}
---
# Where alerts go: a signed webhook (https://www.standardwebhooks.com), or `type: alertmanager`.
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec:
  type: webhook
  url: "http://127.0.0.1:9009/hook"
  # secretEnv: HOOK_SECRET           # the environment variable that holds the signing secret, never the secret itself
"""
