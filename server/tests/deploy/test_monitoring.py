"""The alert rules and the dashboard use metrics and labels that the service has."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from aistemsplitter_server.api.database_metrics import FAILURES, KINDS, STATES
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.retention.tables import Sweep
from beating import beat
from databases import only_sqlite
from scraping import scraped

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_PROMETHEUS = {"instance", "job"}  # labels that Prometheus adds
Samples = dict[str, list[dict[str, str]]]  # labels of the samples, by name


@pytest.fixture
def samples(client: httpx2.Client, database: Database) -> Samples:
    """All samples of a service with a worker, whose sweeps have run."""
    beat(database, "one", audio_seconds=100)
    with database.write() as session:
        session.add(Sweep(name="stems", ran_at=times.now(), deleted=1, failures=0, error=None))
    client.get("/healthz")
    found: Samples = defaultdict(list)
    for family in text_string_to_metric_families(scraped(client)):
        assert family.documentation.endswith((".", ",")) or family.name.startswith("process_")
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DEPLOY / "dashboard.json").read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    """Yield each query, with a duration for Grafana's variables."""
    yield from (rule["expr"] for rule in alerts())
    for panel in panels():
        for target in panel["targets"]:
            yield re.sub(r"\$__(rate_interval|range)", "5m", target["expr"])


def parts(expression: Any) -> Iterator[Any]:
    """Yield an expression and all that it consists of."""
    yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "args"):
        part = getattr(expression, name, None)
        for each in part if isinstance(part, list) else [part]:
            if each is not None:
                yield from parts(each)


@only_sqlite
def test_queries_find_samples(samples: Samples) -> None:
    selected = 0
    for text in expressions():
        whole = [*parts(promql.parse(text))]
        labels: set[str] = set()
        for part in whole:
            if isinstance(part, promql.VectorSelector):
                selected += 1
                found = samples[part.name or ""]
                assert found, f"{text}: there is no {part.name}"
                labels |= {name for each in found for name in each} | OF_PROMETHEUS
                for matcher in part.matchers.matchers:
                    assert matcher.name in labels, f"{text}: {part.name} has no {matcher.name}"
                    if matcher.op == promql.MatchOp.Equal:
                        assert any(each[matcher.name] == matcher.value for each in found), text
        for part in whole:
            if isinstance(part, promql.AggregateExpr) and part.modifier is not None:
                assert {*part.modifier.labels} <= labels, text
    assert selected > 40


@only_sqlite
def test_states_without_items_are_zero(samples: Samples) -> None:
    """An alert on an increase would miss the first one otherwise."""

    def values(name: str, label: str) -> set[str]:
        return {each[label] for each in samples[f"aistemsplitter_{name}"]}

    assert values("splits", "status") == {
        "queued",
        "processing",
        "succeeded",
        "failed",
        "canceled",
    }
    assert values("split_failures_total", "code") == {*FAILURES}
    assert values("webhook_deliveries", "state") == {*STATES}
    assert values("webhook_receivers_disabled", "kind") == {"host", "endpoint"}
    assert values("ledger_seconds_total", "kind") == {*KINDS}
    assert values("sweep_stuck_items", "sweep") == {"stems"}
    assert samples["aistemsplitter_build_info"][0]["version"]


def test_labels_in_texts_are_in_the_results() -> None:
    """An alert's summary may only name labels that its query keeps."""
    for rule in alerts():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        for name in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert f"by ({name})" in rule["expr"] or name == "worker", rule["alert"]
    names = [rule["alert"] for rule in alerts()]
    assert len({*names}) == len(names)


def test_the_dashboards_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len({*cells}) == len(cells)
    assert max(x for x, _ in cells) < 24


@only_sqlite
def test_the_readme_names_every_metric(samples: Samples) -> None:
    readme = (DEPLOY.parent / "README.md").read_text()
    for name in samples:
        own = name.removeprefix("aistemsplitter_")
        if own != name and not own.endswith(("_bucket", "_count", "_sum", "_created")):
            assert own in readme, name
