"""Starting workers where that cannot be."""

import gc
import socket
import warnings

import pytest

from unet_engine.errors import EngineError
from unet_engine.remote.credentials import new_token
from unet_engine.worker.serving import serving


@pytest.fixture(autouse=True)
def _sockets_are_collected():
    """Collect what tornado leaves open where it cannot listen."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _serve(**place):
    with serving(new_token(), processes=1, device="cpu", **place):
        raise AssertionError


def test_a_port_that_is_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} .* is in use; .* --port"):
            _serve(host="127.0.0.1", port=port)


def test_an_address_of_another_machine_is_named():
    # Of a range that is kept for documents (RFC 5737).
    with pytest.raises(EngineError, match=r"192\.0\.2\.1:0 cannot .* --host"):
        _serve(host="192.0.2.1", port=0)
