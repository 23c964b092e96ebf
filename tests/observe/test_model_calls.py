"""What requests to models took, told to people."""

from decimal import Decimal

from assent.observe import dollars


def test_amounts_of_dollars_are_as_exact_as_they_are_small() -> None:
    amounts = ("0", "0.01", "0.5", "0.0123", "1234.567", "0.000125", "0.00999", "1")
    told = ["$0.00", "$0.01", "$0.50", "$0.0123", "$1,234.57", "$0.000125", "$0.00999", "$1.00"]
    assert [dollars(Decimal(each)) for each in amounts] == told
