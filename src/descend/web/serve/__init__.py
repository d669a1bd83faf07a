"""The server of `descend serve`: one model behind the interface of OpenAI.

`protocol` reads a request, `engine` continues all texts in one batch, `answers` writes what goes
back, `app` has the routes. Starlette and uvicorn come with the extra `serve`.
"""
