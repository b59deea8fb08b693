"""What LangChain is given: chunks, and events of its v3 protocol."""
