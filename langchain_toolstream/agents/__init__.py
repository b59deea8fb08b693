"""Agents whose read-only tools start while the model is still writing."""

try:
    import langchain.agents as _agents
except ImportError as error:
    msg = (
        "langchain_toolstream.agents needs the package langchain. "
        "Install it with `pip install 'langchain-toolstream[agents]'`."
    )
    raise ImportError(msg) from error

from langchain_toolstream.agents.middleware import EagerToolMiddleware

__all__ = ["EagerToolMiddleware"]

del _agents
