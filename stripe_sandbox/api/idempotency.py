"""Keep idempotency keys as Stripe does. Source: https://docs.stripe.com/api/idempotent_requests."""

import hashlib
import json
import logging
from collections.abc import Callable
from datetime import datetime

from django.db import OperationalError, transaction
from django.utils import timezone

from stripe_sandbox.api.form import Form
from stripe_sandbox.api.responses import ApiResponse
from stripe_sandbox.errors import ApiError, NotPossible
from stripe_sandbox.models import IdempotentRequest
from stripe_sandbox.timing import KEYS_KEPT, REQUEST_CLAIM

logger = logging.getLogger(__name__)

MAX_KEY = 255


def respond_once(
    *, key: str, path: str, form: Form, request_id: str, run: Callable[[], ApiResponse]
) -> ApiResponse:
    """Return the response of the first request with this key, or make one with `run` and keep it.

    `run` and keeping its response are one transaction. Keep results, NotPossible and crashes; a request that fails
    validation leaves its key unused. Raise ApiError if the key came with other parameters (400), or if its request is
    still under way (409).
    """
    held = _claim(key=key, path=path, form=form, request_id=request_id)
    if held.status is not None:
        return ApiResponse(status=held.status, body=held.body, request_id=held.request_id)
    try:
        with transaction.atomic():
            # In one transaction with its answer: else a crash in between would let the repetition do it again.
            response = run()
            _keep(held, response)
    except NotPossible as error:
        response = ApiResponse.refusal(error, request_id=request_id)
        _keep(held, response)
    except ApiError:
        # Stripe keeps no answer of a request that failed validation, so the key can be used again.
        IdempotentRequest.objects.filter(pk=held.pk, request_id=request_id).delete()
        raise
    except OperationalError as error:
        logger.warning("The sandbox cannot use its database: %r", error)
        response = ApiResponse.failure(request_id=request_id)
        _keep(held, response)
    except Exception:
        logger.exception("A request to the sandbox failed: %s", request_id)
        response = ApiResponse.failure(request_id=request_id)
        _keep(held, response)
    return response


def forget_old(*, now: datetime | None = None) -> None:
    """Delete keys older than KEYS_KEPT."""
    old = IdempotentRequest.objects.filter(created_at__lt=(now or timezone.now()) - KEYS_KEPT)
    # Reading first takes no lock: on SQLite an empty delete would wait for every writer.
    if old.exists():
        old.delete()


@transaction.atomic
def _claim(*, key: str, path: str, form: Form, request_id: str) -> IdempotentRequest:
    """Return the key's row: with a response, or claimed by this request."""
    if len(key) > MAX_KEY:
        raise ApiError(f"Idempotency keys can have up to {MAX_KEY} characters.", type_="idempotency_error")
    now = timezone.now()
    fingerprint = hashlib.sha256(json.dumps([path, form], sort_keys=True).encode()).hexdigest()
    ours = {"request_id": request_id, "claimed_until": now + REQUEST_CLAIM}
    # Locked, so that two repetitions at once do not both find the claim of a process that died.
    held, created = IdempotentRequest.objects.select_for_update().get_or_create(
        key=key, defaults={"path": path, "fingerprint": fingerprint, **ours}
    )
    if created:
        return held
    _check_same(held, path, fingerprint)
    if held.status is None:
        if held.claimed_until > now:
            raise ApiError(
                "There is currently another in-progress request using this Idempotency Key (that probably "
                f"means you submitted twice, and the other request is still going through): {key}",
                status=409,
                type_="idempotency_error",
                code="idempotency_key_in_use",
            )
        IdempotentRequest.objects.filter(pk=held.pk).update(**ours)
        held.request_id = request_id
    return held


def _check_same(held: IdempotentRequest, path: str, fingerprint: str) -> None:
    if held.fingerprint == fingerprint:
        return
    what = "with the same parameters they were first used with"
    if held.path != path:
        what = f"for the same endpoint they were first used for ('{path}' vs '{held.path}')"
    raise ApiError(
        f"Keys for idempotent requests can only be used {what}. Try using a key other than '{held.key}' if you "
        "meant to execute a different request.",
        type_="idempotency_error",
    )


def _keep(held: IdempotentRequest, response: ApiResponse) -> None:
    """Keep the response, unless another request has claimed the key meanwhile."""
    # The number of the request names its claim: another one may have taken the key meanwhile.
    mine = IdempotentRequest.objects.filter(pk=held.pk, request_id=response.request_id)
    if not mine.update(status=response.status, body=response.body):
        raise ApiError(
            "This request took too long and its Idempotency Key has passed on to another.",
            status=409,
            type_="idempotency_error",
            code="idempotency_key_in_use",
        )
