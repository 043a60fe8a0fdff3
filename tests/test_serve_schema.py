"""The service against its own description: whatever schemathesis thinks of, no 5xx, and every answer as described.

PLURIBUS_EXAMPLES raises how many requests each route gets.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from services import Service

from pluribus.store import open_store

EXAMPLES = int(os.environ.get("PLURIBUS_EXAMPLES", "12"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def service(demo_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("schema") / "store"
    shutil.copytree(demo_store, folder)
    running = Service(open_store(str(folder)), "--rate", "100000", "--timeout-s", "60")
    yield running
    running.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "otherwise"])
def test_every_answer_is_as_described(service: Service, mode: GenerationMode) -> None:
    """Of a shop and a product that exist, wherever a request names any: else most would end at the gate."""
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    met: Counter[int] = Counter()

    def ask(case: Any) -> None:
        if "shop" in case.path_parameters:
            case.path_parameters["shop"] = "atelier"
        if isinstance(case.body, dict) and isinstance(case.body.get("product_id"), str):
            case.body["product_id"] = "AT-1005"
        key = service.operator if case.path == "/metrics" else service.keys["atelier"]
        answer = case.call_and_validate(
            base_url=service.url, headers={"Authorization": f"Bearer {key}"}, checks=CHECKS, timeout=60
        )
        met[answer.status_code] += 1

    looks = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck),
                     database=None)  # fmt: skip
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 9
    for operation in operations:
        with suppress(Unsatisfiable):  # nothing can be said otherwise than described where nothing is said
            looks(given(operation.as_strategy(generation_mode=mode))(ask))()
    print(f"{mode.value}: {dict(sorted(met.items()))}")
    assert met[200 if mode is GenerationMode.POSITIVE else 422] > 10
