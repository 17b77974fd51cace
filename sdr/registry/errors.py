"""The specification's error codes and the JSON body that carries them (OCI Distribution Specification)."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One kind of error.

    :param code: the identifier that clients compare, such as ``NAME_UNKNOWN``.
    :param status: the HTTP status it comes with.
    :param message: what a person reads.
    """

    code: str
    status: int
    message: str

    def body(self, detail: object = None) -> bytes:
        """Return the JSON document; without ``detail`` the member is left out, as docker 1.8 to 17.05 look for it."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if detail is not None:
            error["detail"] = detail
        return json.dumps({"errors": [error]}, separators=(",", ":")).encode() + b"\n"


DIGEST_INVALID = ErrorCode("DIGEST_INVALID", 400, "the digest is malformed, or its algorithm is not supported")
NAME_INVALID = ErrorCode("NAME_INVALID", 400, "invalid repository name")
#: 404, as the specification's conformance tests ask for what cannot exist.
MANIFEST_INVALID = ErrorCode("MANIFEST_INVALID", 404, "the reference is neither a tag nor a digest")
NAME_UNKNOWN = ErrorCode("NAME_UNKNOWN", 404, "repository name not known to registry")
MANIFEST_UNKNOWN = ErrorCode("MANIFEST_UNKNOWN", 404, "manifest unknown")
NOT_FOUND = ErrorCode("UNSUPPORTED", 404, "no such resource")
UNSUPPORTED = ErrorCode("UNSUPPORTED", 405, "this registry is read-only: images are published with sdr publish")
#: distribution's code for a bad ``n`` (docs/spec/api.md, "Pagination").
PAGINATION_NUMBER_INVALID = ErrorCode("PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested")
BAD_REQUEST = ErrorCode("UNSUPPORTED", 400, "malformed request")
UNAVAILABLE = ErrorCode("UNAVAILABLE", 503, "this cannot be answered at the moment")
INTERNAL = ErrorCode("UNKNOWN", 500, "unexpected error; the endpoint's log has it")
