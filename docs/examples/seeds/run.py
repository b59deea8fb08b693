"""Run one of the scripts beside this one against recorded answers of a real vLLM.

python docs/examples/seeds/run.py tool_streaming
"""

import os
import runpy
import sys
from pathlib import Path

from compose import composed_recordings

from langchain_toolstream.testing import ReplayServer, bundled_recordings

script = Path(__file__).with_name(f"{sys.argv[1]}.py")
with ReplayServer([*bundled_recordings(), *composed_recordings()]) as server:
    os.environ["VLLM_API_BASE"] = server.base_url
    runpy.run_path(str(script), run_name="__main__")
