"""Turn Django's own error pages under /api/ and /webhooks/ into JSON."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

_REFUSALS = {
    400: ("bad_request", "The request could not be read: send JSON."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    500: ("internal_error", "Something broke here. It is logged; send the request again."),
}


def json_errors(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Give Django's error pages the shape of the API's errors, as middleware."""
    return lambda request: _as_json(request, get_response(request))


def _as_json(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    is_ours = response.status_code in _REFUSALS and request.path_info.startswith(("/api/", "/webhooks/"))
    if not is_ours or response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    code, message = _REFUSALS[response.status_code]
    answer = JsonResponse({"error": {"code": code, "message": message}}, status=response.status_code)
    # A 405 has to name the methods that are allowed (RFC 9110, section 15.5.6).
    if "Allow" in response.headers:
        answer["Allow"] = response["Allow"]
    return answer
