"""FastAPI on uvicorn with uvloop and httptools, asyncpg, and redis-py's pub/sub."""
