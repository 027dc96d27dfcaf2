"""`python -m e2e.localcluster.kubelet --root DIR`: started by the launcher, inside the namespace."""

import argparse
import asyncio
import gc
import logging
import signal
from pathlib import Path

from e2e.localcluster.kube import Kube
from e2e.localcluster.kubelet import logs
from e2e.localcluster.kubelet.agent import Agent
from e2e.localcluster.layout import API_PORT, KUBELET_HEALTH_PORT, LOCAL, Layout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--crash-backoff", type=float, default=1.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(Layout(arguments.root), arguments.crash_backoff))


async def _serve(layout: Layout, crash_backoff: float) -> None:
    gc.freeze()  # what is loaded stays; collections look at pods only
    url = f"https://{LOCAL}:{API_PORT}"
    async with Kube(url, layout.token.read_text(), layout.certificate) as kube:
        agent = Agent(kube, layout.data, layout.pod_logs, crash_backoff)
        health = await asyncio.start_server(
            lambda reader, writer: _health(agent, reader, writer), LOCAL, KUBELET_HEALTH_PORT
        )
        log_port = await logs.serve(layout.pod_logs, logs.context(layout.certificate, layout.key))
        task = asyncio.create_task(agent.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await asyncio.wait({task})
        health.close()
        log_port.close()
        if not task.cancelled():
            task.result()


async def _health(agent: Agent, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    status = "200 OK" if agent.listed.is_set() else "503 Service Unavailable"
    writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
    writer.close()


if __name__ == "__main__":
    main()
