"""The page about the web room names every request that programs can make, and none that is not there."""

import re
from pathlib import Path

from assent.web.app import ALL_ROUTES

ROW = re.compile(r"^\| `((?:GET|POST|PUT) [^`]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "web.md"


def test_every_request_is_documented_with_its_scope() -> None:
    listed = set(ROW.findall(PAGE.read_text(encoding="utf-8")))
    there = {(f"{each.method} {each.path}", each.scope or "–", each.summary) for each in ALL_ROUTES if each.summary}
    assert listed == there
