"""What each caller may do at most, held against every answer that Schemathesis gets."""

import os

import schemathesis

WHO = os.environ["CARILLON_WHO"]


def allowed(case):
    """Whether this caller may get a 2xx for this operation."""
    operation = case.operation
    if not operation.definition.raw.get("security"):
        return True
    own = case.path.startswith("/api/v1/device/")
    if WHO == "owner":
        return not own
    if WHO == "device":
        return own or case.path == "/api/v1/me"
    if WHO == "reader":
        return not own and case.method.upper() in ("GET", "HEAD")
    return False


@schemathesis.check
def rights(ctx, response, case):
    if 200 <= response.status_code < 300 and not allowed(case):
        raise AssertionError(f"{WHO} got {response.status_code} for {case.method} {case.path}")
