from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from benchmarks.peers.tokens import user_of


def group_of(user_id: str) -> str:
    return f"user_{user_id}"


class PaymentConsumer(AsyncJsonWebsocketConsumer):
    """A user's socket: in the user's group from its registration on."""

    group: str | None = None

    async def receive_json(self, content: dict[str, Any]) -> None:
        if content["type"] != "register" or self.group is not None:
            return
        user_id = user_of(content)
        self.group = group_of(user_id)
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.send_json(
            {
                "type": "registration_success",
                "message": "Successfully registered for payment notifications",
                "userId": user_id,
            }
        )

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 Channels' signature
        if self.group is not None:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def push(self, event: dict[str, Any]) -> None:
        """Send a frame that came to the group."""
        await self.send(text_data=event["frame"])
