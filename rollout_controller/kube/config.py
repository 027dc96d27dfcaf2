"""How to reach the API server: a kubeconfig, or the ServiceAccount of the pod that we run in."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from pathlib import Path
from typing import Any, Final

import structlog
import yaml
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config
from kubernetes_asyncio.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME
from kubernetes_asyncio.config.kube_config import load_kube_config

_FRESH: Final = 60.0
"""Seconds after which the source of a token (a file, a plugin) is asked again."""

_PLUGIN_TIMEOUT: Final = 10.0

log = structlog.get_logger(__name__)


class ConfigError(Exception):
    """No usable way to reach a cluster; the message is a sentence for whoever started us."""


async def load(kubeconfig: str | None = None, context: str | None = None) -> Configuration:
    """The configuration for both clients; tokens from files and plugins stay fresh.

    Without a path: the pod's ServiceAccount if we run in a pod, else $KUBECONFIG, else ~/.kube/config.
    Raises ConfigError.
    """
    configuration = Configuration()
    # As kubectl: many clusters' own CAs lack extensions that Python 3.13 began to demand.
    configuration.disable_strict_ssl_verification = True
    if kubeconfig is None and context is None and _in_pod():
        try:
            load_incluster_config(configuration)
        except (ConfigException, OSError) as error:
            raise ConfigError(f"the pod's ServiceAccount cannot be used: {error}") from error
        return configuration
    path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    await _load_file(configuration, path, context)
    return configuration


def _in_pod() -> bool:
    return bool(os.environ.get(SERVICE_HOST_ENV_NAME)) and Path(SERVICE_TOKEN_FILENAME).exists()


def _exists(path: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part)


async def _load_file(configuration: Configuration, path: str, context: str | None) -> None:
    if not _exists(path):
        raise ConfigError(
            f"kubeconfig {path}: no such file; name one with --kubeconfig or $KUBECONFIG,"
            " or run inside a cluster"
        )
    where = f"kubeconfig {path}" + (f", context {context}" if context else "")
    try:
        async with asyncio.timeout(_PLUGIN_TIMEOUT):
            # persist_config writes refreshed tokens back into a file that is not ours.
            loader = await load_kube_config(path, context, configuration, persist_config=False)
        # A certificate that does not load would only be found by the first call.
        check = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            check.load_cert_chain(configuration.cert_file, configuration.key_file)
    except TimeoutError:
        raise ConfigError(f"{where}: its credential plugin gave no answer in {_PLUGIN_TIMEOUT:g} s") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{where}: a certificate or another file cannot be read: {error}") from error
    except Exception as error:  # the loader asserts, and indexes into what may not be there
        raise ConfigError(f"{where}: not usable: {str(error) or type(error).__name__}") from error
    configuration.refresh_api_key_hook = _Refresher(loader)


class _Refresher:
    """The hook that the client library calls before each request that bears a token."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._read_at = time.monotonic()
        self._lock = asyncio.Lock()

    async def __call__(self, configuration: Configuration) -> None:
        if time.monotonic() - self._read_at < _FRESH:
            return
        async with self._lock:
            if time.monotonic() - self._read_at < _FRESH:
                return
            self._read_at = time.monotonic()
            try:
                await self._loader.load_and_set(configuration)
            except Exception as error:  # a plugin may raise anything; the old token may still be good
                log.warning("credentials could not be read again", error=str(error))
