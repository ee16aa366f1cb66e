"""A server that answers as the Hub does: HEAD and GET of /ORG/NAME/resolve/REVISION/FILE."""
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class HubServer:
    """`repositories` maps ORG/NAME to {file name: bytes}. Files of 10 kB and more are large: their ETag is the SHA-256,
    and a redirect leads to the second server, `storage`.

    `requests` lists (host, method, path, token), where host is "hub" or "storage".
    """

    def __init__(self, repositories, commit=COMMIT, token=None):
        self.repositories, self.commit, self.token, self.requests = repositories, commit, token, []
        self.lock = threading.Lock()
        self.hub = self.serve("hub", self.answer_hub)
        self.storage = self.serve("storage", self.answer_storage)
        self.endpoint = f"http://127.0.0.1:{self.hub.server_port}"

    def serve(self, host, answer):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                with outer.lock:
                    outer.requests.append((host, self.command, self.path, token))
                status, headers, content = answer(self, token)
                self.send_response(status)
                for name, value in {"Content-Length": len(content), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        return Server(("127.0.0.1", 0), Handler)

    def answer_hub(self, request, token):
        def refuse(status, code, **headers):
            return status, {"X-Error-Code": code, "X-Error-Message": code, **headers}, b""

        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", request.path)
        if not found or found[1] not in self.repositories or (self.token and token != self.token):
            return refuse(404 if token else 401, "RepoNotFound")
        if found[2] not in ("main", self.commit):
            return refuse(404, "RevisionNotFound")
        headers = {"X-Repo-Commit": self.commit}
        content = self.repositories[found[1]].get(found[3])
        if content is None:
            return refuse(404, "EntryNotFound", **headers)
        digest = hashlib.sha256(content).hexdigest()
        if len(content) < 10_000:
            return 200, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": len(content)}
        location = f"http://127.0.0.1:{self.storage.server_port}/{digest}?signature=secret"
        return 302, {**headers, "Location": location}, b"Found. Redirecting"

    def answer_storage(self, request, token):
        for files in self.repositories.values():
            for content in files.values():
                if request.path.startswith("/" + hashlib.sha256(content).hexdigest()):
                    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
                    if not found:
                        return 200, {}, content
                    begin, size = int(found[1]), len(content)
                    return 206, {"Content-Range": f"bytes {begin}-{size - 1}/{size}"}, content[begin:]
        return 404, {}, b""

    def environment(self, home):
        """The variables with which huggingface_hub and lorikeet use this server, and `home` for all they keep."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": self.token or "",
            "no_proxy": "127.0.0.1",
        }

    def paths(self):
        """(host, method, path) of the requests so far; the storage's without their signature."""
        return [(host, method, path.split("?")[0]) for host, method, path, _ in self.requests]

    def __enter__(self):
        for server in (self.hub, self.storage):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()
