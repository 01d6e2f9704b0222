"""A visitor to the Studio without a browser: speaks Streamlit's websocket protocol, and draws nothing.

The server can't tell it from a browser: it says what a browser says, and asks for fragments as often as one does.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from copy import deepcopy
from urllib.parse import urlsplit

from streamlit.proto.AutoRerun_pb2 import AutoRerun  # noqa: TID251 - of Streamlit it knows the protocol alone
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: TID251
from streamlit.proto.ClientState_pb2 import ClientState  # noqa: TID251
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: TID251
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

PATIENCE_SECONDS = 60.0
SIZE = re.compile(r'<section class="verdict">.*?<article.*?<span class="after">(.*?)</span>', re.DOTALL)


@asynccontextmanager
async def wire_visitor(link: str, said: ClientState) -> AsyncIterator[WireVisitor]:
    """Comes by the link and stays; `said` is what a browser said that shows the same, all its widgets with it."""
    at = urlsplit(link)
    async with connect(
        f"ws://{at.netloc}/_stcore/stream",
        origin=Origin(f"http://{at.netloc}"),
        subprotocols=[Subprotocol("streamlit")],
        max_size=None,
        proxy=None,
    ) as socket:
        visitor = WireVisitor(socket, said, at.query)
        listening = asyncio.create_task(visitor.listen())
        try:
            await visitor.open()
            yield visitor
        finally:
            listening.cancel()
            visitor.leave()


class WireVisitor:
    """`size` is what the verdict says of the compressed file; `polls` counts the fragments that were asked for."""

    def __init__(self, socket: ClientConnection, said: ClientState, query: str) -> None:
        self.size = ""
        self.polls = 0
        self._socket = socket
        self._said = deepcopy(said)  # each moves a slider of its own
        self._query = query
        self._polling: dict[str, asyncio.Task[None]] = {}
        self._sized = asyncio.Event()
        self._sized_at = 0.0

    async def open(self) -> None:
        """Until there is a size; before that there are no widgets to speak of."""
        await self._resize(ClientState(context_info=self._said.context_info))

    async def slide(self, key: str, value: float) -> float:
        """Seconds from the move of the slider with that key to the arrival of another size."""
        for widget in self._said.widget_states.widgets:
            if widget.id.endswith(f"-{key}"):
                widget.double_array_value.data[:] = [value]
        return await self._resize(self._said)

    async def listen(self) -> None:
        async for message in self._socket:
            self._hear(ForwardMsg.FromString(message))

    def leave(self) -> None:
        self._stop(tuple(self._polling))

    def _hear(self, message: ForwardMsg) -> None:
        match message.WhichOneof("type"):
            case "delta":
                self._draw(message.delta.new_element.html.body)
            case "new_session" if not message.metadata.run.fragment_ids:  # the whole page says anew what is polled
                self._stop(tuple(self._polling))
            case "auto_rerun":
                self._stop([message.auto_rerun.fragment_id])
                self._polling[message.auto_rerun.fragment_id] = asyncio.create_task(self._poll(message.auto_rerun))
            case "stop_auto_rerun":
                self._stop(message.stop_auto_rerun.fragment_ids)
            case "page_info_changed":
                self._query = message.page_info_changed.query_string

    async def _resize(self, said: ClientState) -> float:
        self._sized.clear()
        begin = time.perf_counter()
        await self._ask(said)
        await asyncio.wait_for(self._sized.wait(), PATIENCE_SECONDS)
        return self._sized_at - begin

    def _draw(self, html: str) -> None:
        found = SIZE.search(html)
        if found and found[1] != self.size:
            self.size, self._sized_at = found[1], time.perf_counter()
            self._sized.set()

    def _stop(self, fragments: Iterable[str]) -> None:
        for fragment in self._polling.keys() & fragments:
            self._polling.pop(fragment).cancel()

    async def _poll(self, asked: AutoRerun) -> None:
        while True:
            await asyncio.sleep(asked.interval)
            self.polls += 1
            await self._ask(self._said, asked.fragment_id)

    async def _ask(self, said: ClientState, fragment: str = "") -> None:
        """For the whole page, or for a fragment whose time has come."""
        state = deepcopy(said)
        state.query_string, state.fragment_id, state.is_auto_rerun = self._query, fragment, bool(fragment)
        await self._socket.send(BackMsg(rerun_script=state).SerializeToString())
