"""What every implementation of a port must do, stated once; each inherits it and adds its own attacks."""

import pytest

# Suites are no test modules by name, and their assertions should explain themselves all the same.
pytest.register_assert_rewrite(
    "tests.conformance.engine_suite",
    "tests.conformance.store_governance",
    "tests.conformance.store_ledger",
    "tests.conformance.store_outbox",
    "tests.conformance.store_people",
    "tests.conformance.store_records",
    "tests.conformance.store_suite",
)
