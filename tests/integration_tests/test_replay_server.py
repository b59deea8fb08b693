"""The replay server over real HTTP on loopback."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import httpx2
import openai
import pytest
import uvicorn

from langchain_toolstream.testing import Recording, ReplayServer, bundled_recordings
from langchain_toolstream.testing.app import MAX_BODY

PROMPT = "What is 3 * 12? Also, what is 11 + 49?"
RECORDINGS = {recording.id: recording for recording in bundled_recordings()}
CALLS = RECORDINGS["auto_2calls"]
COUNT = len(CALLS.events)


def tools(*names: str) -> list[Any]:
    return [{"type": "function", "function": {"name": name}} for name in names]


def ask(server: ReplayServer, model: str = CALLS.id) -> dict[str, Any]:
    return {"url": f"{server.base_url}/chat/completions", "json": {"model": model}}


def read_events(chunks: Iterator[bytes], count: int) -> bytes:
    """Read until `count` events are there, and not further than the chunk with the last one."""
    data = b""
    while data.count(b"\n\n") < count:
        data += next(chunks)
    return data


def replay_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "replay" in thread.name]


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=10) as client:
        yield client


class TestBytes:
    def test_each_bundled_recording_comes_as_it_was_recorded(self, client: httpx2.Client) -> None:
        with ReplayServer() as server:
            for recording in RECORDINGS.values():
                response = client.post(**ask(server, recording.id))
                assert response.content == recording.body
                assert response.status_code == recording.status
                assert response.headers["content-type"] == recording.content_type
                assert response.headers["x-replay-recording"] == recording.id
            assert [request.recording_id for request in server.requests] == list(RECORDINGS)
            assert server.disconnects == []

    def test_one_event_is_one_chunk(self, client: httpx2.Client) -> None:
        with ReplayServer() as server, client.stream("POST", **ask(server)) as response:
            assert tuple(response.iter_raw()) == CALLS.events

    @pytest.mark.parametrize("pace", ["instant", "recorded", 1e6])
    def test_pieces_and_pace_keep_the_bytes(
        self, client: httpx2.Client, pace: Literal["instant", "recorded"] | float
    ) -> None:
        poem = RECORDINGS["auto_write_file_long"]
        accents = Recording(id="accents", body=("data: " + "é€🎉" * 99 + "\n\n").encode())
        recordings = [recording.split(seed=1) for recording in (CALLS, poem, accents)]
        with ReplayServer(recordings, pace=pace) as server:
            for recording in recordings:
                with client.stream("POST", **ask(server, recording.id)) as response:
                    pieces = list(response.iter_raw())
                assert b"".join(pieces) == recording.body
                assert len(pieces) >= len(recording.body) / 40

    def test_an_id_that_no_header_can_hold_is_quoted(self, client: httpx2.Client) -> None:
        with ReplayServer([Recording(id="é\n/stream@1", body=b"data: 1\n\n")]) as server:
            response = client.post(**ask(server, "é\n/stream@1"))
        assert response.headers["x-replay-recording"] == "%C3%A9%0A/stream@1"


class TestPace:
    def test_a_rate_bounds_the_time_from_below(self, client: httpx2.Client) -> None:
        with ReplayServer(pace=200) as server:
            started = time.perf_counter()
            assert client.post(**ask(server)).content == CALLS.body
            assert time.perf_counter() - started >= (COUNT - 1) / 200

    def test_recorded_takes_as_long_as_it_took(self, client: httpx2.Client) -> None:
        assert CALLS.reads is not None
        with ReplayServer(pace="recorded") as server:
            started = time.perf_counter()
            assert client.post(**ask(server)).content == CALLS.body
            assert time.perf_counter() - started >= CALLS.reads[-1][0]

    def test_small_events_do_not_wait_for_acknowledgements(self, client: httpx2.Client) -> None:
        # Nagle's algorithm would hold each answer back for 40 ms.
        with ReplayServer() as server:
            times = []
            for _ in range(100):
                started = time.perf_counter()
                client.post(**ask(server, "auto_truncated_in_name"))
                times.append(time.perf_counter() - started)
            assert min(times) < 0.04


class TestFaults:
    @pytest.mark.parametrize("after_events", [0, 3, COUNT])
    @pytest.mark.parametrize("split", [False, True])
    def test_cut_is_a_protocol_error_after_all_that_was_sent(
        self, client: httpx2.Client, after_events: int, *, split: bool
    ) -> None:
        recording = CALLS.cut(after_events=after_events)
        recording = recording.split(seed=0) if split else recording
        with ReplayServer([recording]) as server, client.stream("POST", **ask(server)) as response:
            chunks = response.iter_raw()
            data = read_events(chunks, after_events)
            with pytest.raises(httpx2.RemoteProtocolError):
                next(chunks)
            assert data == b"".join(CALLS.events[:after_events])
            assert server.disconnects == []

    def test_a_whole_answer_can_be_cut(self, client: httpx2.Client) -> None:
        recording = RECORDINGS["auto_2calls_nonstream"].cut(after_events=1)
        with ReplayServer([recording]) as server, pytest.raises(httpx2.RemoteProtocolError):
            client.post(**ask(server, recording.id))

    def test_cut_says_nothing_in_the_log(
        self, client: httpx2.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            ReplayServer([CALLS.cut(after_events=1)]) as server,
            pytest.raises(httpx2.RemoteProtocolError),
        ):
            client.post(**ask(server))
        assert [r.getMessage() for r in caplog.records if r.name.startswith("uvicorn")] == []

    def test_fail_is_vllms_error_event(self) -> None:
        recording = CALLS.fail(after_events=4, message="out of luck")
        seen: list[object] = []
        with (
            ReplayServer([recording]) as server,
            openai.OpenAI(base_url=server.base_url, api_key="none") as client,
            client.chat.completions.create(model=CALLS.id, messages=[], stream=True) as stream,
            pytest.raises(openai.APIError, match="out of luck"),
        ):
            seen.extend(stream)
        assert len(seen) == 4

    def test_a_stalled_stream_waits_for_its_client(self, client: httpx2.Client) -> None:
        with ReplayServer([CALLS.stall(after_events=3)]) as server:
            with client.stream("POST", **ask(server)) as response:
                chunks = response.iter_raw()
                assert read_events(chunks, 3) == b"".join(CALLS.events[:3])
                assert server.active == 1
            disconnect = server.wait_for_disconnect()
            assert (disconnect.recording_id, disconnect.events_sent) == (CALLS.id, 3)
            assert disconnect.seconds > 0
            assert server.active == 0
            assert server.disconnects == [disconnect]


class TestDisconnect:
    def test_between_events_of_a_slow_stream(self, client: httpx2.Client) -> None:
        with ReplayServer(pace=0.1) as server:
            with client.stream("POST", **ask(server)) as response:
                read_events(response.iter_raw(), 1)
            disconnect = server.wait_for_disconnect()
        assert disconnect.events_sent == 1
        assert disconnect.seconds < 10  # the next event was not waited for

    async def test_of_an_async_client(self) -> None:
        async with (
            ReplayServer([CALLS.stall(after_events=2)]) as server,
            httpx2.AsyncClient() as client,
        ):
            for _ in range(2):
                async with client.stream("POST", **ask(server)) as response:
                    data = b""
                    async for chunk in response.aiter_raw():
                        data += chunk
                        if data.count(b"\n\n") == 2:
                            break
                assert (await server.await_disconnect()).events_sent == 2
            assert len(server.disconnects) == 2

    async def test_of_a_cancelled_task(self) -> None:
        started = asyncio.Event()

        async def chat(client: openai.AsyncOpenAI) -> None:
            stream = await client.chat.completions.create(model=CALLS.id, messages=[], stream=True)
            async for _ in stream:
                started.set()

        async with (
            ReplayServer([CALLS.stall(after_events=1)]) as server,
            openai.AsyncOpenAI(base_url=server.base_url, api_key="none") as client,
        ):
            task = asyncio.create_task(chat(client))
            await started.wait()
            task.cancel()
            assert (await server.await_disconnect()).recording_id == CALLS.id
            with pytest.raises(asyncio.CancelledError):
                await task

    def test_from_a_stream_that_waits_for_its_reader(self) -> None:
        # More than any socket buffer holds; the server's write is what waits.
        recording = Recording(id="large", body=b"data: " + b"x" * 20_000_000 + b"\n\ndata: 2\n\n")
        with ReplayServer([recording]) as server:
            with httpx2.Client() as client, client.stream("POST", **ask(server, "large")):
                pass
            assert server.wait_for_disconnect().events_sent <= 1

    def test_each_is_given_once(self, client: httpx2.Client) -> None:
        recordings = [CALLS.stall(after_events=1), RECORDINGS["plain_text"].stall(after_events=1)]
        with ReplayServer(recordings) as server:
            for recording in recordings:
                with client.stream("POST", **ask(server, recording.id)) as response:
                    read_events(response.iter_raw(), 1)
            given = [server.wait_for_disconnect(), server.wait_for_disconnect()]
            assert given == server.disconnects
            assert {one.recording_id for one in given} == {one.id for one in recordings}
            with pytest.raises(TimeoutError, match="2 clients had left before"):
                server.wait_for_disconnect(timeout=0.01)

    async def test_that_does_not_come_is_a_timeout_that_helps(self) -> None:
        message = r"within 0.01 s. The server got 1 requests, the last one answered by 'plain_text'"
        async with ReplayServer() as server, httpx2.AsyncClient() as client:
            await client.post(**ask(server, "plain_text"))
            with pytest.raises(TimeoutError, match=message):
                await server.await_disconnect(timeout=0.01)
            with pytest.raises(TimeoutError, match=message):
                server.wait_for_disconnect(timeout=0.01)

    def test_reading_all_is_none(self, client: httpx2.Client) -> None:
        with ReplayServer() as server:
            for _ in range(50):
                with (
                    httpx2.Client() as once,
                    once.stream("POST", **ask(server, "plain_text")) as response,
                ):
                    read_events(response.iter_raw(), len(RECORDINGS["plain_text"].events))
            client.post(**ask(server))
            assert server.disconnects == []


class TestEndpoints:
    def test_models_health_and_version(self, client: httpx2.Client) -> None:
        with ReplayServer(version="0.99.1") as server:
            root = server.base_url.removesuffix("/v1")
            (card,) = client.get(f"{server.base_url}/models").json()["data"]
            health = client.get(f"{root}/health")
            assert client.get(f"{root}/version").json() == {"version": "0.99.1"}
        assert (card["id"], card["owned_by"], card["max_model_len"]) == ("tiny", "replay", 2048)
        assert (health.status_code, health.content) == (200, b"")

    @pytest.mark.parametrize(
        ("model", "recordings", "name"),
        [("mine", [CALLS], "mine"), (None, [CALLS], "tiny"), (None, [], "replay")],
    )
    def test_the_name_of_the_model(
        self, model: str | None, recordings: list[Recording], name: str
    ) -> None:
        with (
            ReplayServer(recordings, model=model) as server,
            openai.OpenAI(base_url=server.base_url, api_key="none") as client,
        ):
            assert [card.id for card in client.models.list()] == [name]

    def test_a_key_guards_v1_alone(self, client: httpx2.Client) -> None:
        with ReplayServer(api_key="sésame") as server:
            url = f"{server.base_url}/models"
            for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic sésame"}):
                encoded = {name: value.encode("latin-1") for name, value in headers.items()}
                response = client.get(url, headers=encoded)
                assert response.status_code == 401
                assert response.json() == {"error": "Unauthorized"}
            assert client.post(**ask(server)).status_code == 401
            assert client.get(server.base_url + "/nowhere").status_code == 401
            assert client.get(server.base_url.removesuffix("/v1") + "/health").status_code == 200
            key = {"authorization": "Bearer sésame".encode("latin-1")}
            assert client.get(url, headers=key).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 404),
            ("GET", "/v1/completions", 404),
            ("GET", "/v1/chat/completions", 405),
            ("POST", "/v1/models", 405),
            ("GET", "/tokenize", 405),
        ],
    )
    def test_what_is_not_there(
        self, client: httpx2.Client, method: str, path: str, status: int
    ) -> None:
        with ReplayServer() as server:
            response = client.request(method, server.base_url.removesuffix("/v1") + path)
            assert response.status_code == status
            assert "detail" in response.json()
            assert [(r.method, r.path) for r in server.requests] == [(method, path)]

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
    def test_a_broken_body_is_a_bad_request(self, client: httpx2.Client, content: bytes) -> None:
        with ReplayServer() as server:
            response = client.post(server.base_url + "/chat/completions", content=content)
            assert response.status_code == 400
            assert response.json()["error"]["code"] == 400
            assert server.requests[0].body is None

    @pytest.mark.parametrize(
        "headers",
        [{"host": "evil.test"}, {"origin": "https://evil.test"}, {"origin": "null"}, {"host": ""}],
        ids=str,
    )
    def test_a_page_elsewhere_is_refused(
        self, client: httpx2.Client, headers: dict[str, str]
    ) -> None:
        with ReplayServer() as server:
            assert client.post(**ask(server), headers=headers).status_code == 403
            assert client.get(f"{server.base_url}/models", headers=headers).status_code == 403
            assert server.requests == []
            own = {"origin": "http://localhost:8080"}
            assert client.get(f"{server.base_url}/models", headers=own).status_code == 200

    def test_a_body_without_end_is_refused(self, client: httpx2.Client) -> None:
        piece = b" " * 1_000_000
        with ReplayServer() as server:
            url = f"{server.base_url}/chat/completions"
            answer = client.post(url, content=(piece for _ in range(MAX_BODY // len(piece) + 2)))
            assert answer.status_code == 413
            assert server.requests == []

    def test_requests_are_kept(self, client: httpx2.Client) -> None:
        with ReplayServer() as server:
            client.post(**ask(server), headers={"X-Mine": "1"})
            (request,) = server.requests
        assert (request.method, request.path) == ("POST", "/v1/chat/completions")
        assert request.headers["x-mine"] == "1"
        assert request.body == {"model": CALLS.id}
        assert server.requests == [request]  # also when the server has gone


class TestMatching:
    def test_what_was_asked(self) -> None:
        with (
            ReplayServer() as server,
            openai.OpenAI(base_url=server.base_url, api_key="none") as client,
        ):
            stream = client.chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": PROMPT}],
                tools=tools("add", "multiply"),
                stream=True,
            )
            names = [
                call.function.name
                for chunk in stream
                for call in chunk.choices[0].delta.tool_calls or ()
                if call.function and call.function.name
            ]
            assert server.requests[0].recording_id == CALLS.id
        assert names == ["multiply", "add"]

    def test_an_error_comes_with_its_status(self) -> None:
        with (
            ReplayServer() as server,
            openai.OpenAI(base_url=server.base_url, api_key="none") as client,
            pytest.raises(openai.BadRequestError, match="temperature must be non-negative"),
        ):
            client.chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": PROMPT}],
                tools=tools("add"),
                temperature=-1,
                stream=True,
            )

    def test_nothing_is_a_404_with_reasons(self) -> None:
        with (
            ReplayServer() as server,
            openai.OpenAI(base_url=server.base_url, api_key="none") as client,
        ):
            with pytest.raises(openai.NotFoundError) as caught:
                client.chat.completions.create(
                    model="tiny", messages=[{"role": "user", "content": "What is 3 * 13?"}]
                )
            assert server.requests[0].recording_id is None
        error = caught.value.body
        assert isinstance(error, dict)
        assert (error["type"], error["param"], error["code"]) == ("NotFoundError", None, 404)
        assert "No recording answers this request" in error["message"]
        assert "the request's is user 'What is 3 * 13?'" in error["message"]


class TestLife:
    def test_nothing_is_left(self, client: httpx2.Client) -> None:
        with ReplayServer() as server:
            assert len(replay_threads()) == 1
            url = server.base_url + "/models"
            client.get(url)
        assert replay_threads() == []
        with pytest.raises(httpx2.TransportError):
            client.get(url)
        with pytest.raises(RuntimeError, match="is not running"):
            _ = server.base_url

    async def test_nothing_is_left_async(self) -> None:
        async with ReplayServer() as server, httpx2.AsyncClient() as client:
            assert (await client.get(server.base_url + "/models")).status_code == 200
        assert replay_threads() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def test_a_server_can_start_again(self, client: httpx2.Client) -> None:
        server = ReplayServer()
        for _ in range(2):
            with server:
                assert client.post(**ask(server)).content == CALLS.body
                with pytest.raises(RuntimeError, match="is running already"):
                    server.__enter__()
                assert client.post(**ask(server)).content == CALLS.body
        assert len(server.requests) == 4

    def test_a_stop_ends_stalled_streams(self, client: httpx2.Client) -> None:
        server = ReplayServer([CALLS.stall(after_events=1)])
        with server:
            request = client.build_request("POST", **ask(server))
            responses = [client.send(request, stream=True) for _ in range(3)]
            chunks = [response.iter_raw() for response in responses]
            for one in chunks:
                assert read_events(one, 1) == CALLS.events[0]
            started = time.perf_counter()
        assert time.perf_counter() - started < 10
        assert replay_threads() == []
        for one, response in zip(chunks, responses, strict=True):
            with pytest.raises(httpx2.TransportError):
                next(one)
            response.close()
        assert (server.disconnects, server.active) == ([], 0)

    @pytest.mark.parametrize("pace", ["instant", 0.1])
    def test_a_stop_does_not_wait_for_one_who_does_not_read(
        self, client: httpx2.Client, pace: Literal["instant"] | float
    ) -> None:
        body = (b"data: " + b"x" * 5_000_000 + b"\n\n") * 4
        with ReplayServer([Recording(id="large", body=body)], pace=pace) as server:
            response = client.send(
                client.build_request("POST", **ask(server, "large")), stream=True
            )
            started = time.perf_counter()
        assert time.perf_counter() - started < 10
        assert replay_threads() == []
        response.close()

    def test_a_stop_does_not_wait_for_the_rest_of_a_request(self) -> None:
        with ReplayServer() as server:
            port = httpx2.URL(server.base_url).port
            assert port is not None
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
                b"content-length: 99\r\n\r\n"
            )
            assert connection.recv(99).startswith(b"HTTP/1.1 100")  # the app waits for the body
            started = time.perf_counter()
        assert time.perf_counter() - started < 10
        connection.close()
        assert server.requests == []

    def test_a_taken_port_raises(self) -> None:
        with ReplayServer() as server:
            port = httpx2.URL(server.base_url).port
            assert port is not None
            second = ReplayServer(port=port)
            with pytest.raises(OSError, match=rf"(?i)address .*:{port}. Give"):
                second.__enter__()
        with second:
            assert second.base_url == f"http://127.0.0.1:{port}/v1"
            assert repr(second) == f"ReplayServer({second.base_url})"
        assert repr(second) == "ReplayServer(not running)"

    async def test_a_failure_to_start_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def startup(self: uvicorn.Server, sockets: object = None) -> None:
            message = "no luck"
            raise ZeroDivisionError(message)

        monkeypatch.setattr(uvicorn.Server, "startup", startup)
        server = ReplayServer()
        with pytest.raises(ZeroDivisionError, match="no luck"):
            server.__enter__()
        with pytest.raises(ZeroDivisionError, match="no luck"):
            await server.__aenter__()
        assert replay_threads() == []

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: ReplayServer(pace=0), "pace has to be"),
            (lambda: ReplayServer([CALLS, CALLS]), "Two recordings have the id 'auto_2calls'"),
            (lambda: ReplayServer("recordings.csv"), "kept in .jsonl, .jsonl.gz and .sse files"),
        ],
    )
    def test_nonsense_is_refused_at_once(
        self, make: Callable[[], ReplayServer], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            make()


class TestApp:
    async def test_needs_no_socket(self) -> None:
        server = ReplayServer()
        transport = httpx2.ASGITransport(app=server.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://replay") as client:
            response = await client.post("/v1/chat/completions", json={"model": CALLS.id})
            assert response.content == CALLS.body
            assert (await client.get("/version")).json() == {"version": "0.32.0"}
        assert [request.recording_id for request in server.requests] == [CALLS.id, None]

    async def test_a_cut_raises_where_no_connection_can_be_dropped(self) -> None:
        server = ReplayServer([CALLS.cut(after_events=1)])
        transport = httpx2.ASGITransport(app=server.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://replay") as client:
            with pytest.raises(ConnectionAbortedError, match="drops this connection"):
                await client.post("/v1/chat/completions", json={"model": CALLS.id})
