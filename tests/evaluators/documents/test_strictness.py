"""What is wrong with a document is said at its place, with the mend."""

import pytest

from evaluators import documents

AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {name: gold}
spec:
  type: SLA
  provider: {name: a}
  customer: {name: b}
  effective: {from: 2026-01-01, until: 2027-01-01}
  timeZone: UTC
  service: checkout
  notify: [oncall]
  exclusions:
    - {name: not-ours, cause: customer, where: '{status=~"4.."}'}
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'http{status=~"5.."}', total: http}}
      groupBy: [region]
      target: 0.999
      period: {rolling: 30d}
      alerts: [burn-rate]
"""
THRESHOLD = AGREEMENT.replace(
    "{ratio: {bad: 'http{status=~\"5..\"}', total: http}}", "{threshold: {metric: m, op: lte, value: 1}}"
)
POLICY = """\
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {name: strict}
spec:
  conditions:
    - {burnRate: {long: 1h, short: 5m, factor: 14.4}, severity: page}
    - {silent: {after: 10m}, severity: ticket}
    - {budgetRemaining: {below: 0.1}, severity: ticket}
  minimum: {events: 100, failures: 5}
  notify: [oncall]
"""
TARGET = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook", secretEnv: HOOK_SECRET}
"""
OBJECTIVE = "spec.objectives[0]."
TEXTS = {"agreement": AGREEMENT, "threshold": THRESHOLD, "policy": POLICY, "target": TARGET}


def problems(text: str) -> list[str]:
    return [str(each).removeprefix("f:") for each in documents.load(text, "f").problems]


@pytest.mark.parametrize(
    ("base", "old", "new", "place", "said"),
    [
        # the head
        ("agreement", "upheld/v1", "openslo/v1", "1:13: apiVersion", "OpenSLO documents are not supported yet"),
        ("agreement", "upheld/v1", "upheld/v2", "1:13: apiVersion", "did you mean upheld/v1?"),
        ("agreement", "kind: Agreement\n", "kind: SLO\n", "2:7: kind", "did you mean Agreement?"),
        ("agreement", "kind: Agreement\n", "", "1:1: kind", "is missing (add kind: Agreement)"),
        ("agreement", "name: gold", "name: Gold Plan!", "3:18: metadata.name", "did you mean gold-plan?"),
        ("agreement", "name: gold", "name: '!'", "3:18: metadata.name", "such as checkout-gold"),
        ("agreement", "name: gold", "name: " + "a" * 64, "3:18: metadata.name", "at most 63"),
        ("agreement", "name: gold", "name: gold, labels: {a: 1}", "3:36: metadata.labels.a", 'in quotes: "1"'),
        ("agreement", "name: gold", "name: gold, labels: [a]", "3:32: metadata.labels", "must be a mapping, is a list"),
        ("agreement", "name: gold", "name: gold, displayName: A, b", "3:40: metadata.b", "a comma between braces"),
        ("agreement", "name: gold", "name: gold, 'x y z': 1", '3:24: metadata["x y z"]', "known here: name"),
        ("agreement", "name: gold", "name: gold, name: gold", "3:24: metadata.name", "on line 3 already"),
        ("policy", "name: strict", "name: burn-rate", "3:18: metadata.name", "built-in policy"),
        # the agreement
        ("agreement", "type: SLA", "type: sla", "5:9: spec.type", "did you mean SLA?"),
        ("agreement", "type: SLA", "type: [SLA]", "5:9: spec.type", "must be text, is a list"),
        ("agreement", "type: SLA", "type:", "5:3: spec.type", "is empty (give it a value, or leave it out)"),
        ("agreement", "{name: a}", "Example", "6:13: spec.provider", "must be a mapping, is the text"),
        ("agreement", "{name: a}", "", "6:3: spec.provider", "must be a mapping, is empty"),
        ("agreement", "{name: a}", "{name: ' '}", "6:20: spec.provider.name", "is empty"),
        ("agreement", "{name: a}", "{name: " + "a" * 501 + "}", "6:20: spec.provider.name", "at most 500"),
        ("agreement", "{name: a}", "{name: a, phone: b}", "6:23: spec.provider.phone", "known here: contact, name"),
        ("agreement", "from: 2026-01-01", "from: soon", "8:21: spec.effective.from", "neither a date nor a time"),
        ("agreement", "from: 2026-01-01", "from: 2026-02-30", "8:21: spec.effective.from", "such as 2026-01-01"),
        ("agreement", "from: 2026-01-01", "from: 0001-01-01", "8:21: spec.effective.from", "from 1970 to 2199"),
        ("agreement", "from: 2026-01-01", "from: 2027-01-01", "8:40: spec.effective.until", "must be after from"),
        ("agreement", "from: 2026-01-01, ", "", "8:14: spec.effective.from", "is missing"),
        ("agreement", "timeZone: UTC", "timeZone: Europe/Berln", "9:13: spec.timeZone", "did you mean Europe/Berlin?"),
        ("agreement", "timeZone: UTC", "timeZone: 12345:67890", "9:13: spec.timeZone", "such as Europe/Berlin"),
        ("agreement", "timeZone: UTC", "timeZone: ''", "9:13: spec.timeZone", "is empty"),
        ("agreement", "  service: checkout\n", "", "5:3: spec.service", "is missing (add service: checkout)"),
        ("agreement", "[oncall]", "oncall", "11:11: spec.notify", "must be a list, is the text"),
        ("agreement", "[oncall]", "[oncall, oncall]", "11:20: spec.notify[1]", "stands in this list twice"),
        (
            "agreement",
            "service: checkout",
            "serviceHours: {}\n  service: c",
            "10:17: spec.serviceHours",
            "not supported yet",
        ),
        (
            "agreement",
            "service: checkout",
            "supportedBy: [a]\n  service: c",
            "10:16: spec.supportedBy",
            "not supported yet",
        ),
        ("agreement", "service: checkout", "credits: []\n  service: c", "10:12: spec.credits", "not supported yet"),
        (
            "agreement",
            "service: checkout",
            "servce: checkout\n  service: c",
            "10:3: spec.servce",
            "did you mean service?",
        ),
        (
            "agreement",
            "service: checkout",
            "review: {every: 90d}\n  service: c",
            "10:11: spec.review.owner",
            "is missing",
        ),
        (
            "agreement",
            "service: checkout",
            "review: {every: 1Q, owner: x, last: 2026-13-01}\n  service: c",
            "10:39: spec.review.last",
            "is no date",
        ),
        (
            "agreement",
            "service: checkout",
            "review: {every: 90d, owner: x, last: 1.10.26}\n  service: c",
            "10:40: spec.review.last",
            "such as 2026-10-01",
        ),
        # exclusions
        ("agreement", ", where: '{status=~\"4..\"}'", "", "13:7: spec.exclusions[0].where", "is missing"),
        (
            "agreement",
            "where: '{status=~\"4..\"}'",
            "start: 2026-01-01",
            "13:48: spec.exclusions[0].start",
            "is not supported yet",
        ),
        (
            "agreement",
            "where: '{status=~\"4..\"}'}",
            "where: '{a=\"b\"}'}\n    - {name: not-ours, cause: c, where: m}",
            "14:7: spec.exclusions[1]",
            'the second exclusion called "not-ours"',
        ),
        # objectives
        (
            "agreement",
            "- name: availability",
            "- nme: availability",
            "15:7: spec.objectives[0].nme",
            "did you mean name?",
        ),
        (
            "agreement",
            "target: 0.999",
            "target: 99.9",
            "18:15: " + OBJECTIVE + "target",
            "did you mean targetPercent: 99.9, or target: 0.999?",
        ),
        (
            "agreement",
            "target: 0.999",
            "target: 99.9%",
            "18:15: " + OBJECTIVE + "target",
            "did you mean targetPercent: 99.9?",
        ),
        ("agreement", "target: 0.999", "target: 1", "18:15: " + OBJECTIVE + "target", "leaves no error budget"),
        ("agreement", "target: 0.999", "target: 100", "18:15: " + OBJECTIVE + "target", "leaves no error budget"),
        ("agreement", "target: 0.999", "target: 0", "18:15: " + OBJECTIVE + "target", "between 0 and 1"),
        ("agreement", "target: 0.999", "target: -.5", "18:15: " + OBJECTIVE + "target", "between 0 and 1"),
        ("agreement", "target: 0.999", "target: .inf", "18:15: " + OBJECTIVE + "target", "must be a number"),
        (
            "agreement",
            "target: 0.999",
            "target: true",
            "18:15: " + OBJECTIVE + "target",
            "must be a number, is true or false",
        ),
        ("agreement", "target: 0.999", "target: '0.999'", "18:15: " + OBJECTIVE + "target", "write it without quotes"),
        (
            "agreement",
            "target: 0.999",
            "target: {}",
            "18:15: " + OBJECTIVE + "target",
            "must be a number, is a mapping",
        ),
        ("agreement", "      target: 0.999\n", "", "15:7: " + OBJECTIVE + "target", "is missing (add target: 0.999)"),
        (
            "agreement",
            "target: 0.999",
            "targetPercent: 0.999",
            "18:22: " + OBJECTIVE + "targetPercent",
            "did you mean target: 0.999?",
        ),
        (
            "agreement",
            "target: 0.999",
            "targetPercent: 100",
            "18:22: " + OBJECTIVE + "targetPercent",
            "no error budget",
        ),
        (
            "agreement",
            "target: 0.999",
            "targetPercent: 101",
            "18:22: " + OBJECTIVE + "targetPercent",
            "between 0 and 100",
        ),
        (
            "agreement",
            "target: 0.999",
            "targetPercent: 99.9 %",
            "18:22: " + OBJECTIVE + "targetPercent",
            "leave the sign out",
        ),
        (
            "agreement",
            "target: 0.999",
            "targetPercent: many",
            "18:22: " + OBJECTIVE + "targetPercent",
            "must be a number",
        ),
        (
            "agreement",
            "target: 0.999",
            "{target: 0.9, targetPercent: 90}"[1:-1].replace(", ", "\n      "),
            "19:22: " + OBJECTIVE + "targetPercent",
            "keep one",
        ),
        ("agreement", "rolling: 30d", "rolling: 1Q", "19:25: " + OBJECTIVE + "period.rolling", "calendar: quarter"),
        (
            "agreement",
            "rolling: 30d",
            "rolling: 10s",
            "19:25: " + OBJECTIVE + "period.rolling",
            "from 1m to 366d, is 10s",
        ),
        ("agreement", "rolling: 30d", "rolling: [30d]", "19:25: " + OBJECTIVE + "period.rolling", "must be a duration"),
        (
            "agreement",
            "rolling: 30d",
            "calendar: monthly",
            "19:26: " + OBJECTIVE + "period.calendar",
            "did you mean month?",
        ),
        (
            "agreement",
            "rolling: 30d",
            "rolling: 30d, calendar: day",
            "19:15: " + OBJECTIVE + "period",
            "holds rolling and calendar",
        ),
        (
            "agreement",
            "rolling: 30d",
            "",
            "19:15: " + OBJECTIVE + "period",
            "needs rolling or calendar (such as {rolling: 30d})",
        ),
        ("agreement", "[burn-rate]", "[Burn]", "20:16: " + OBJECTIVE + "alerts[0]", "did you mean burn?"),
        (
            "agreement",
            "[burn-rate]",
            "[]\n      budgetingMethod: occurrences",
            "21:24: " + OBJECTIVE + "budgetingMethod",
            "did you mean Occurrences?",
        ),
        (
            "agreement",
            "[burn-rate]",
            "[]\n      serviceHours: {}",
            "21:21: " + OBJECTIVE + "serviceHours",
            "not supported yet",
        ),
        (
            "agreement",
            "[burn-rate]",
            "[]\n      runbook: 'javascript:x'",
            "21:16: " + OBJECTIVE + "runbook",
            "http or https",
        ),
        (
            "agreement",
            "[burn-rate]",
            "[]\n      groupBound: 0",
            "21:19: " + OBJECTIVE + "groupBound",
            "from 1 to 100,000, is 0",
        ),
        (
            "agreement",
            "[burn-rate]",
            "[]\n      groupBound: 1.5",
            "21:19: " + OBJECTIVE + "groupBound",
            "must be a whole number, is a number",
        ),
        ("agreement", "[burn-rate]", "[]\n      groupBound:", "21:7: " + OBJECTIVE + "groupBound", "is empty"),
        ("agreement", "[region]", "[1region]", "17:17: " + OBJECTIVE + "groupBy[0]", "no label name"),
        ("agreement", "[region]", "[__name__]", "17:17: " + OBJECTIVE + "groupBy[0]", "no label name"),
        ("agreement", "[region]", "[a, a]", "17:20: " + OBJECTIVE + "groupBy[1]", "twice"),
        ("agreement", "[region]", "[]", "17:16: " + OBJECTIVE + "groupBy", "is empty (such as [region])"),
        (
            "agreement",
            "alerts: [burn-rate]",
            "alerts: []\n    - {name: availability, indicator: {ratio: {good: m, total: m}}, target: 0.9, period: {calendar: day}}",
            "21:7: spec.objectives[1]",
            "the second objective called",
        ),
        # indicators
        (
            "agreement",
            "total: http}",
            "total: rate(http)}",
            "16:62: " + OBJECTIVE + "indicator.ratio.total",
            "functions",
        ),
        (
            "agreement",
            "total: http}",
            "total: '{a=\"b\"}'}",
            "16:62: " + OBJECTIVE + "indicator.ratio.total",
            "must name its metric",
        ),
        (
            "agreement",
            "total: http}",
            "total: http, good: m}",
            "16:26: " + OBJECTIVE + "indicator.ratio",
            "holds good and bad",
        ),
        (
            "agreement",
            "bad: 'http{status=~\"5..\"}', ",
            "",
            "16:26: " + OBJECTIVE + "indicator.ratio",
            "needs good or bad",
        ),
        ("agreement", "{ratio: {", "{ration: {", "16:19: " + OBJECTIVE + "indicator.ration", "did you mean ratio?"),
        (
            "agreement",
            "{ratio: {bad: 'http{status=~\"5..\"}', total: http}}",
            "5",
            "16:18: " + OBJECTIVE + "indicator",
            "is a number",
        ),
        ("threshold", "op: lte", "op: <=", "16:46: " + OBJECTIVE + "indicator.threshold.op", "did you mean lte?"),
        (
            "threshold",
            "op: lte",
            "op: zz",
            "16:46: " + OBJECTIVE + "indicator.threshold.op",
            "must be lt, lte, gt or gte",
        ),
        (
            "threshold",
            "value: 1",
            "value: fast",
            "16:58: " + OBJECTIVE + "indicator.threshold.value",
            "must be a number",
        ),
        # policies
        ("policy", "severity: page", "severity: critical", "6:65: spec.conditions[0].severity", "did you mean page?"),
        (
            "policy",
            "severity: page",
            "severity: page, view: all",
            "6:77: spec.conditions[0].view",
            "contractual or experienced",
        ),
        ("policy", "short: 5m", "short: 1h", "6:36: spec.conditions[0].burnRate.short", "must be shorter than long"),
        ("policy", "short: 5m", "short: 0s", "6:36: spec.conditions[0].burnRate.short", "from 1s to 366d"),
        ("policy", "factor: 14.4", "factor: 0.5", "6:48: spec.conditions[0].burnRate.factor", "below 1"),
        ("policy", "factor: 14.4", "factor: x", "6:48: spec.conditions[0].burnRate.factor", "must be a number"),
        ("policy", "factor: 14.4", "budgetShare: 2", "6:53: spec.conditions[0].burnRate.budgetShare", "at most 1"),
        ("policy", ", factor: 14.4", "", "6:18: spec.conditions[0].burnRate", "needs factor or budgetShare"),
        (
            "policy",
            "severity: ticket",
            "severity: ticket, view: experienced",
            "7:54: spec.conditions[1].view",
            "has no views",
        ),
        (
            "policy",
            "silent: {after: 10m}, ",
            "",
            "7:7: spec.conditions[1]",
            "needs burnRate, silent, budgetRemaining or exhaustion",
        ),
        ("policy", "silent: {after: 10m}", "blind: {after: 5m}", "7:15: spec.conditions[1].blind", "not supported yet"),
        (
            "policy",
            "silent: {after: 10m}",
            "silence: {after: 10m}",
            "7:8: spec.conditions[1].silence",
            "did you mean silent?",
        ),
        ("policy", "below: 0.1", "below: 10", "8:33: spec.conditions[2].budgetRemaining.below", "between 0 and 1"),
        ("policy", "events: 100", "events: -1", "9:21: spec.minimum.events", "from 0"),
        ("policy", "events: 100", "evnts: 100", "9:13: spec.minimum.evnts", "did you mean events?"),
        ("policy", "[oncall]", "[]", "10:11: spec.notify", "is empty"),
        # targets
        ("target", "type: webhook", "type: slack", "4:14: spec.type", '"slack" is not supported yet'),
        ("target", "type: webhook", "type: web-hook", "4:14: spec.type", "did you mean webhook?"),
        ("target", "http://127.0.0.1:9009/hook", "ftp://x/", "4:28: spec.url", "http or https"),
        ("target", "http://127.0.0.1:9009/hook", "http:///x", "4:28: spec.url", "http or https"),
        ("target", "http://127.0.0.1:9009/hook", "http://xn--a/", "4:28: spec.url", "http or https"),
        ("target", "http://127.0.0.1:9009/hook", "http://xn--ü/", "4:28: spec.url", "http or https"),
        ("target", "http://127.0.0.1:9009/hook", "http://a..b/x", "4:28: spec.url", "http or https"),
        ("target", "HOOK_SECRET", "hunter-2", "4:69: spec.secretEnv", "environment variable"),
        ("target", "HOOK_SECRET", "''", "4:69: spec.secretEnv", "is empty"),
        # YAML itself
        ("target", "HOOK_SECRET", "!!int 5", "4:69: spec.secretEnv", "tags such as"),
        ("target", "HOOK_SECRET", '"\\0"', "4:69: spec.secretEnv", "NUL"),
        ("target", "secretEnv: HOOK_SECRET", "? [a] : b", "4:60: spec", "a key must be text"),
        ("target", "HOOK_SECRET}", "HOOK_SECRET", "5:1", "a bracket or brace is not closed"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands_with_the_mend(
    base: str, old: str, new: str, place: str, said: str
) -> None:
    """Line, column, path, and words that are enough to mend it; nothing else is reported."""
    text = TEXTS[base]
    assert old in text

    found = problems(text.replace(old, new, 1))

    assert any(each.startswith(f"{place}: ") and said in each for each in found), found


def test_documents_without_a_fault_have_no_problems() -> None:
    """The ground that the changes above stand on."""
    assert [problems(text) for text in TEXTS.values()] == [[], [], [], []]


def test_all_errors_of_a_file_are_reported_at_once_in_the_order_of_its_lines() -> None:
    """Of every document, and the valid ones are there all the same."""
    text = (
        AGREEMENT.replace("SLA", "SLO").replace("0.999", "99.9").replace("30d", "1Q")
        + "---\n"
        + TARGET
        + "---\nkind: x\n"
    )

    loaded = documents.load(text, "f")

    assert [each.line for each in loaded.problems] == sorted(each.line for each in loaded.problems)
    assert {"spec.type", OBJECTIVE + "target", OBJECTIVE + "period.rolling", "kind", "metadata"} <= {
        each.path for each in loaded.problems
    }
    assert loaded.failed
    assert [each.name for each in loaded.documents] == ["oncall"]


def test_a_document_of_an_unknown_kind_is_not_judged_by_another_kinds_keys() -> None:
    """One problem, not ten."""
    assert len(problems(POLICY.replace("AlertPolicy", "Alerting"))) == 1


@pytest.mark.parametrize(
    ("old", "new", "secret"),
    [("http://", "http://user:hunter2@", "hunter2"), ("HOOK_SECRET", "hunter2-is-my-secret", "hunter2")],
)
def test_a_secret_in_a_document_is_refused_without_being_repeated(old: str, new: str, secret: str) -> None:
    """Documents are stored and shown; so are their problems."""
    (problem,) = problems(TARGET.replace(old, new))

    assert secret not in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://[::1]:80/x?y=z#w",
        "HTTPS://a.b:8443?c",
        "http://alertmanager:9093/",
        "http://my_service.internal./",
        "https://xn--fa-hia.de/",
        "https://bücher.example/",
    ],
)
def test_an_http_address_may_have_port_path_and_query(url: str) -> None:
    """Whatever an HTTP client takes."""
    assert problems(TARGET.replace("http://127.0.0.1:9009/hook", url)) == []


def test_a_file_without_documents_says_so() -> None:
    """An empty file among the agreements is a mistake."""
    assert problems("# soon\n") == ["1:1: holds no document (begin with apiVersion: upheld/v1)"]


def test_a_document_that_is_no_mapping_says_so() -> None:
    """Once."""
    assert problems("- apiVersion: upheld/v1\n") == [
        "1:1: must be a mapping, is a list (write key: value pairs, indented below it)"
    ]


def test_a_problem_on_a_terminal_is_one_line_without_control_characters() -> None:
    """Text of a document cannot write to somebody's screen."""
    (problem,) = problems(AGREEMENT.replace("SLA", '"\\e[2J\\n' + "x" * 100 + '"'))

    assert problem.isprintable()
    assert "..." in problem
