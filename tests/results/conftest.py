"""What judges tables by the project's own claims."""

import pytest
from claimed import PAPER

from equitune import options
from equitune.results import claims, tables
from equitune.results.claim import Claim


@pytest.fixture(scope="module")
def listed(root):
    path = root / "resources" / "claims.yaml"
    return options.settings(list[Claim], path.read_text(), "claims.yaml")


@pytest.fixture(scope="module")
def published(root):
    return tables.read(root / "resources" / "published.csv", tables.PUBLISHED_COLUMNS)


@pytest.fixture
def judge(listed, published):
    def run(settings=PAPER, **given):
        return claims.judge(listed, given, published, settings).set_index("claim")

    return run
