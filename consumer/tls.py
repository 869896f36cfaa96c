"""Why TLS did not come about, in words that say what to change."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

_PASSING = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLWantReadError)
"""A connection that ended under the handshake, as one to a server does that is just starting."""
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_DEEP = 10


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of TLS are called in a URL's query."""

    ca: str
    certificate: str
    key: str


def refused(error: BaseException, names: Names) -> str | None:
    """Say what is wrong where TLS was refused by either side; None where waiting may help."""
    for one in _chain(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return (
                f"the server's certificate is not accepted ({one.verify_message}): name the CA "
                f"that signed it with {names.ca}=, and the host as the certificate does"
            )
        if isinstance(one, ssl.SSLError) and not isinstance(one, _PASSING):
            return _said(one.reason or str(one), names)
    return None


def _said(reason: str, names: Names) -> str:
    ours = f"{names.certificate}= and {names.key}="
    if "_ALERT_" in reason:
        return f"the server does not accept our certificate, or none ({reason}): check {ours}"
    if reason in _NO_TLS:
        return f"no TLS is spoken on that port ({reason}): check the URL's port"
    return f"TLS could not be begun ({reason}): check that {names.ca}=, {ours} name PEM files"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and what led to it; some libraries' chains go in circles."""
    for _ in range(_DEEP):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
