"""What every engine must do, by subject."""

import pytest

# Suites are no test modules by name, and their assertions should explain themselves all the same.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{subject}"
        for subject in (
            "concurrency",
            "doubt",
            "failures",
            "faults",
            "ground",
            "lifecycle",
            "outside",
            "replaying",
            "settling",
            "steps",
        )
    )
)
