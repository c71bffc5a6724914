"""The same answer for gunicorn (web:wsgi) and for uvicorn (web:asgi)."""

import os


def text():
    return f"instance {os.environ['NODE_APP_INSTANCE']} process {os.getpid()}\n".encode()


def wsgi(environ, start_response):
    body = text()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    if scope["type"] != "http":  # uvicorn asks about lifespan and can do without
        raise NotImplementedError
    body = text()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
