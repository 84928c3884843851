"""Run the measurements: `python -m bench [--rounds N] [create|change|volume|poll|pages|records …]`."""

import argparse

from bench.changes import measure_changes
from bench.creates import measure_creates
from bench.fixtures import fixtures
from bench.pages import measure_pages
from bench.polling import measure_polling
from bench.records import measure_records
from bench.volumes import measure_volumes

PARTS = {
    "create": measure_creates,
    "change": measure_changes,
    "volume": measure_volumes,
    "poll": measure_polling,
    "pages": measure_pages,
}

# Needs no server.
RECORDS = "records"


def main() -> None:
    """Measure the parts that the command line names, all by default."""
    arguments = argparse.ArgumentParser(prog="bench", description=__doc__)
    arguments.add_argument(
        "parts", nargs="*", choices=[*PARTS, RECORDS, []], help="what to measure (default: everything)"
    )
    arguments.add_argument("--rounds", type=int, default=5, help="how often to repeat each measurement")
    given = arguments.parse_args()
    parts = given.parts or [*PARTS, RECORDS]
    if RECORDS in parts:
        measure_records(given.rounds)
    if not set(parts) - {RECORDS}:
        return
    with fixtures() as (server, dockerd):
        for part in parts:
            if part != RECORDS:
                PARTS[part](server, dockerd, given.rounds)


if __name__ == "__main__":
    main()
