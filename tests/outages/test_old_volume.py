"""PostgreSQL's data are put back to an earlier state behind a running service: numbers are given again."""

import pytest

from tests.outages.postgresql import PostgreSQL
from tests.support import backend, frames
from tests.support.client import connected
from tests.support.server import eventually


@pytest.fixture
def database():
    with PostgreSQL() as database:
        yield database


def test_after_an_old_copy_of_the_volume_is_put_in_place_no_number_of_before_counts(serve, database, user_id):
    server = serve(database=database)
    with connected(server) as client:
        epoch = client.register(user_id, lastSeq=0)["epoch"]
        assert client.receive_until(frames.link(backend.ask(server, user_id)) | {"seq": 1}) == []
    database.stop()
    database.keep_copy()
    database.start()
    eventually(lambda: server.http.get("/readyz").is_success)
    for _ in range(2):
        backend.ask(server, user_id)
    for number in range(
        30
    ):  # the log that is lost has to be longer than what comes in its place before anybody looks
        backend.ask(server, f"{user_id} {number}")
    with connected(server) as client:
        assert client.register(user_id, lastSeq=3, epoch=epoch)["resumed"] is True

    database.stop()
    database.put_copy_in_place()
    database.start()
    eventually(lambda: server.http.get("/readyz").is_success)
    new = [backend.ask(server, user_id) for _ in range(3)]  # the numbers 2 and 3 are given again

    with connected(server) as client:
        answer = client.register(user_id, lastSeq=3, epoch=epoch)
        assert (answer["lastSeq"], answer["resumed"]) == (4, False)
        assert client.register(user_id, lastSeq=3)["resumed"] is False
        assert client.register(user_id, lastSeq=1, epoch=answer["epoch"])["resumed"] is True
        assert [client.receive()["rideId"] for _ in new] == [payment["rideId"] for payment in new]
    assert server.log.count("PostgreSQL has gone back") == 1
    server.stop()
