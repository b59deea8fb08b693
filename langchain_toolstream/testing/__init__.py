"""Test a chain against recorded vLLM answers, over real HTTP, without a model."""

from langchain_toolstream.testing._journal import Disconnect, ReceivedRequest
from langchain_toolstream.testing._load import bundled_recordings, load_recordings
from langchain_toolstream.testing._recording import Recording
from langchain_toolstream.testing._save import save_recordings
from langchain_toolstream.testing._server import ReplayServer

__all__ = [
    "Disconnect",
    "ReceivedRequest",
    "Recording",
    "ReplayServer",
    "bundled_recordings",
    "load_recordings",
    "save_recordings",
]
