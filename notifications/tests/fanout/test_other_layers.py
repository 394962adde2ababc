"""Notifications have a layer of their own: whatever happens to it, groups of other consumers stay."""

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer

from notifications.delivery import hub
from notifications.tests.conftest import PATIENCE, redis_layer, until

pytestmark = pytest.mark.django_db(transaction=True, available_apps=["notifications"])


class DriverConsumer(AsyncJsonWebsocketConsumer):
    """A consumer of another app, as Channels' tutorial has it, on the default layer."""

    groups = ["drivers"]

    async def driver_news(self, event):
        await self.send_json({"n": event["n"]})


@pytest.fixture
def in_memory(settings):
    settings.CHANNEL_LAYERS = {"default": settings.MEMORY_LAYER, "notifications": settings.MEMORY_LAYER}


@pytest.fixture
def on_redis(settings, valkey):
    ours = redis_layer(valkey.port)
    hosts = [ours["notifications"]["CONFIG"]["host"]]
    default = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": hosts}}
    settings.CHANNEL_LAYERS = ours | {"default": default}


async def hears(driver, n):
    await get_channel_layer().group_send("drivers", {"type": "driver.news", "n": n})
    return await driver.receive_json_from(timeout=PATIENCE) == {"n": n}


@pytest.mark.parametrize("layers", ["in_memory", "on_redis"])
@pytest.mark.usefixtures("no_lingering")
async def test_a_consumer_of_another_app_hears_its_group_whatever_riders_do(request, connect, redis, layers):
    request.getfixturevalue(layers)
    driver = await connect(application=DriverConsumer.as_asgi())
    if layers == "on_redis":  # channels-redis does not wait until Redis has subscribed
        await until(lambda: redis.pubsub_numsub("asgi__group__drivers")[0][1] == 1)
    assert await hears(driver, 1)

    rider = await connect()
    await rider.register()
    assert await hears(driver, 2)

    ours = hub.current().listener
    ours._is_broken = True  # it is repaired with its next beat
    await until(lambda: not ours._is_broken)
    assert await hears(driver, 3)

    await rider.disconnect(timeout=PATIENCE)
    await until(lambda: ours._task is None)
    assert await hears(driver, 4)
    await driver.disconnect(timeout=PATIENCE)
    await get_channel_layer().flush()
