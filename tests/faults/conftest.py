"""Where everything is that is to go wrong."""

import pytest

from tests.support.siege import Urls


@pytest.fixture
def urls(amqp_url: str, database_url: str) -> Urls:
    """Give this test's servers."""
    return Urls(amqp_url, database_url)
