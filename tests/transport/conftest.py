"""A transport to a test server, and what to expect of its faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from meshtop.transport.base import TransportFault
from meshtop.transport.ssh import SshOptions, SshTransport

Fault = Callable[..., Awaitable[TransportFault]]


@pytest.fixture
def transport(ssh_site: object) -> Callable[..., SshTransport]:
    """``transport("alias", connect_timeout_s=1)`` with the site's ssh_config."""

    def make(target: str, **options: object) -> SshTransport:
        usual: dict[str, object] = {"config": (str(ssh_site.config),)}  # type: ignore[attr-defined]
        return SshTransport(target, SshOptions(**(usual | options)))  # type: ignore[arg-type]

    return make


@pytest.fixture
def fault(transport: Callable[..., SshTransport], capfd: pytest.CaptureFixture[str]) -> Fault:
    """``await fault("alias")`` is the fault that connecting ends in; nothing may be printed on the way."""

    async def connect(target: str, **options: object) -> TransportFault:
        with pytest.raises(TransportFault) as told:
            await transport(target, **options).connect()
        assert capfd.readouterr() == ("", "")
        assert told.value.reason.isprintable()
        return told.value

    return connect
