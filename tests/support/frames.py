"""The frames of the client guide, written down once more: not one word of them may change."""

INVALID = {
    "type": "error",
    "message": 'Invalid message format. Send {"type": "register", "userId": "your_user_id"}',
}


def registered(user_id):
    return {
        "type": "registration_success",
        "message": "Successfully registered for payment notifications",
        "userId": user_id,
    }


class AnyText:
    """Text that is not ours to know."""

    def __eq__(self, other):
        return isinstance(other, str) and other != ""

    def __hash__(self):
        return 0


def resumed(user_id, *, newest, resumed=True):
    """Return the answer to a client that said a number."""
    return registered(user_id) | {"lastSeq": newest, "resumed": resumed, "epoch": AnyText()}


def link(payment):
    return {
        "type": "payment_url",
        "rideId": payment["rideId"],
        "paymentUrl": payment["paymentUrl"],
        "status": "pending",
    }


def status(payment, status):
    return {
        "type": "payment_status_update",
        "rideId": payment["rideId"],
        "status": status,
        "stripeSessionId": payment["stripeSessionId"],
    }


def story(payment, *statuses):
    """Return all that a rider hears of a payment: its link, then each status."""
    return [link(payment), *(status(payment, each) for each in statuses)]


def numbered(frames, *, start=1):
    """Return frames as a client gets them that resumes."""
    return [frame | {"seq": seq} for seq, frame in enumerate(frames, start)]
