"""Video, and audio by its URL, in vLLM's words: langchain-openai has none for them."""

from typing import Any

from langchain_core.messages import BaseMessage


def with_media(message: BaseMessage) -> BaseMessage:
    """Write LangChain's blocks of video, and of audio that has a URL, as parts of vLLM's.

    Args:
        message: A message of any kind.

    Returns:
        The message, or a copy where there is such a block in it.
    """
    if isinstance(message.content, str):
        return message
    parts = [_part(block) for block in message.content]
    if all(part is block for part, block in zip(parts, message.content, strict=True)):
        return message
    return message.model_copy(update={"content": parts})


def _part(block: str | dict[Any, Any]) -> str | dict[Any, Any]:
    if isinstance(block, str) or block.get("type") not in ("audio", "video"):
        return block
    kind, url = block["type"], block.get("url")
    if url is None and kind == "video" and "base64" in block:
        url = f"data:{block.get('mime_type', 'video/mp4')};base64,{block['base64']}"
    if url is None:
        return block
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}
