import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_toolstream.testing import (
    Recording,
    bundled_recordings,
    load_recordings,
    save_recordings,
)
from langchain_toolstream.testing.pace import Pace, check_pace, schedule

BODY = "data: {é}\n\n: keep-alive\n\ndata: [DONE]\n\n".encode()


@pytest.fixture
def recording() -> Recording:
    return Recording(id="r", body=BODY)


class TestEvents:
    @pytest.mark.parametrize(
        ("body", "events"),
        [
            (b"", ()),
            (b"data: 1\n\ndata: 2\n\n", (b"data: 1\n\n", b"data: 2\n\n")),
            (b"data: 1\r\n\r\ndata: 2\r\n\r\n", (b"data: 1\r\n\r\n", b"data: 2\r\n\r\n")),
            (b"data: 1\r\rdata: 2", (b"data: 1\r\r", b"data: 2")),
            (b"id: 1\r\ndata: 1\r\n\r\n", (b"id: 1\r\ndata: 1\r\n\r\n",)),
            (b"data: 1\n\n\n\ndata: 2\n", (b"data: 1\n\n\n\n", b"data: 2\n")),
        ],
    )
    def test_one_per_blank_line(self, body: bytes, events: tuple[bytes, ...]) -> None:
        assert Recording(id="r", body=body).events == events

    @given(st.text(alphabet="ad:\r\n").map(str.encode))
    def test_joined_are_the_body(self, body: bytes) -> None:
        events = Recording(id="r", body=body).events
        assert b"".join(events) == body
        assert all(events)

    def test_a_whole_answer_is_one_part(self) -> None:
        recording = Recording(id="r", body=b'{"a":\n\n1}', content_type="application/json")
        assert recording.events == (recording.body,)
        assert not recording.streamed


class TestFaults:
    def test_leave_the_original_alone(self, recording: Recording) -> None:
        recording.cut(after_events=1).split(seed=1)
        assert recording == Recording(id="r", body=BODY)
        assert hash(recording) == hash(Recording(id="r", body=BODY, request={}))

    def test_cut_and_stall_keep_the_first_events(self, recording: Recording) -> None:
        for after_events in range(4):
            cut = recording.cut(after_events=after_events)
            stalled = recording.stall(after_events=after_events)
            assert cut.events == stalled.events == recording.events[:after_events]
            assert (cut.ending, stalled.ending) == ("cut", "stall")

    def test_fail_ends_as_vllm_does(self, recording: Recording) -> None:
        failed = recording.fail(after_events=1, message="out of luck", code=503)
        assert failed.events[0] == recording.events[0]
        assert json.loads(failed.events[1].removeprefix(b"data: ")) == {
            "error": {
                "message": "out of luck",
                "type": "InternalServerError",
                "param": None,
                "code": 503,
            }
        }
        assert failed.events[2:] == (b"data: [DONE]\n\n",)
        assert failed.ending == "complete"
        assert b'"type": "BadRequestError"' in recording.fail(after_events=0, code=400).body

    def test_fail_writes_the_same_bytes_as_a_killed_worker(self) -> None:
        crash = next(r for r in bundled_recordings() if r.id.startswith("crash"))
        count = len(crash.events) - 2
        message = "EngineCore encountered an issue. See stack trace (above) for the root cause."
        assert crash.fail(after_events=count, message=message) == crash

    def test_combine(self, recording: Recording) -> None:
        both = recording.split(seed=3).fail(after_events=1).cut(after_events=2)
        assert (both.split_seed, both.ending, len(both.events)) == (3, "cut", 2)

    @pytest.mark.parametrize("after_events", [-1, 4])
    def test_refuse_what_is_not_there(self, recording: Recording, after_events: int) -> None:
        for fault in (recording.cut, recording.stall, recording.fail):
            with pytest.raises(ValueError, match="'r', which has 3 events"):
                fault(after_events=after_events)

    def test_fail_needs_a_stream(self) -> None:
        recording = Recording(id="r", body=b"{}", content_type="application/json")
        with pytest.raises(ValueError, match="'r' is 'application/json' and cannot hold"):
            recording.fail(after_events=0)


class TestPace:
    @given(
        st.binary(max_size=300),
        st.lists(st.tuples(st.floats(0, 9), st.integers(0, 90))),
        st.sampled_from(["recorded", "instant", 50, 0.5]),
        st.none() | st.integers(),
    )
    def test_keeps_every_byte(
        self, body: bytes, reads: list[tuple[float, int]], pace: Pace, seed: int | None
    ) -> None:
        recording = Recording(id="r", body=body, reads=tuple(reads), split_seed=seed)
        pieces = [piece for _, piece in schedule(recording, pace)]
        assert b"".join(pieces) == body
        assert all(pieces)
        if seed is not None:
            assert max(map(len, pieces), default=0) <= 40

    def test_a_number_is_events_per_second(self, recording: Recording) -> None:
        assert [at for at, _ in schedule(recording, 4)] == [0, 0.25, 0.5]

    def test_recorded_follows_the_reads(self) -> None:
        recording = Recording(id="r", body=b"abcdef", reads=((0.1, 2), (0.2, 0), (0.4, 3)))
        expected = [(0.1, b"ab"), (0.4, b"cde"), (0.4, b"f")]
        assert list(schedule(recording, "recorded")) == expected
        assert [at for at, _ in schedule(recording, "instant")] == [0]

    def test_recorded_without_reads_is_instant(self, recording: Recording) -> None:
        assert list(schedule(recording, "recorded")) == list(schedule(recording, "instant"))

    def test_splits_depend_on_the_seed_alone(self, recording: Recording) -> None:
        one, same, other = (list(schedule(recording.split(seed=s), "instant")) for s in (1, 1, 2))
        assert one == same != other

    def test_a_split_may_cut_a_character(self) -> None:
        recording = Recording(id="r", body=("é" * 400).encode())
        pieces = [piece for _, piece in schedule(recording.split(seed=0), "instant")]
        with pytest.raises(UnicodeDecodeError):
            [piece.decode() for piece in pieces]

    def test_a_piece_is_due_with_its_last_byte(self) -> None:
        recording = Recording(id="r", body=b"data: 1\n\n" * 40).split(seed=0)
        end = 0
        for at, piece in schedule(recording, 1):
            end += len(piece)
            assert at == (end - 1) // 9

    @pytest.mark.parametrize("pace", ["fast", 0, -1, float("nan"), float("inf")])
    def test_refuses_what_is_no_pace(self, pace: Pace) -> None:
        with pytest.raises(ValueError, match="events per second, got"):
            check_pace(pace)


class TestLoad:
    def test_bundled(self) -> None:
        recordings = {recording.id: recording for recording in bundled_recordings()}
        recording = recordings["auto_2calls"]
        assert recording.request is not None
        assert recording.request["model"] == "tiny"
        assert recording.reads is not None
        assert sum(size for _, size in recording.reads) == len(recording.body)
        assert recording.events[-1] == b"data: [DONE]\n\n"
        assert recordings["err_bad_model"].status == 404
        assert not recordings["auto_2calls_nonstream"].streamed

    @pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
    def test_scripted_wires(self, tmp_path: Path, suffix: str) -> None:
        records = [
            {"id": "a", "sse": "data: é\u2028\n\n", "finish": "stop", "tools": []},
            {"id": "b", "sse": "data: {", "finish": "cut"},
            {"id": "c", "json": {"x": "é"}, "finish": "stop"},
        ]
        data = "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()
        path = tmp_path / f"x{suffix}"
        path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
        assert load_recordings(str(path)) == [
            Recording(id="a", body="data: é\u2028\n\n".encode()),
            Recording(id="b", body=b"data: {", ending="cut"),
            Recording(id="c", body='{"x":"é"}'.encode(), content_type="application/json"),
        ]

    def test_raw_stream(self, tmp_path: Path) -> None:
        path = tmp_path / "name.sse"
        path.write_bytes(b"data: \xff\r\n\r\n")
        assert load_recordings(path) == [Recording(id="name", body=b"data: \xff\r\n\r\n")]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "not JSON: "),
            ("[]", "expected a JSON object, got list"),
            ('{"body": ""}', "the field 'id' is missing"),
            ('{"id": 1, "body": ""}', "the field 'id' has to be a string, got 1"),
            ('{"id": "a"}', "expected one of the fields 'body', 'sse' and 'json', got ['id']"),
            ('{"id": "a", "sse": "", "json": 1}', "'json', got ['sse', 'json']"),
            ('{"id": "a", "body": null}', "the field 'body' has to be text, got None"),
            ('{"id": "a", "body": "", "status": 99}', "'status' has to be an HTTP status"),
            ('{"id": "a", "body": "", "request": []}', "'request' has to be a JSON object"),
            ('{"id": "a", "body": "", "reads": [[1]]}', "a list of [seconds, bytes], got [[1]]"),
        ],
    )
    def test_a_broken_line_is_named(self, tmp_path: Path, line: str, message: str) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text('{"id": "ok", "body": ""}\n\n' + line)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
            load_recordings(path)
        assert str(caught.value).startswith(f"{path}, line 3: ")
        assert message in str(caught.value)

    def test_a_broken_archive_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl.gz"
        for data in (b"{}", gzip.compress(b"{}" * 99)[:-12]):
            path.write_bytes(data)
            with pytest.raises(ValueError, match="not a whole gzip file"):
                load_recordings(path)

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"kept in \.jsonl, \.jsonl\.gz and \.sse files"):
            load_recordings(tmp_path / "x.csv")
        with pytest.raises(FileNotFoundError):
            load_recordings(tmp_path / "x.jsonl")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_import_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import langchain_toolstream.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert 'pip install "langchain-toolstream[testing]"' in last


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_saved_is_loaded_again(name: str, tmp_path: Path) -> None:
    recordings = bundled_recordings()
    save_recordings(recordings, tmp_path / name)
    assert load_recordings(tmp_path / name) == recordings
    first = (tmp_path / name).read_bytes()
    save_recordings(recordings, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_an_sse_file_holds_the_bytes_of_one_stream(tmp_path: Path) -> None:
    path = tmp_path / "hello.sse"
    save_recordings([Recording(id="anything", body=b"data: \xff\n\n")], path)
    assert path.read_bytes() == b"data: \xff\n\n"
    (loaded,) = load_recordings(path)
    assert (loaded.id, loaded.body) == ("hello", b"data: \xff\n\n")


def test_what_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    stream = Recording(id="a", body=b"\xff")
    whole = Recording(id="b", body=b"{}", content_type="application/json")
    with pytest.raises(ValueError, match="holds one stream"):
        save_recordings([stream, stream], tmp_path / "a.sse")
    with pytest.raises(ValueError, match="holds one stream"):
        save_recordings([whole], tmp_path / "a.sse")
    with pytest.raises(ValueError, match="'a' is not UTF-8"):
        save_recordings([stream], tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"a\.txt: recordings are kept in"):
        save_recordings([whole], tmp_path / "a.txt")
    assert not [*tmp_path.iterdir()]
