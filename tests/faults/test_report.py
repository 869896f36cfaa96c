"""The report's table: a line a configuration, and totals that are those of the lines."""

from tests.support.report import Row, table

CUT = Row("broker cut", 1200, 0, 5000, 5000, 0, 0, 0, 40, 1.25)
KILLED = Row("killed", 300, 299, 600, 598, 2, 1, 3, 7, 0.5)


def test_a_line_a_configuration_and_the_totals() -> None:
    """Counts add up, the longest stall is the longest of all, kills are told apart."""
    assert table([CUT, KILLED]).splitlines()[2:] == [
        "| broker cut | 1,200 | 5,000 | 5,000 | 0 | 0 | 0 | 40 | 1.2 s |",
        "| killed | 300 | 600 | 598 | 2 | 1 | 3 | 7 | 0.5 s |",
        (
            "| **all 2 configurations** | 1,500, 299 of them kills | 5,600 | 5,598 | 2 | 1 | 3 | 47"
            " | 1.2 s |"
        ),
    ]
