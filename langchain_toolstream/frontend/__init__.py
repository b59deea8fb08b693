"""The events of a run on their way to a front end: plain server-sent events, AG-UI, AI SDK.

Each protocol is a writer, which takes events and returns what goes on the wire, and one loop runs
them all.
"""

from langchain_toolstream.frontend.ag_ui import ag_ui_sse, to_ag_ui
from langchain_toolstream.frontend.ai_sdk import AI_SDK_HEADERS, to_ai_sdk
from langchain_toolstream.frontend.posted import HistoryError, read_history
from langchain_toolstream.frontend.resume import ResumeError, resume_command
from langchain_toolstream.frontend.sse import to_sse
from langchain_toolstream.frontend.stored import ag_ui_messages, ai_sdk_messages

__all__ = [
    "AI_SDK_HEADERS",
    "HistoryError",
    "ResumeError",
    "ag_ui_messages",
    "ag_ui_sse",
    "ai_sdk_messages",
    "read_history",
    "resume_command",
    "to_ag_ui",
    "to_ai_sdk",
    "to_sse",
]
