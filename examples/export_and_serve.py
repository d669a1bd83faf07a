"""Export a model as GGUF, then serve it and ask with the client of OpenAI.

    python examples/export_and_serve.py MODEL

It needs `pip install "descend[export,serve]" openai`.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import openai

from descend.interop.export.export_model import export_model

folder = sys.argv[1]
exported = export_model(Path(folder), "gguf", "q8_0")
print("For llama.cpp:", exported.files[0].path)

key = secrets.token_urlsafe(24)
server = subprocess.Popen(
    [sys.executable, "-m", "descend", "serve", folder],
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {"DESCEND_API_KEY": key},
)
try:
    url = ""
    for line in server.stderr:  # the server says when it answers
        if line.startswith("export OPENAI_BASE_URL="):
            url = line.strip().partition("=")[2]
            break
    client = openai.OpenAI(base_url=url, api_key=key)
    (model,) = client.models.list()
    answer = client.completions.create(model=model.id, prompt="The", max_tokens=30, seed=1)
    print("The" + answer.choices[0].text)
finally:
    server.terminate()
