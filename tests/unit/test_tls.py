"""What is said of TLS that did not come about; tests/tls meets the real ones."""

import ssl

import pytest

from consumer.tls import Names, refused

NAMES = Names(ca="ca", certificate="cert", key="key")


def fault(reason: str) -> ssl.SSLError:
    """Make an error as OpenSSL words it."""
    error = ssl.SSLError(1, f"[SSL: {reason}] ...")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (fault("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "does not accept our certificate, or none"),
        (fault("WRONG_VERSION_NUMBER"), "no TLS is spoken on that port"),
        (fault("KEY_VALUES_MISMATCH"), "check that ca=, cert= and key= name PEM files"),
        (ssl.SSLEOFError(8, "EOF occurred"), None),
        (ssl.SSLZeroReturnError(6, "closed"), None),
        (ConnectionResetError(104, "reset"), None),
    ],
)
def test_a_refusal_says_what_to_change_and_an_end_may_pass(
    error: Exception, said: str | None
) -> None:
    """A server that is just starting ends connections too: that is no refusal."""
    told = refused(error, NAMES)
    assert told is None if said is None else said in (told or "")


def test_the_reason_is_found_however_deep_it_lies() -> None:
    """Libraries wrap it, and some of their chains go in circles."""
    outer, inner = OSError("wrapped"), fault("KEY_VALUES_MISMATCH")
    outer.__cause__ = inner
    assert refused(outer, NAMES)
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert refused(one, NAMES) is None
