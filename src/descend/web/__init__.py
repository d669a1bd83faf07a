"""What answers over HTTP: `gate` stands in front of every route of `studio/` and `serve/`.

FastAPI, Starlette and uvicorn come with the extras `studio` and `serve`, and are imported only
there.
"""
