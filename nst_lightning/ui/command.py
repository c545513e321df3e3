"""``nst ui``: starts the page, says where it is, and ends with Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from nst_lightning.errors import UsageError
from nst_lightning.ui.options import LOCAL, check_installed, parse

USER = "nst"
TRIES = 50  # ports after the one that is asked for
UPLOAD = "100mb"
# statistics of the library are never sent; its files lie in the folder of the machine for what is temporary
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}


def ui(words: Sequence[str], forever: threading.Event | None = None) -> int:
    """Run the page until Ctrl-C, or until an event is set.

    Raises:
        UsageError: for flags that cannot work, before anything is started.
    """
    options = parse(words)
    check_installed()
    port = free_port(options.host, options.port)
    folder = Path(options.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise UsageError(f"--folder {folder}: cannot be written ({error.strerror})") from error
    password = options.password
    if options.host not in LOCAL and password is None:
        password = secrets.token_urlsafe(9)
        print(f"user {USER}, password {password}", flush=True)
    os.environ.update(QUIET)
    from nst_lightning.ui.page import CSS, HEAD, make_page, theme
    from nst_lightning.ui.server import make_easel

    easel = make_easel(folder)
    page = make_page(easel)
    page.queue(default_concurrency_limit=16, max_size=64)
    page.launch(
        server_name=options.host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        auth=[(USER, password)] if password else None,
        max_file_size=UPLOAD,
        allowed_paths=[str(folder.absolute())],
        footer_links=[],
        ssr_mode=False,
        enable_monitoring=False,
        show_error=True,
        theme=theme(),
        css=CSS,
        head=HEAD,
    )
    if port != options.port:
        print(f"port {options.port} is taken; this is the next free one", flush=True)
    shown = f"[{options.host}]" if ":" in options.host else options.host
    print(f"http://{shown}:{port} · Ctrl-C ends", flush=True)
    try:
        (forever or threading.Event()).wait()
    except KeyboardInterrupt:
        print("ending: a picture that is being painted is kept as it is", flush=True)
    finally:
        easel.close()
        page.close()
    return 0


def free_port(host: str, first: int) -> int:
    """The first free port from one on.

    Raises:
        UsageError: if the host is not one of this machine's, or none is free.
    """
    for port in range(first, min(first + TRIES, 65536)):
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        except (OSError, UnicodeError) as error:
            raise UsageError(f"--host {host}: no such address") from error
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return port
            except OSError as error:
                if error.errno not in (13, 48, 98, 10013, 10048):  # in use, or not for this user
                    raise UsageError(f"--host {host}: is no address of this machine ({error.strerror})") from error
    raise UsageError(f"--port {first}: none of {TRIES} ports from there on is free")
