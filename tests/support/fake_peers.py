"""Other nodes' gpudocks in the same process."""

from flask import Flask

from app.errors import NodeUnreachable
from app.ports import Message, Reply


class FakePeers:
    """`apps` says which application answers at a URL; elsewhere nobody does. `sent` lists what was asked of whom."""

    def __init__(self) -> None:
        self.apps: dict[str, Flask] = {}
        self.sent: list[tuple[str, Message]] = []

    def ask(self, node: str, url: str, message: Message) -> Reply:
        self.sent.append((node, message))
        if url not in self.apps:
            raise NodeUnreachable("node", f"node {node} does not answer at {url}")
        client = self.apps[url].test_client(use_cookies=False)
        answer = client.open(
            message.target, base_url=url, method=message.method, headers=list(message.headers), data=message.body
        )
        return Reply(answer.status_code, list(answer.headers), answer.data)
