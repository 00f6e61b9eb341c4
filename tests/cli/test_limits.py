"""What options take, and what they refuse with which words."""

import argparse

import pytest

from minidiff import cli


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (cli.positive_int, "0", "wanted a whole number >= 1, got 0"),
        (cli.positive_int, "1e3", "wanted a whole number >= 1, got 1e3"),
        (cli.positive_int, "1" + "0" * 12, "wanted at most 1,000,000, got 1000000000000"),
        (cli.positive_int, "9" * 5000, "wanted a whole number >= 1, got 99999"),
        (cli.positive_int, "", "wanted a whole number >= 1, got nothing"),
        (cli.images, "100001", "wanted at most 100,000, got 100001"),
        (cli.channels, "1025", "wanted at most 1,024, got 1025"),
        (cli.up_to(3), "4", "wanted at most 3, got 4"),
        (cli.seed, "-1", "wanted a whole number >= 0, got -1"),
        (cli.seed, str(2**63), "wanted at most 9,223,372,036,854,775,807, got 9223372036854775808"),
        (cli.positive_float, "0", "wanted a number > 0, got 0"),
        (cli.positive_float, "inf", "wanted at most 1,000,000, got inf"),
        (cli.positive_float, "nan", "wanted a number > 0, got nan"),
        (cli.at_least_0, "-0.5", "wanted a number >= 0, got -0.5"),
        (cli.fraction, "1", r"wanted a number in \[0, 1\), got 1"),
        (cli.zero_to_one, "1.5", r"wanted a number in \[0, 1\], got 1.5"),
        (cli.path, "", "wanted the name of a file or a folder, got nothing"),
        (cli.path, "  ", "wanted the name of a file or a folder, got nothing"),
    ],
)
def test_what_is_refused(kind, text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=message) as error:
        kind(text)
    assert len(str(error.value)) < 120


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (cli.positive_int, "1000000", 10**6), (cli.seed, "0", 0), (cli.seed, str(2**63 - 1), 2**63 - 1), (cli.positive_float, "1e-3", 1e-3),
        (cli.at_least_0, "0", 0.0), (cli.fraction, "0.999", 0.999), (cli.zero_to_one, "1", 1.0), (cli.path, "a b", "a b"),
    ],
)  # fmt: skip
def test_what_is_taken(kind, text, value):
    assert kind(text) == value
