"""What is shown in a browser: `gate` stands in front of every route, `studio/` is the application.

FastAPI and uvicorn are imported inside `studio` alone; they come with the extra `studio`.
"""
