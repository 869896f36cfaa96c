"""docker-compose.yml: healthy one after the other, nothing open to the world, no secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@pytest.fixture
def services() -> dict[str, Any]:
    """Read the services."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_everything_that_stays_has_a_health_check(services: dict[str, Any]) -> None:
    """Who waits for a service waits until it is healthy."""
    watching = {"prometheus", "grafana"}
    assert set(services) == {"rabbitmq", "postgres", "moto", "migrate", "lifecycle"} | watching
    assert {name for name, one in services.items() if "profiles" in one} == watching
    assert [name for name, one in services.items() if "healthcheck" not in one] == ["migrate"]
    waits = {name: one["condition"] for name, one in services["lifecycle"]["depends_on"].items()}
    assert waits == {
        "rabbitmq": "service_healthy",
        "postgres": "service_healthy",
        "moto": "service_healthy",
        "migrate": "service_completed_successfully",
    }


def test_nothing_listens_beyond_the_loopback_interface(services: dict[str, Any]) -> None:
    """A playground without passwords is nobody else's."""
    ports = [port for one in services.values() for port in one.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_watches_is_given_what_the_package_ships(services: dict[str, Any]) -> None:
    """Rules and dashboard stand where Prometheus and Grafana are told to look."""
    configs = yaml.safe_load(COMPOSE.read_text())["configs"]
    given = {
        one["target"]: COMPOSE.parent / configs[one["source"]]["file"]
        for name in ("prometheus", "grafana")
        for one in services[name]["configs"]
    }
    prometheus = yaml.safe_load(given["/etc/prometheus/prometheus.yml"].read_text())
    (rules,) = prometheus["rule_files"]
    assert given[rules].name == "rules.yml"
    assert prometheus["scrape_configs"][0]["static_configs"] == [{"targets": ["lifecycle:8080"]}]
    source = yaml.safe_load(
        given["/etc/grafana/provisioning/datasources/prometheus.yml"].read_text()
    )
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load(given["/etc/grafana/provisioning/dashboards/files.yml"].read_text())
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{provider['providers'][0]['options']['path']}/")
    assert given[home].name == "workspace-lifecycle.json"


def test_every_image_says_where_it_is(services: dict[str, Any]) -> None:
    """Docker takes a short name for docker.io's, Podman for nobody's until it is configured."""
    images = {one["image"] for one in services.values()} - {"workspace-lifecycle"}
    built = services["lifecycle"]["build"]["dockerfile_inline"].split()[1]
    assert not [image for image in (built, *images) if not image.startswith("docker.io/")]


def test_no_secret_stands_in_the_file() -> None:
    """No password, and no URL with one."""
    text = COMPOSE.read_text()
    assert "PASSWORD" not in text
    assert "@" not in text.replace("postgresql://postgres@postgres/", "")
