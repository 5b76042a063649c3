"""A schema registry on a loopback port: the part of Confluent's REST interface that its client uses.

It keeps schemas in memory. ``down`` answers 503 to everything; ``requests`` holds what was asked, as ``"GET /path"``.
Source: Confluent, "Schema Registry API Reference".
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class SchemaRegistry:
    """A registry. With ``user`` and ``password`` it asks for them."""

    def __init__(self, user: str | None = None, password: str | None = None) -> None:
        self.down = False
        self.requests: list[str] = []
        self._schemas: list[dict[str, Any]] = []
        self._subjects: dict[str, list[int]] = {}
        self._authorization = None
        if user is not None:
            self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = urlsplit(self.path).path
                outer.requests.append(f"{self.command} {path}")
                status, answer = outer._answer(self.command, path, body, self.headers.get("Authorization"))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def register(self, subject: str, schema: Any, kind: str = "AVRO", references: Any = ()) -> int:
        """Register a schema (text, plain data, or for PROTOBUF bytes of a FileDescriptorProto); its id."""
        if isinstance(schema, bytes):
            schema = base64.b64encode(schema).decode()
        elif not isinstance(schema, str):
            schema = json.dumps(schema)
        entry = {"schema": schema, "schemaType": kind, "references": list(references)}
        if entry not in self._schemas:
            self._schemas.append(entry)
        number = self._schemas.index(entry) + 1
        versions = self._subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def subjects(self) -> dict[str, int]:
        """How many versions each subject has."""
        return {subject: len(versions) for subject, versions in self._subjects.items()}

    def _answer(self, method: str, path: str, body: bytes, authorization: str | None) -> tuple[int, Any]:
        if self.down:
            return 503, {"error_code": 503, "message": "down"}
        if self._authorization not in (None, authorization):
            return 401, {"error_code": 401, "message": "Unauthorized"}
        match [method, *map(unquote, path.strip("/").split("/"))]:
            case ["GET", "schemas", "ids", number] if 0 < int(number) <= len(self._schemas):
                return 200, self._shown(int(number))
            case ["GET", "schemas", "ids", number]:
                return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
            case ["POST", "subjects", subject, "versions"]:
                given = json.loads(body)
                references = given.get("references", ())
                return 200, {"id": self.register(subject, given["schema"], given.get("schemaType", "AVRO"), references)}
            case ["POST", "subjects", subject]:
                schema = json.loads(body)["schema"]
                for version, number in enumerate(self._subjects.get(subject, ()), 1):
                    if self._schemas[number - 1]["schema"] == schema:
                        return 200, self._version(subject, version)
                return 404, {"error_code": 40403, "message": "Schema not found"}
            case ["GET", "subjects", subject, "versions", version] if subject in self._subjects:
                count = len(self._subjects[subject])
                return 200, self._version(subject, count if version == "latest" else int(version))
            case ["GET", "subjects", subject, "versions", _]:
                return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        return 404, {"error_code": 404, "message": f"{method} {path} is not served"}

    def _shown(self, number: int) -> dict[str, Any]:
        entry = self._schemas[number - 1]
        return {key: value for key, value in entry.items() if value != "AVRO"}

    def _version(self, subject: str, version: int) -> dict[str, Any]:
        number = self._subjects[subject][version - 1]
        return {"subject": subject, "version": version, "id": number, **self._shown(number)}
