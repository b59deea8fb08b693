"""Test a chain against recorded vLLM answers, over real HTTP, without a model."""

from langchain_toolstream.testing.journal import Disconnect, ReceivedRequest
from langchain_toolstream.testing.load import bundled_recordings, load_recordings
from langchain_toolstream.testing.recording import Recording
from langchain_toolstream.testing.save import save_recordings
from langchain_toolstream.testing.server import ReplayServer

__all__ = [
    "Disconnect",
    "ReceivedRequest",
    "Recording",
    "ReplayServer",
    "bundled_recordings",
    "load_recordings",
    "save_recordings",
]
