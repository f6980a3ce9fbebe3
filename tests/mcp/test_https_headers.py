"""What the whole app says over HTTPS: refusals too ask browsers to come by HTTPS alone."""

from tests.mcp_server import InProcessApp
from tests.worlds import on_sqlite


@on_sqlite
async def test_over_https_every_answer_asks_for_https(inside: InProcessApp) -> None:
    async with inside(PUBLIC_URL="https://localhost:8080") as http:
        answers = [
            await http.request(method, path)
            for method in ("GET", "POST", "OPTIONS", "DELETE")
            for path in ("/mcp", "/health", "/health/live", "/metrics", "/nowhere", "/token")
        ]
        answers.append(await http.get("/mcp", headers={"host": "evil.example"}))
        answers.append(await http.get("/mcp", headers={"origin": "https://evil.example"}))

    for answer in answers:
        assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
        assert "script-src 'self'" in answer.headers["content-security-policy"]


@on_sqlite
async def test_over_http_nothing_asks_for_https(inside: InProcessApp) -> None:
    async with inside() as http:
        assert "strict-transport-security" not in (await http.get("/health")).headers
